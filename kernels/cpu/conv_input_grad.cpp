// Gradient to the input: for each image and group, patches [patch, pixels] = W^T [patch, filters] * dY [filters, pixels], each row of
// which is then added to the input pixels that its tap met. A few channels and a block of pixels at a time, so that the patches stay in
// the second-level cache. Threads share (image, group, channels): every input element has one owner, which adds in one order.
#include <omp.h>

#include <numeric>

#include "kernels/cpu/conv_im2col.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {
namespace {

template <class T>
struct Blocking {
  int64_t channels;   // of one chunk
  int64_t tile_rows;  // rows of A of one chunk, whole tiles
  int64_t chunks;
  int64_t most;       // pixels of one block
  int64_t b_elements, patch_elements;

  Blocking(const ConvShape& s, const GemmTier<T>& tier) {
    constexpr int64_t kLeastRows = 36, kPatchElements = 24 * 1024, kPanelElements = 128 * 1024;
    const int64_t whole = tier.mr / std::gcd(tier.mr, s.taps);  // so many channels fill their tiles
    channels = whole * s.taps > 2 * kLeastRows ? std::max<int64_t>(1, kLeastRows / s.taps) : round_up(ceil_div(kLeastRows, s.taps), whole);
    channels = std::min(channels, s.channels);
    tile_rows = round_up(channels * s.taps, tier.mr);
    chunks = ceil_div(s.channels, channels);
    most = std::max(tier.nr, std::min(kPatchElements / (channels * s.taps), kPanelElements / s.filters) / tier.nr * tier.nr);
    const int64_t pixels = std::min(most, s.w.output[1] * s.w.output[2]);  // of any block, of a smaller plane too
    b_elements = aligned_elements<T>(s.filters * round_up(pixels, tier.nr));
    patch_elements = s.pointwise ? 0 : aligned_elements<T>(channels * s.taps * pixels);
  }
  int64_t each() const { return b_elements + patch_elements; }
  int64_t panels(const ConvShape& s) const { return aligned_elements<T>(s.groups * chunks * tile_rows * s.filters); }
};

// W^T as panels of A: [group][chunk][k block][tile][k][mr].
template <class T>
void pack_transposed_filters(const ConvShape& s, const GemmTier<T>& tier, const Blocking<T>& blocking, const T* w, T* panels, int threads) {
  const int64_t step = k_step(s.filters);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1 && s.groups * s.filters * s.patch > 128 * 1024)
  for (int64_t i = 0; i < s.groups * blocking.chunks; ++i) {
    const int64_t group = i / blocking.chunks, channel = i % blocking.chunks * blocking.channels;
    const int64_t rows = std::min(blocking.channels, s.channels - channel) * s.taps;
    for (int64_t f = 0; f < s.filters; f += step)
      tier.pack({w + (group * s.filters + f) * s.patch + channel * s.taps, 1, s.patch, rows, std::min(step, s.filters - f)}, tier.mr,
                panels + (i * s.filters + f) * blocking.tile_rows);
  }
}

// dY of one block of pixels as panels of B: [k block][panel][k][nr].
template <class T>
void pack_output_grad(const ConvShape& s, const GemmTier<T>& tier, const T* dy, int64_t pixels, T* panels) {
  const int64_t step = k_step(s.filters), width = round_up(pixels, tier.nr);
  for (int64_t f = 0; f < s.filters; f += step)
    tier.pack({dy + f * s.output, 1, s.output, pixels, std::min(step, s.filters - f)}, tier.nr, panels + f * width);
}

// c[rows, pixels] = A (one chunk) * B (one block)
template <class T>
void multiply_chunk(const ConvShape& s, const GemmTier<T>& tier, const Blocking<T>& blocking, const T* a, const T* b, int64_t rows,
                    int64_t pixels, T* c, int64_t ldc) {
  const int64_t step = k_step(s.filters), width = round_up(pixels, tier.nr);
  GemmBlock<T> block;
  block.rows = rows, block.cols = pixels;
  block.a_k = tier.mr, block.b_k = tier.nr;
  block.c = c, block.ldc = ldc;
  for (int64_t f = 0; f < s.filters; f += step) {
    block.k = std::min(step, s.filters - f);
    block.a = a + f * blocking.tile_rows, block.a_tile = tier.mr * block.k;
    block.b = b + f * width, block.b_panel = tier.nr * block.k;
    block.accumulate = f > 0;
    tier.multiply(block);
  }
}

}  // namespace

template <class T>
int64_t conv_input_grad_elements(const ConvShape& s, const GemmTier<T>& tier, int threads) {
  const Blocking<T> blocking(s, tier);
  return blocking.panels(s) + threads * blocking.each();
}

template <class T>
void conv_input_grad(const KernelContext& context, const ConvShape& s, const GemmTier<T>& tier, const T* w, const T* dy, T* dx,
                     int64_t batch) {
  const Blocking<T> blocking(s, tier);
  T* panels = workspace_of<T>(context.workspace, conv_input_grad_elements(s, tier, context.threads), "gradient of conv");
  T* scratch = panels + blocking.panels(s);
  pack_transposed_filters(s, tier, blocking, w, panels, context.threads);
  const int64_t images = batch * s.groups;
  const int64_t parts = images >= context.threads ? 1 : std::min(blocking.chunks, ceil_div(context.threads, std::max<int64_t>(1, images)));
#pragma omp parallel for num_threads(context.threads) schedule(static) if (worth_a_team(s, batch))
  for (int64_t task = 0; task < images * parts; ++task) {
    const int64_t image = task / parts, part = task % parts;  // image counts groups too
    const int64_t first = blocking.chunks * part / parts, last = blocking.chunks * (part + 1) / parts;
    T* b = scratch + omp_get_thread_num() * blocking.each();
    T* patches = b + blocking.b_elements;
    T* planes = dx + image * s.channels * s.input;
    if (!s.pointwise)
      std::fill(planes + first * blocking.channels * s.input, planes + std::min(s.channels, last * blocking.channels) * s.input, T(0));
    for_each_block(s, blocking.most, [&](const PixelBlock& block) {
      const int64_t pixel = block.first(s), pixels = block.pixels();
      pack_output_grad(s, tier, dy + image * s.filters * s.output + pixel, pixels, b);
      for (int64_t chunk = first; chunk < last; ++chunk) {
        const int64_t channel = chunk * blocking.channels, channels = std::min(blocking.channels, s.channels - channel);
        const T* a = panels + (image % s.groups * blocking.chunks + chunk) * s.filters * blocking.tile_rows;
        T* out = planes + channel * s.input;
        if (s.pointwise) {
          multiply_chunk(s, tier, blocking, a, b, channels, pixels, out + pixel, s.input);
        } else {
          multiply_chunk(s, tier, blocking, a, b, channels * s.taps, pixels, patches, pixels);
          add_patches(s, tier, patches, channels, block, out);
        }
      }
    });
  }
}

template int64_t conv_input_grad_elements<float>(const ConvShape&, const GemmTier<float>&, int);
template int64_t conv_input_grad_elements<double>(const ConvShape&, const GemmTier<double>&, int);
template void conv_input_grad<float>(const KernelContext&, const ConvShape&, const GemmTier<float>&, const float*, const float*, float*,
                                     int64_t);
template void conv_input_grad<double>(const KernelContext&, const ConvShape&, const GemmTier<double>&, const double*, const double*,
                                      double*, int64_t);

}  // namespace tandem::cpu
