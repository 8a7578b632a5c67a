// Depthwise convolutions: one channel and one filter a group.
#pragma once

#include <cstddef>

#include "kernels/cpu/channels_last/product.h"

namespace tandem::cpu {

// One filter of one channel is, too.
inline bool is_depthwise(const ConvGeometry& g) { return g.groups == g.channels && g.groups == g.filters; }

// Weights as [taps][channels].
void pack_depthwise_filters(const ConvGeometry&, const float* w, float* packed);

size_t depthwise_workspace(const ConvGeometry&, int threads);
void convolve_depthwise(const KernelContext&, const ConvGeometry&, const ChannelsLastTier&, const ChannelsLastOperands&);

// Some output lines of one image over two axes, of which some lines are there.
struct DepthwiseRange {
  int64_t first, last;  // y begins at line `first`
  int64_t kept;         // line h of the image lies at line h % kept of x
};
void convolve_depthwise_lines(const KernelContext&, const ConvGeometry&, const ChannelsLastTier&, const ChannelsLastOperands&,
                              const DepthwiseRange&);

}  // namespace tandem::cpu
