// Gradient to the weights where planes are small: dW = sum over images and output pixels of dY * X at each tap, many images at once. Sums along
// one plane of 4 x 4 would load and store all of dW for sixteen products each, and a third of the pixels that its taps meet are padding.
//
// dY and X are turned into panels of A and B whose pixels come before images: [line][column][image]. So of each line the pixels that a tap
// meets are one run of steps, however narrow planes are, lines are the groups of a product, and what lies outside is left out. With strides the columns
// of a line of X are parted by their rest, so that those of a tap are neighbours.
//
// Threads share filters and channels: every sum has one owner, which adds in the order of the images.
#include <omp.h>

#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kSmallPlane = 64;                        // output pixels; beyond it a block of one plane does as well
constexpr int64_t kLeastFilters = 32, kLeastChannels = 16;  // for fewer, turning costs more than products, or panels are half empty
constexpr int64_t kMostPixels = 1024, kMostInput = 2048;   // of the images of a block
constexpr int64_t kNearElements = 96 * 1024;               // of A: they stay in the second-level cache beside a panel of B

template <class T>
class SmallWeightGrad {
 public:
  SmallWeightGrad(const ConvShape& s, const GemmTier<T>& tier)
      : s_(s), tier_(tier), partial_elements_(aligned_elements<T>(s.filters * s.patch)),
        a_elements_(aligned_elements<T>(round_up(s.filters, tier.mr) * kMostPixels)),
        b_elements_(aligned_elements<T>(round_up(s.channels, tier.nr) * kMostInput)),
        turned_elements_(aligned_elements<T>(std::max(tier.mr * kSmallPlane, tier.nr * std::min(s.input, kMostInput)))) {}

  int64_t elements(int threads) const { return partial_elements_ + a_elements_ + b_elements_ + threads * turned_elements_; }

  void run(const KernelContext& context, const T* x, const T* dy, T* dw, int64_t batch) {
    partial_ = workspace_of<T>(context.workspace, elements(context.threads), "weight gradient of conv");
    a_ = partial_ + partial_elements_, b_ = a_ + a_elements_, turned_ = b_ + b_elements_;
    team_ = worth_a_team(s_, batch) ? context.threads : 1;
    if (batch == 0) return static_cast<void>(std::fill_n(dw, s_.filters * s_.patch, T(0)));
    const int64_t together = std::max<int64_t>(1, std::min(kMostPixels / s_.output, kMostInput / s_.input));
    for (int64_t first = 0; first < batch; first += together) {
      images_ = std::min(together, batch - first);
      pack_slopes(dy + first * s_.filters * s_.output);
      pack_images(x + first * s_.channels * s_.input);
      multiply(first > 0);
    }
    turn_sums(dw);
  }

 private:
  T* own_turned() const { return turned_ + omp_get_thread_num() * turned_elements_; }

  // `count` rows of `width` numbers, `step` rows apart, become those of image `image` from `place` on.
  void spread(const T* rows, int64_t width, int64_t step, int64_t count, T* panel, int64_t place, int64_t image) const {
    Runs<T> runs;
    runs.target = panel + (place * images_ + image) * width, runs.target_row = images_ * width;
    runs.source = rows, runs.source_row = step * width;
    runs.rows = count, runs.length = width;
    tier_.copy_runs(runs);
  }

  void pack_slopes(const T* dy) const {
    const int64_t tiles = ceil_div(s_.filters, tier_.mr);
#pragma omp parallel for num_threads(team_) schedule(static) if (team_ > 1)
    for (int64_t i = 0; i < tiles * images_; ++i) {
      const int64_t first = i / images_ * tier_.mr, image = i % images_;
      T* rows = own_turned();
      tier_.pack({dy + (image * s_.filters + first) * s_.output, s_.output, 1, std::min(tier_.mr, s_.filters - first), s_.output}, tier_.mr, rows);
      spread(rows, tier_.mr, 1, s_.output, a_ + first * s_.output * images_, 0, image);
    }
  }

  // Where a line's columns with the same rest lie; those of rest 0 first.
  int64_t place(int64_t column) const {
    const int64_t width = s_.w.input[2], step = s_.w.stride[2], rest = column % step;
    return rest * (width / step) + std::min(rest, width % step) + column / step;
  }
  void pack_images(const T* x) const {
    const int64_t panels = ceil_div(s_.channels, tier_.nr), width = s_.w.input[2], step = s_.w.stride[2];
#pragma omp parallel for num_threads(team_) schedule(static) if (team_ > 1)
    for (int64_t i = 0; i < panels * images_; ++i) {
      const int64_t first = i / images_ * tier_.nr, image = i % images_;
      T *rows = own_turned(), *panel = b_ + first * s_.input * images_;
      tier_.pack({x + (image * s_.channels + first) * s_.input, s_.input, 1, std::min(tier_.nr, s_.channels - first), s_.input}, tier_.nr, rows);
      if (step == 1) {
        spread(rows, tier_.nr, 1, s_.input, panel, 0, image);
        continue;
      }
      for (int64_t line = 0; line < s_.input; line += width)
        for (int64_t rest = 0; rest < std::min(step, width); ++rest)
          spread(rows + (line + rest) * tier_.nr, tier_.nr, step, ceil_div(width - rest, step), panel, line + place(rest), image);
    }
  }

