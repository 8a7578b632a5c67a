// Convolutions that are products: pointwise, k x k, strided, dilated and grouped ones with enough channels a group.
//
// A reduction is `runs` of `length` contiguous floats: a run is a tap and all its channels, or, where channels are few (the first layer), a
// whole line of the kernel, which lies in one piece in the image.
#pragma once

#include <cstddef>

#include "kernels/api/conv_channels_last.h"
#include "kernels/cpu/channels_last/tier.h"
#include "kernels/cpu/gemm/tier.h"

namespace tandem::cpu {

struct ChannelsLastOperands {
  const float *x = nullptr, *w = nullptr;               // w as this kernel packs it
  const float *bias = nullptr, *residual = nullptr;     // null: none
  float* y = nullptr;
  Activation activation = {};
  int64_t batch = 0;
};

// Elements of packed weights, and packing: group by group, panel by panel of nr filters (the last as wide as it must), [run][k][filter].
int64_t product_filter_elements(const ConvGeometry&, const ChannelsLastTier&);
void pack_product_filters(const ConvGeometry&, const ChannelsLastTier&, const float* w, float* panels);

// The same by `threads`, for filters that change with every step, of kernels whose taps lie at w + filter * f + channel * c. Turned: from the last tap
// to the first. Without groups.
struct KernelsOf {
  const float* w = nullptr;
  int64_t filter = 0, channel = 0;
  bool turned = false;
};
void pack_product_filters(const ConvGeometry&, const ChannelsLastTier&, const GemmTier<float>& turning, const KernelsOf&, float* panels, int threads);

size_t product_workspace(const ConvGeometry&, const ChannelsLastTier&, int threads);
void convolve_product(const KernelContext&, const ConvGeometry&, const ChannelsLastTier&, const ChannelsLastOperands&);

}  // namespace tandem::cpu
