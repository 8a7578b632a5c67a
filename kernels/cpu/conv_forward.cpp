// Forward convolution: for each image and group, Y [filters, pixels] = W [filters, patch] * patches [patch, pixels].
//
// Patches go straight into panels of B, a block of pixels and a block of channels at a time (implicit im2col: Chetlur et al., "cuDNN:
// Efficient Primitives for Deep Learning", 2014, section 3). Threads share (image, group, pixel block, filter block).
#include <omp.h>

#include "kernels/cpu/conv_im2col.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/activation.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {
namespace {

// Of patches held at once: they stay in the second-level cache, and small next to the images.
constexpr int64_t kLeastPanelElements = 8 * 1024, kMostPanelElements = 64 * 1024;

// Channels of one block of k: whole patches of channels, about kMaxSteps steps.
int64_t channel_step(const ConvShape& s) { return even_step(s.channels, std::max<int64_t>(1, kMaxSteps / s.taps)); }

// The most pixels that block_pixels says, for this plane and all smaller ones.
template <class T>
int64_t most_pixels(const ConvShape& s, const GemmTier<T>& tier) {
  const int64_t image = s.groups * (s.channels * s.input + s.filters * s.output);
  const int64_t elements = std::clamp(image / 2, kLeastPanelElements, kMostPanelElements);
  const int64_t wanted = std::max<int64_t>(tier.nr, elements / (channel_step(s) * s.taps) / tier.nr * tier.nr);
  return std::min(wanted, round_up(s.output, tier.nr));
}

template <class T>
int64_t block_pixels(const ConvShape& s, const GemmTier<T>& tier) {
  const int64_t panels = ceil_div(s.output, tier.nr), blocks = ceil_div(panels * tier.nr, most_pixels(s, tier));
  return ceil_div(panels, blocks) * tier.nr;  // equal blocks
}

// One thread's task: some filters of one group over some pixels of one image.
template <class T>
void convolve(const ConvShape& s, const GemmTier<T>& tier, const ConvOperands<T>& o, int64_t image, int64_t group, int64_t pixel,
              int64_t pixels, int64_t first_tile, int64_t tiles, T* panels) {
  const int64_t tile_rows = round_up(s.filters, tier.mr), step = channel_step(s);
  const T* x = o.x + (image * s.groups + group) * s.channels * s.input;
  const T* w = o.packed + group * tile_rows * s.patch;
  const int64_t row = first_tile * tier.mr, plane = ((image * s.groups + group) * s.filters + row) * s.output + pixel;
  GemmBlock<T> block;
  block.rows = std::min(tiles * tier.mr, s.filters - row);
  block.cols = pixels;
  block.a_k = tier.mr;
  block.b = panels, block.b_k = tier.nr;
  block.c = o.y + plane;
  block.ldc = block.ld_addend = s.output;
  if (o.residual) block.addend = o.residual + plane;
  for (int64_t c = 0; c < s.channels; c += step) {
    const int64_t channels = std::min(step, s.channels - c);
    pack_patches(tier, s, x + c * s.input, channels, pixel, pixels, panels);
    block.k = channels * s.taps;
    block.a = w + c * s.taps * tile_rows + row * block.k;
    block.a_tile = tier.mr * block.k;
    block.b_panel = tier.nr * block.k;
    block.accumulate = c > 0;
    if (c + channels == s.channels) {
      block.row_bias = o.bias ? o.bias + group * s.filters + row : nullptr;
      block.relu = o.activation.is(UnaryOp::kRelu);
    }
    tier.multiply(block);
  }
  if (!in_tile(o.activation)) activate(o.activation, block.c, block.ldc, block.rows, block.cols);
}

}  // namespace

template <class T>
int64_t filter_panel_elements(const ConvShape& s, const GemmTier<T>& tier) {
  return aligned_elements<T>(s.groups * round_up(s.filters, tier.mr) * s.patch);
}

template <class T>
void pack_filter_panels(const ConvShape& s, const GemmTier<T>& tier, const T* w, T* panels, int threads) {
  const int64_t tile_rows = round_up(s.filters, tier.mr), step = channel_step(s), blocks = ceil_div(s.channels, step);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && s.groups * s.filters * s.patch > 128 * 1024)
  for (int64_t i = 0; i < s.groups * blocks; ++i) {
    const int64_t group = i / blocks, k0 = i % blocks * step * s.taps, steps = std::min(step * s.taps, s.patch - k0);
    tier.pack({w + group * s.filters * s.patch + k0, s.patch, 1, s.filters, steps}, tier.mr,
              panels + (group * s.patch + k0) * tile_rows);
  }
}

template <class T>
int64_t conv_forward_elements(const ConvShape& s, const GemmTier<T>& tier, int threads) {
  return threads * aligned_elements<T>(most_pixels(s, tier) * channel_step(s) * s.taps);
}

template <class T>
void conv_forward(const KernelContext& context, const ConvShape& s, const GemmTier<T>& tier, const ConvOperands<T>& operands) {
  const int64_t filters = operands.packed ? 0 : filter_panel_elements(s, tier);
  T* scratch = workspace_of<T>(context.workspace, filters + conv_forward_elements(s, tier, context.threads), "conv");
  ConvOperands<T> o = operands;
  if (!o.packed) {
    pack_filter_panels(s, tier, o.w, scratch, context.threads);
    o.packed = scratch;
    scratch += filters;
  }
  const int64_t block = block_pixels(s, tier), blocks = ceil_div(s.output, block), tiles = ceil_div(s.filters, tier.mr);
  // Few images of few pixels: the filters are shared too, at the price of packing the same patches more than once.
  const int64_t tasks = o.batch * s.groups * blocks;
  const int64_t parts = tasks >= context.threads ? 1 : std::min(tiles, ceil_div(context.threads, tasks));
  const int64_t each = aligned_elements<T>(block * channel_step(s) * s.taps);
#pragma omp parallel for num_threads(context.threads) schedule(static) if (worth_a_team(s, o.batch))
  for (int64_t task = 0; task < tasks * parts; ++task) {
    const int64_t part = task % parts, b = task / parts % blocks, group = task / parts / blocks % s.groups;
    const int64_t first = tiles * part / parts, last = tiles * (part + 1) / parts, pixel = b * block;
    convolve(s, tier, o, task / parts / blocks / s.groups, group, pixel, std::min(block, s.output - pixel), first, last - first,
             scratch + omp_get_thread_num() * each);
  }
}

template int64_t filter_panel_elements<float>(const ConvShape&, const GemmTier<float>&);
template int64_t filter_panel_elements<double>(const ConvShape&, const GemmTier<double>&);
template void pack_filter_panels<float>(const ConvShape&, const GemmTier<float>&, const float*, float*, int);
template void pack_filter_panels<double>(const ConvShape&, const GemmTier<double>&, const double*, double*, int);
template int64_t conv_forward_elements<float>(const ConvShape&, const GemmTier<float>&, int);
template int64_t conv_forward_elements<double>(const ConvShape&, const GemmTier<double>&, int);
template void conv_forward<float>(const KernelContext&, const ConvShape&, const GemmTier<float>&, const ConvOperands<float>&);
template void conv_forward<double>(const KernelContext&, const ConvShape&, const GemmTier<double>&, const ConvOperands<double>&);

}  // namespace tandem::cpu