  // Filters in parts that stay near, each with all panels of channels.
  void multiply(bool accumulate) const {
    const int64_t tiles = ceil_div(s_.filters, tier_.mr), near = std::max<int64_t>(1, kNearElements / (s_.output * images_ * tier_.mr));
    const int64_t parts = ceil_div(tiles, near), panels = ceil_div(s_.channels, tier_.nr);
#pragma omp parallel for num_threads(team_) schedule(static) if (team_ > 1)
    for (int64_t i = 0; i < parts * panels; ++i) {
      const int64_t part = i / panels, first = tiles * part / parts * tier_.mr, last = std::min(s_.filters, tiles * (part + 1) / parts * tier_.mr);
      for_each_tap(s_, [&](int64_t index, const Tap& tap) {
        multiply_tap(tap, first, last - first, i % panels * tier_.nr, partial_ + index * s_.filters * s_.channels, accumulate);
      });
    }
  }

  // sums [filter][channel] of a tap.
  void multiply_tap(const Tap& tap, int64_t filter, int64_t filters, int64_t channel, T* sums, bool accumulate) const {
    const Window& w = s_.w;
    GemmBlock<T> block;
    block.rows = filters, block.cols = std::min(tier_.nr, s_.channels - channel);
    block.a_tile = s_.output * images_ * tier_.mr, block.a_k = tier_.mr, block.a_group = w.output[2] * images_ * tier_.mr;
    block.b_panel = s_.input * images_ * tier_.nr, block.b_k = tier_.nr, block.b_group = w.stride[1] * w.input[2] * images_ * tier_.nr;
    block.c = sums + filter * s_.channels + channel, block.ldc = s_.channels;
    for (int64_t depth = 0; depth < w.output[0]; ++depth) {
      const TapBlock in = clip_tap(s_, {depth, 0, w.output[1], 0, w.output[2]}, tap);
      if (in.empty()) continue;
      const int64_t line = in.source / w.input[2], from = line * w.input[2] + place(in.source % w.input[2]);
      block.k = in.width * images_, block.groups = in.lines;
      block.a = a_ + filter * s_.output * images_ + ((depth * w.output[1] + in.line) * w.output[2] + in.column) * images_ * tier_.mr;
      block.b = b_ + channel * s_.input * images_ + from * images_ * tier_.nr;
      block.accumulate = accumulate;
      tier_.multiply(block);
      accumulate = true;
    }
    for (int64_t f = 0; !accumulate && f < filters; ++f) std::fill_n(block.c + f * block.ldc, block.cols, T(0));  // a tap that meets padding only
  }

  void turn_sums(T* dw) const {
#pragma omp parallel for num_threads(team_) schedule(static) if (team_ > 1)
    for (int64_t f = 0; f < s_.filters; ++f)
      tier_.pack({partial_ + f * s_.channels, s_.filters * s_.channels, 1, s_.taps, s_.channels}, s_.taps, dw + f * s_.patch);
  }

  const ConvShape& s_;
  const GemmTier<T>& tier_;
  int64_t partial_elements_, a_elements_, b_elements_, turned_elements_;
  T *partial_ = nullptr, *a_ = nullptr, *b_ = nullptr, *turned_ = nullptr;
  int team_ = 1;
  int64_t images_ = 0;  // of the block at hand
};

bool may_sum_images(const ConvShape& s) { return s.groups == 1 && s.filters >= kLeastFilters && s.channels >= kLeastChannels; }

}  // namespace

bool weight_grad_sums_images(const ConvShape& s) { return may_sum_images(s) && s.output <= kSmallPlane && s.input <= kMostInput; }

template <class T>
int64_t small_weight_grad_elements(const ConvShape& s, const GemmTier<T>& tier, int threads) {
  return may_sum_images(s) ? SmallWeightGrad<T>(s, tier).elements(threads) : 0;  // whatever the plane
}

template <class T>
void small_weight_grad(const KernelContext& context, const ConvShape& s, const GemmTier<T>& tier, const T* x, const T* dy, T* dw, int64_t batch) {
  SmallWeightGrad<T>(s, tier).run(context, x, dy, dw, batch);
}

template int64_t small_weight_grad_elements<float>(const ConvShape&, const GemmTier<float>&, int);
template int64_t small_weight_grad_elements<double>(const ConvShape&, const GemmTier<double>&, int);
template void small_weight_grad<float>(const KernelContext&, const ConvShape&, const GemmTier<float>&, const float*, const float*, float*, int64_t);
template void small_weight_grad<double>(const KernelContext&, const ConvShape&, const GemmTier<double>&, const double*, const double*, double*,
                                        int64_t);

}  // namespace tandem::cpu
