// Gradient to the weights: dW [filters, patch] = sum over images and output pixels of dY [filters, pixels] * patches^T [pixels, patch].
//
// The sum runs along pixels, so both operands are transposed, block by block: dY into panels of A [pixel][mr]. With many channels X goes
// into panels of B [input pixel][nr channels], which every tap then reads in place at its own shift, strides and padding included
// (batch-reduce over lines): X is transposed once, not once a tap. With few channels the patches of a block are made and transposed.
//
// Threads share channels and a fixed number of segments of the batch, whose partial sums are added in order at the end: the
// order of every sum is a function of the shapes alone.
#include <omp.h>

#include "kernels/cpu/conv_im2col.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kSegments = 8;
constexpr int64_t kPartialElements = 1 << 20;  // above this, partial sums would cost more than they bring: one segment
constexpr int64_t kBlockElements = 96 * 1024;  // of the transposed block of pixels, both operands

template <class T>
struct Blocking {
  bool by_tap;           // X transposed once; else patches
  int64_t segments;      // of any batch at least as large
  int64_t most;          // output pixels of one block
  int64_t partial;       // elements of one partial dW
  int64_t a_elements, b_elements, patch_elements;

  Blocking(const ConvShape& s, const GemmTier<T>& tier) {
    const int64_t filters = round_up(s.filters, tier.mr), channels = round_up(s.channels, tier.nr), patch = round_up(s.patch, tier.nr);
    by_tap = 2 * s.channels >= tier.nr || s.taps == 1;
    partial = aligned_elements<T>(s.groups * s.filters * s.patch);
    segments = partial * kSegments <= kPartialElements ? kSegments : 1;
    const int64_t area = by_tap ? s.w.stride[1] * s.w.stride[2] * channels : 2 * patch;  // of B per output pixel, about
    most = std::max<int64_t>(tier.nr, kBlockElements / (filters + area));
    if (by_tap && !s.pointwise) most = std::max(most, s.w.output[2]);  // whole lines
    const int64_t pixels = largest_block(s, most);
    a_elements = aligned_elements<T>(filters * pixels);
    b_elements = aligned_elements<T>(!by_tap ? patch * pixels : channels * (s.pointwise ? pixels : most_lines(s) * s.w.input[2]));
    patch_elements = by_tap ? 0 : aligned_elements<T>(s.patch * pixels);
  }
  // Input lines that a block can reach.
  int64_t most_lines(const ConvShape& s) const {
    const int64_t lines = std::max<int64_t>(1, largest_block(s, most) / s.w.output[2]);
    return std::min(s.w.input[1], (lines - 1) * s.w.stride[1] + (s.w.kernel[1] - 1) * s.w.dilation[1] + 1);
  }
  int64_t each() const { return a_elements + b_elements + patch_elements; }
};

// One task: the images of a segment, one group, the channels [first, last).
template <class T>
struct Task {
  const ConvShape& s;
  const GemmTier<T>& tier;
  const Blocking<T>& blocking;
  int64_t first, last;
  const T *x, *dy;  // planes of this image and group
  T* dw;            // partial sum of this group: [tap][filter][channel] by tap, else [filter][patch]
  T *a, *b, *patches;

  GemmBlock<T> sums(int64_t pixels) const {
    GemmBlock<T> block;
    block.rows = s.filters;
    block.a_tile = tier.mr * pixels;
    block.a_k = tier.mr;
    block.accumulate = true;
    return block;
  }

  void add(const PixelBlock& pixels) const {
    tier.pack({dy + pixels.first(s), s.output, 1, s.filters, pixels.pixels()}, tier.mr, a);
    if (blocking.by_tap) add_by_tap(pixels);
    else add_by_patch(pixels);
  }

  void add_by_patch(const PixelBlock& pixels) const {
    const int64_t count = pixels.pixels(), channels = last - first;
    copy_patches(tier, s, x + first * s.input, channels, pixels, patches, count);
    tier.pack({patches, count, 1, channels * s.taps, count}, tier.nr, b);
    GemmBlock<T> block = sums(count);
    block.cols = channels * s.taps;
    block.a = a;
    block.k = count;
    block.b = b, block.b_k = tier.nr, block.b_panel = tier.nr * count;
    block.c = dw + first * s.taps, block.ldc = s.patch;
    tier.multiply(block);
  }

  // The input lines of one depth that the block meets, transposed once for all taps of that depth.
  void add_by_tap(const PixelBlock& pixels) const {
    const Window& w = s.w;
    const int64_t from = pixels.line * w.stride[1] - w.pad_begin[1];
    const int64_t line0 = std::max<int64_t>(0, from);
    const int64_t line1 = std::min(w.input[1], from + (pixels.lines - 1) * w.stride[1] + (w.kernel[1] - 1) * w.dilation[1] + 1);
    const int64_t count = s.pointwise ? pixels.width : (line1 - line0) * w.input[2];
    if (count <= 0) return;
    int64_t packed_depth = -1;
    for_each_tap(s, [&](int64_t index, const Tap& tap) {
      const TapBlock in = clip_tap(s, pixels, tap);
      if (in.empty()) return;
      const int64_t depth = pixels.depth * w.stride[0] - w.pad_begin[0] + tap.depth * w.dilation[0];
      const int64_t origin = s.pointwise ? pixels.column : (depth * w.input[1] + line0) * w.input[2];
      if (depth != packed_depth) tier.pack({x + first * s.input + origin, s.input, 1, last - first, count}, tier.nr, b);
      packed_depth = depth;
      GemmBlock<T> block = sums(pixels.pixels());
      block.cols = last - first;
      block.k = in.width, block.groups = in.lines;
      block.a = a + (in.line * pixels.width + in.column) * tier.mr, block.a_group = pixels.width * tier.mr;
      block.b = b + (in.source - origin) * tier.nr, block.b_panel = tier.nr * count;
      block.b_k = w.stride[2] * tier.nr, block.b_group = w.stride[1] * w.input[2] * tier.nr;
      block.c = dw + index * s.filters * s.channels + first, block.ldc = s.channels;
      tier.multiply(block);
    });
  }
};

