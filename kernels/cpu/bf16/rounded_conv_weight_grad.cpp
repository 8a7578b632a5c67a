// The gradient to the weights in bf16: dW^T [patch, filters] = sum over images and output pixels of patches [patch, pixels] * dY^T [pixels, filters].
// Neighbouring pixels are the pairs. Blocks of about a thousand of them take parts of an image or many images, so that small planes have long sums, too.
// Of each block dY is packed into panels, shared by filters; then threads share channels, make their rows of patches and add the products to dW^T.
// At stride 1 along a line the input under a block is rounded once for all taps, with the border around it.
//
// The order of a sum is that of the blocks, a function of the shapes.
#include <omp.h>

#include "kernels/cpu/bf16/rounded_conv.h"
#include "kernels/cpu/conv_im2col.h"
#include "kernels/cpu/patch_gather.h"
#include "kernels/cpu/pixel_batch.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kBlockPixels = 1024;
constexpr int64_t kRowBytes = 192 * 1024;    // of rows of a task: they stay in the second-level cache
constexpr int64_t kPatchFloats = 8 * 1024;   // before they are rounded
constexpr int64_t kPairs = 16;               // that are packed together

using Pixels = PixelBatch<kBlockPixels, 2>;  // no pair is in two images

struct Sizes {
  ConvShape s;
  int64_t stride, channels;       // of a row of A; the most channels of a task
  int64_t sums, panels;           // bytes: of dW^T, of dY
  int64_t rows, patches;          // of a thread

  explicit Sizes(const ConvGeometry& g)
      : s(g), stride(spread_stride(2 * kBlockPixels)), channels(std::clamp<int64_t>(kRowBytes / (s.taps * stride), 1, s.channels)),
        sums(round_up(s.patch * s.filters * 4, kRowAlignment)), panels(round_up(s.filters, kPanelColumns) * 2 * kBlockPixels),
        rows(channels * s.taps * stride), patches(std::max(kPatchFloats * 4, std::max(s.taps * kBlockPixels * 4, most_region() * 2))) {}
  // Of any block: lines times width is at most kBlockPixels.
  int64_t most_region() const {
    const int64_t lines = s.w.dilation[1] * s.w.kernel[1], width = s.w.dilation[2] * s.w.kernel[2];
    return round_up(s.w.kernel[0] * (kBlockPixels * (s.w.stride[1] * (1 + width) + lines) + lines * width), kRowAlignment);
  }
  int64_t own() const { return rows + patches; }
};

class WeightGrad {
 public:
  WeightGrad(const KernelContext& context, const ConvGeometry& g, Isa isa, int team, const float* x, const float* dy)
      : z_(g), s_(z_.s), kernel_(bf16_kernel(isa)), moves_(gemm_tier<float>(isa)), team_(team), x_(x), dy_(dy) {
    std::byte* memory = context.workspace.data();
    sums_ = reinterpret_cast<float*>(memory), panels_ = memory + z_.sums, scratch_ = panels_ + z_.panels;
    const int64_t tasks = std::min(s_.channels, round_up(ceil_div(s_.channels, z_.channels), team_));
    channels_ = ceil_div(s_.channels, tasks);
  }

  void run(int64_t batch, float* dw) {
    bool accumulate = false;
    Pixels::for_each(s_, batch, [&](const Pixels& block) {
      multiply_block(block, accumulate);
      accumulate = true;
    });
    turn(dw);
  }

 private:
  void multiply_block(const Pixels& block, bool accumulate) const {
    const BlockDepth depth = copied_depth(2 * block.pixels(), kernel_.step);
    const int64_t width = round_up(s_.filters, kPanelColumns), tasks = ceil_div(s_.channels, channels_);
#pragma omp parallel for num_threads(team_) schedule(static) if (team_ > 1)
    for (int64_t f = 0; f < width; f += kPanelColumns) pack_filters(block, f, depth.bytes);
#pragma omp parallel for num_threads(team_) schedule(static) if (team_ > 1)
    for (int64_t task = 0; task < tasks; ++task) {
      const int64_t first = task * channels_, last = std::min(s_.channels, first + channels_);
      std::byte* rows = scratch_ + omp_get_thread_num() * z_.own();
      make_rows(block, first, last, depth.bytes, rows, rows + z_.rows);
      multiply(kernel_, {.a = rows,
                         .a_stride = z_.stride,
                         .rows = (last - first) * s_.taps,
                         .panels = panels_,
                         .columns = s_.filters,
                         .depth = depth,
                         .c = sums_ + first * s_.taps * s_.filters,
                         .ldc = s_.filters,
                         .accumulate = accumulate});
    }
  }

  // The panel of filters from `f` on.
  void pack_filters(const Pixels& block, int64_t f, int64_t depth) const {
    std::byte* panel = panels_ + f * depth;
    const auto line = [&](int64_t pixel) { return panel + pixel / 2 * 4 * kPanelColumns; };
    for (const PixelSegment& segment : block.segments()) {
      const int64_t pixels = segment.pixels.pixels();
      const float* dy = dy_ + (segment.image * s_.filters + f) * s_.output + segment.pixels.first(s_);
      for (int64_t i = 0; i < pixels; i += 2 * kPairs)
        kernel_.round_transposed(dy + i, s_.output, pixels - i, std::min(kPanelColumns, s_.filters - f), std::min(kPairs, ceil_div(pixels - i, 2)),
                                 line(segment.at + i));
    }
    std::memset(line(block.pixels()), 0, static_cast<size_t>(depth / 4 - block.pixels() / 2) * 4 * kPanelColumns);
  }

