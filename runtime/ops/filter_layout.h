// What a layout of a convolution's weights hangs on besides the weights, and its name among packed constants. Of two nodes with
// the same weights that spell equal attributes in two ways, the layout is one.
#pragma once

#include <string>

#include "kernels/api/conv.h"
#include "kernels/api/conv_channels_last.h"
#include "runtime/graph/contexts.h"

namespace tandem {

struct FilterLayout {
  ConvGeometry geometry;  // with the least image that the kernel covers: the plane does not matter
  std::string name;       // "channels last, ..."
};

// Of the weights that are input `w`, by the node's group, strides and dilations, or as a dense convolution at stride 1.
FilterLayout filter_layout(const BindContext& node, int w);
FilterLayout dense_filter_layout(const BindContext& node, int w);

// These weights for conv_channels_last. Throws InvalidArgument unless they are a constant.
cpu::ChannelsLastFilters channels_last_filters(const BindContext& node, int w, const FilterLayout& layout);

}  // namespace tandem
