// Gradient to the weights where planes are small: dW [filters, patch] = sum over images and output pixels of dY [filters, pixels] * patches^T
// [pixels, patch], a block of pixels being many images. Sums along one plane of 4 x 4 would load and store all of dW for sixteen products each.
//
// Of each block dY is packed into panels of A, shared by filters; then threads share channels, whose patches they make and transpose into panels of B.
#include <omp.h>

#include "kernels/cpu/conv_im2col.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/blocking.h"
#include "kernels/cpu/pixel_batch.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kSmallPlane = 64;          // pixels; beyond it a block of one plane does as well
constexpr int64_t kLeastFilters = 32;        // for fewer, patches cost more than products
constexpr int64_t kMostPixels = 384;         // of a block
constexpr int64_t kPanelElements = 48 * 1024;  // of B of a thread: they stay in the second-level cache

using Pixels = PixelBatch<kMostPixels, 1>;

template <class T>
struct Sizes {
  int64_t channels;            // of a task, at most
  int64_t a, b, patches;       // elements: shared, and of a thread
  Sizes(const ConvShape& s, const GemmTier<T>& tier)
      : channels(std::clamp<int64_t>(kPanelElements / (kMostPixels * s.taps), 1, s.channels)),
        a(aligned_elements<T>(round_up(s.filters, tier.mr) * kMostPixels)),
        b(aligned_elements<T>(round_up(channels * s.taps, tier.nr) * kMostPixels)), patches(aligned_elements<T>(channels * s.taps * kMostPixels)) {}
};

}  // namespace

bool weight_grad_sums_images(const ConvShape& s) { return s.groups == 1 && s.output <= kSmallPlane && s.filters >= kLeastFilters; }

template <class T>
int64_t small_weight_grad_elements(const ConvShape& s, const GemmTier<T>& tier, int threads) {
  if (s.groups != 1 || s.filters < kLeastFilters) return 0;  // whatever the plane
  const Sizes<T> z(s, tier);
  return z.a + threads * (z.b + z.patches);
}

template <class T>
void small_weight_grad(const KernelContext& context, const ConvShape& s, const GemmTier<T>& tier, const T* x, const T* dy, T* dw, int64_t batch) {
  const Sizes<T> z(s, tier);
  T* a = workspace_of<T>(context.workspace, small_weight_grad_elements(s, tier, context.threads), "weight gradient of conv");
  T* scratch = a + z.a;
  const int team = worth_a_team(s, batch) ? context.threads : 1;
  const int64_t wanted = std::min(s.channels, round_up(ceil_div(s.channels, z.channels), team)), step = ceil_div(s.channels, wanted);
  if (batch == 0) std::fill_n(dw, s.filters * s.patch, T(0));
  bool accumulate = false;
  Pixels::for_each(s, batch, [&](const Pixels& block) {
    const int64_t pixels = block.pixels();
#pragma omp parallel for num_threads(team) schedule(static) if (team > 1)
    for (int64_t f = 0; f < s.filters; f += tier.mr)
      for (const PixelSegment& segment : block.segments())
        tier.pack({dy + (segment.image * s.filters + f) * s.output + segment.pixels.first(s), s.output, 1, std::min(tier.mr, s.filters - f),
                   segment.pixels.pixels()},
                  tier.mr, a + f * pixels + segment.at * tier.mr);
#pragma omp parallel for num_threads(team) schedule(static) if (team > 1)
    for (int64_t first = 0; first < s.channels; first += step) {
      const int64_t channels = std::min(step, s.channels - first);
      T *b = scratch + omp_get_thread_num() * (z.b + z.patches), *patches = b + z.b;
      for (const PixelSegment& segment : block.segments())
        copy_patches(tier, s, x + (segment.image * s.channels + first) * s.input, channels, segment.pixels, patches + segment.at, pixels);
      tier.pack({patches, pixels, 1, channels * s.taps, pixels}, tier.nr, b);
      GemmBlock<T> sums;
      sums.rows = s.filters, sums.cols = channels * s.taps, sums.k = pixels;
      sums.a = a, sums.a_tile = tier.mr * pixels, sums.a_k = tier.mr;
      sums.b = b, sums.b_panel = tier.nr * pixels, sums.b_k = tier.nr;
      sums.c = dw + first * s.taps, sums.ldc = s.patch;
      sums.accumulate = accumulate;
      tier.multiply(sums);
    }
    accumulate = true;
  });
}

template int64_t small_weight_grad_elements<float>(const ConvShape&, const GemmTier<float>&, int);
template int64_t small_weight_grad_elements<double>(const ConvShape&, const GemmTier<double>&, int);
template void small_weight_grad<float>(const KernelContext&, const ConvShape&, const GemmTier<float>&, const float*, const float*, float*, int64_t);
template void small_weight_grad<double>(const KernelContext&, const ConvShape&, const GemmTier<double>&, const double*, const double*, double*,
                                        int64_t);

}  // namespace tandem::cpu