  // Of one channel, those of all taps, read from the input under the block.
  void copy_rows(const float* x, const PixelBlock& block, BF16* region, std::byte* to) const {
    const Window& w = s_.w;
    const int64_t lines = (block.lines - 1) * w.stride[1] + (w.kernel[1] - 1) * w.dilation[1] + 1, width = block.width + (w.kernel[2] - 1) * w.dilation[2];
    const int64_t line = block.line * w.stride[1] - w.pad_begin[1], column = block.column - w.pad_begin[2];
    const int64_t from = std::max<int64_t>(0, -column), count = std::min(width, w.input[2] - column) - from;
    for (int64_t d = 0; d < w.kernel[0]; ++d) {
      const int64_t depth = block.depth * w.stride[0] - w.pad_begin[0] + d * w.dilation[0];
      for (int64_t i = 0; i < lines; ++i) {
        BF16* at = region + (d * lines + i) * width;
        const bool inside = depth >= 0 && depth < w.input[0] && line + i >= 0 && line + i < w.input[1] && count > 0;
        if (!inside || count < width) std::fill_n(at, width, BF16{});
        if (inside) kernel_.narrow(x + (depth * w.input[1] + line + i) * w.input[2] + column + from, at + from, count);
      }
    }
    for_each_tap(s_, [&](int64_t index, const Tap& tap) {
      const BF16* at = region + (tap.depth * lines + tap.line * w.dilation[1]) * width + tap.column * w.dilation[2];
      for (int64_t i = 0; i < block.lines; ++i)
        copy_bytes(to + index * z_.stride + 2 * i * block.width, reinterpret_cast<const std::byte*>(at + i * w.stride[1] * width), 2 * block.width);
    });
  }

  // The same of several channels, by patches of f32.
  void round_patches(const float* x, int64_t channels, const PixelBlock& block, float* patches, std::byte* to) const {
    const int64_t pixels = block.pixels();
    copy_patches(moves_, s_, x, channels, block, patches, pixels);
    kernel_.narrow_rows(patches, pixels, reinterpret_cast<BF16*>(to), z_.stride / 2, channels * s_.taps, pixels);
  }

  // The rows of the taps of channels [first, last).
  void make_rows(const Pixels& block, int64_t first, int64_t last, int64_t depth, std::byte* rows, std::byte* scratch) const {
    const bool in_lines = s_.w.stride[2] == 1;
    for (const PixelSegment& segment : block.segments()) {
      const int64_t pixels = segment.pixels.pixels(), step = in_lines ? 1 : std::max<int64_t>(1, kPatchFloats / (s_.taps * pixels));
      for (int64_t c = first; c < last; c += step) {
        const int64_t channels = std::min(step, last - c);
        const float* x = x_ + (segment.image * s_.channels + c) * s_.input;
        std::byte* to = rows + (c - first) * s_.taps * z_.stride + 2 * segment.at;
        if (in_lines) copy_rows(x, segment.pixels, reinterpret_cast<BF16*>(scratch), to);
        else round_patches(x, channels, segment.pixels, reinterpret_cast<float*>(scratch), to);
        if (pixels % 2 != 0)
          for (int64_t r = 0; r < channels * s_.taps; ++r) std::memset(to + r * z_.stride + 2 * pixels, 0, 2);
      }
    }
    for (int64_t r = 0; 2 * block.pixels() < depth && r < (last - first) * s_.taps; ++r)
      std::memset(rows + r * z_.stride + 2 * block.pixels(), 0, static_cast<size_t>(depth - 2 * block.pixels()));
  }

  // dw [filters, patch]
  void turn(float* dw) const {
#pragma omp parallel for num_threads(team_) schedule(static) if (team_ > 1)
    for (int64_t f = 0; f < s_.filters; f += kPanelColumns)
      moves_.pack({sums_ + f, s_.filters, 1, s_.patch, std::min(kPanelColumns, s_.filters - f)}, s_.patch, dw + f * s_.patch);
  }

  Sizes z_;
  const ConvShape& s_;
  const Bf16Kernel& kernel_;
  const GemmTier<float>& moves_;
  int team_;
  const float *x_, *dy_;
  int64_t channels_ = 1;
  float* sums_;
  std::byte *panels_, *scratch_;
};

}  // namespace

int64_t rounded_weight_grad_bytes(const ConvGeometry& g, Isa, int threads) {
  const Sizes z(g);
  return z.sums + z.panels + threads * z.own();
}

void rounded_weight_grad(const KernelContext& context, const ConvGeometry& g, Isa isa, const float* x, const float* dy, float* dw, int64_t batch) {
  if (batch == 0) return static_cast<void>(std::fill_n(dw, g.weight_shape().elements(), 0.0f));
  WeightGrad(context, g, isa, worth_a_team(ConvShape(g), batch) ? context.threads : 1, x, dy).run(batch, dw);
}

}  // namespace tandem::cpu