// dw = the partial sums added in order, in the order of the weights.
template <class T>
void add_segments(const KernelContext& context, const ConvShape& s, const Blocking<T>& blocking, const T* partial, int64_t segments, T* dw) {
  // Where the sum of (filter, channel, tap) lies in a partial sum: filter * by_filter + channel * by_channel + tap * by_tap.
  const int64_t by_filter = blocking.by_tap ? s.channels : s.patch, by_channel = blocking.by_tap ? 1 : s.taps;
  const int64_t by_tap = blocking.by_tap ? s.filters * s.channels : 1;
#pragma omp parallel for num_threads(context.threads) schedule(static) if (s.groups * s.filters * s.patch > 16 * 1024)
  for (int64_t filter = 0; filter < s.groups * s.filters; ++filter) {
    const T* first = partial + filter / s.filters * s.filters * s.patch + filter % s.filters * by_filter;
    T* out = dw + filter * s.patch;
    std::fill_n(out, s.patch, T(0));
    for (int64_t segment = 0; segment < segments; ++segment, first += blocking.partial)
      for (int64_t tap = 0; tap < s.taps; ++tap)
        for (int64_t channel = 0; channel < s.channels; ++channel)
          out[channel * s.taps + tap] += first[channel * by_channel + tap * by_tap];
  }
}

// What one thread needs for this plane and all smaller ones: a narrow one may fill its blocks better than a wide one.
template <class T>
int64_t most_each(const ConvShape& s, const GemmTier<T>& tier) {
  if (s.pointwise) return Blocking<T>(s, tier).each();
  int64_t most = 0;
  ConvShape narrow = s;
  for (int64_t width = 1; width <= s.w.output[2]; ++width) {
    narrow.w.output[2] = width;
    narrow.w.input[2] = std::min(
        s.w.input[2], (width - 1) * s.w.stride[2] + (s.w.kernel[2] - 1) * s.w.dilation[2] + std::max(s.w.stride[2], s.w.dilation[2]));
    most = std::max(most, Blocking<T>(narrow, tier).each());
  }
  return most;
}

}  // namespace

template <class T>
int64_t conv_weight_grad_elements(const ConvShape& s, const GemmTier<T>& tier, int threads) {
  const Blocking<T> blocking(s, tier);
  return blocking.segments * blocking.partial + threads * most_each(s, tier);
}

template <class T>
void conv_weight_grad(const KernelContext& context, const ConvShape& s, const GemmTier<T>& tier, const T* x, const T* dy, T* dw,
                      int64_t batch) {
  const Blocking<T> blocking(s, tier);
  const int64_t elements = blocking.segments * blocking.partial + context.threads * blocking.each();
  T* partial = workspace_of<T>(context.workspace, elements, "weight gradient of conv");
  T* scratch = partial + blocking.segments * blocking.partial;
  std::fill(partial, scratch, T(0));
  const int64_t segments = std::min(blocking.segments, batch), images = segments * s.groups, columns = ceil_div(s.channels, tier.nr);
  const int64_t parts = images == 0 || images >= context.threads ? 1 : std::min(columns, ceil_div(context.threads, images));
#pragma omp parallel for num_threads(context.threads) schedule(static) if (worth_a_team(s, batch))
  for (int64_t i = 0; i < images * parts; ++i) {
    const int64_t part = i % parts, group = i / parts % s.groups, segment = i / parts / s.groups;
    T* own = scratch + omp_get_thread_num() * blocking.each();
    T* sum = partial + segment * blocking.partial + group * s.filters * s.patch;
    Task<T> task{s, tier, blocking, columns * part / parts * tier.nr, std::min(s.channels, columns * (part + 1) / parts * tier.nr),
                 nullptr, nullptr, sum, own, own + blocking.a_elements, own + blocking.a_elements + blocking.b_elements};
    for (int64_t image = batch * segment / segments; image < batch * (segment + 1) / segments; ++image) {
      task.x = x + (image * s.groups + group) * s.channels * s.input;
      task.dy = dy + (image * s.groups + group) * s.filters * s.output;
      for_each_block(s, blocking.most, [&](const PixelBlock& block) { task.add(block); });
    }
  }
  add_segments(context, s, blocking, partial, segments, dw);
}

template int64_t conv_weight_grad_elements<float>(const ConvShape&, const GemmTier<float>&, int);
template int64_t conv_weight_grad_elements<double>(const ConvShape&, const GemmTier<double>&, int);
template void conv_weight_grad<float>(const KernelContext&, const ConvShape&, const GemmTier<float>&, const float*, const float*, float*,
                                      int64_t);
template void conv_weight_grad<double>(const KernelContext&, const ConvShape&, const GemmTier<double>&, const double*, const double*,
                                       double*, int64_t);

}  // namespace tandem::cpu
