// Winograd convolutions as blocks of tiles: pixels to points, a product at each point, points to pixels.
#pragma once

#include <cstddef>

#include "kernels/api/conv_winograd.h"
#include "kernels/cpu/channels_last/product.h"
#include "kernels/cpu/gemm/tier.h"

namespace tandem::cpu {

// `m`: outputs of a tile in each direction, 2 or 4. Filters are packed [panel][point][channel][filter], panels of this many filters, the last as
// wide as it must be.
int64_t winograd_panel(const ConvGeometry&, const ChannelsLastTier&, int64_t m);
int64_t winograd_filter_elements(const ConvGeometry&, const ChannelsLastTier&, int64_t m);
void pack_winograd_panels(const ConvGeometry&, const ChannelsLastTier&, int64_t m, const float* w, float* panels);

// The same by `threads`, in f32.
void pack_winograd_panels(const ConvGeometry&, const ChannelsLastTier&, const GemmTier<float>& turning, int64_t m, const KernelsOf&,
                          float* panels, int threads);

// In multiply-adds: products at the points, and taking numbers to points and back.
double winograd_products_cost(const WinogradSizes&, int64_t m);

size_t winograd_workspace(const ConvGeometry&, const ChannelsLastTier&, int64_t m, int threads);
void convolve_winograd(const KernelContext&, const ConvGeometry&, const ChannelsLastTier&, int64_t m, const ChannelsLastOperands&);

}  // namespace tandem::cpu
