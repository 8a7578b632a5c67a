// Convolution (cross-correlation, as ONNX Conv) of images whose channels come last, over 1 to 3 spatial axes. f32, forward only.
//
//   x [batch, spatial..., channels]   w [filters, channels / groups, kernel...]   y [batch, output..., filters]
//
// ConvGeometry is that of conv.h and does not know the layout. Weights are packed once, for every plane and batch. Sums have one fixed order: bits
// depend neither on the threads nor on the batch. y must not overlap x (the residual may be y).
#pragma once

#include <cstddef>
#include <memory>

#include "kernels/api/conv.h"

namespace tandem {

// [batch, spatial..., channels] and [batch, output..., filters].
Shape channels_last_input_shape(const ConvGeometry&, int64_t batch);
Shape channels_last_output_shape(const ConvGeometry&, int64_t batch);

// For the kernels. Throw Internal where a shape does not fit the geometry; the first returns the batch.
int64_t check_channels_last_conv(const ConvGeometry&, const Shape& x, const Shape& y);

}  // namespace tandem

namespace tandem::cpu {

// Weights in the layout that one tier reads. A handle: copies share the storage.
class ChannelsLastFilters {
 public:
  explicit operator bool() const { return data_ != nullptr; }
  size_t bytes() const { return bytes_; }
  Isa isa() const { return isa_; }
  const float* data() const { return reinterpret_cast<const float*>(data_.get()); }

 private:
  friend ChannelsLastFilters pack_filters_channels_last(const ConvGeometry&, ConstTensorView, Isa);
  std::shared_ptr<std::byte[]> data_;
  size_t bytes_ = 0;
  Isa isa_ = Isa::kPortable;
};

// Reads of the geometry channels, filters, groups, the kernel, strides and dilations: the same filters serve every plane.
ChannelsLastFilters pack_filters_channels_last(const ConvGeometry&, ConstTensorView w, Isa isa = chosen_isa());

// Bytes, for this plane and all smaller ones, and any batch.
size_t conv_channels_last_workspace(const ConvGeometry&, int threads, Isa isa = chosen_isa());

// y = activation(conv(x, w) + bias + residual): bias null or [filters], residual null or the shape of y. The tier is that of the filters.
void conv_channels_last(const KernelContext&, const ConvGeometry&, ConstTensorView x, const ChannelsLastFilters& w, TensorView y,
                        const ConvEpilogue& epilogue = {});

}  // namespace tandem::cpu
