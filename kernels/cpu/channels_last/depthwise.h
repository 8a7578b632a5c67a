// Depthwise convolutions: one channel and one filter a group.
#pragma once

#include <cstddef>

#include "kernels/cpu/channels_last/product.h"

namespace tandem::cpu {

// Weights as [taps][channels].
void pack_depthwise_filters(const ConvGeometry&, const float* w, float* packed);

size_t depthwise_workspace(const ConvGeometry&, int threads);
void convolve_depthwise(const KernelContext&, const ConvGeometry&, const ChannelsLastTier&, const ChannelsLastOperands&);

}  // namespace tandem::cpu
