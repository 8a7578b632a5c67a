// A transposed convolution whose windows do not overlap is a product for each pixel, whose channels then become pixels.
#pragma once

#include <optional>

#include "runtime/graph/graph.h"

namespace tandem {

// ConvTranspose(x, w, bias) = DepthToSpace(Conv(x, weights, bias), block), for weights of [block * block * channels, filters, 1, 1].
struct PixelConv {
  Tensor weights, bias;  // bias: null, or of block * block * channels
  int64_t block = 1;
};

// That of a ConvTranspose of f32 by constants with a square kernel as large as its stride, one group and neither pads nor more outputs;
// nothing for others.
std::optional<PixelConv> pixel_conv_of(const Graph& graph, const Node& node);

}  // namespace tandem
