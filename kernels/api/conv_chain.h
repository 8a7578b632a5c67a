// A depthwise convolution with the pointwise one before it and the one behind it (the inverted residual of MobileNetV2,
// arXiv:1801.04381), of images over two axes whose channels come last. One of the pointwise ones may be missing. f32, forward
// only.
//
//   e = activation(conv(x, we) + be)              [batch, height, width, channels]       expand
//   d = activation(conv(e, wd) + bd)              [batch, out height, out width, channels]
//   y = activation(conv(d, wp) + bp + residual)   [batch, out height, out width, filters]  project
//
// e and d are never whole in memory: bands of lines go through all three while they are in the cache (depth-first execution:
// Goetschalckx and Verhelst, arXiv:2011.07516). Bits are those of the three alone (conv_channels_last.h).
#pragma once

#include <cstddef>
#include <optional>

#include "kernels/api/conv_channels_last.h"

namespace tandem {

// Plane and channels of one's output are those of the next one's input.
struct ConvChain {
  std::optional<ConvGeometry> expand;  // 1 x 1, dense, at stride 1 without padding
  ConvGeometry depthwise;
  std::optional<ConvGeometry> project;  // as expand
};

}  // namespace tandem

namespace tandem::cpu {

struct ConvChainStage {
  ChannelsLastFilters filters = {};  // null where the convolution is missing
  ConstTensorView bias = {};         // null or one value a filter
  Activation activation = {};
};

struct ConvChainStages {
  ConvChainStage expand, depthwise, project;
  ConstTensorView residual = {};  // of project; null or the shape of y
};

// Bytes, for this plane and all smaller ones, and any batch.
size_t conv_chain_workspace(const ConvChain&, int threads, Isa isa = chosen_isa());

// Whether the chain takes less time than its convolutions one by one: whether what lies between them is too large for the cache, and each thread has
// so many lines that the expanded ones that its neighbour makes too are few.
bool conv_chain_pays(const ConvChain&, int64_t batch, int threads);

// y must not overlap x (the residual may be y). Throws Internal where the geometries, shapes or the workspace do not fit each
// other.
void conv_chain(const KernelContext&, const ConvChain&, ConstTensorView x, const ConvChainStages&, TensorView y);

}  // namespace tandem::cpu
