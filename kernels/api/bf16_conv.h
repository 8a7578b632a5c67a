// Convolutions and pools of images stored in bf16 with channels last, forward, with f32 sums: for CPUs.
//
//   x [batch, spatial..., channels] bf16   w [filters, channels / groups, kernel...] f32   y [batch, output..., filters] f32 or
//   bf16
//
// Weights are packed once, rounded to bf16; a depthwise convolution keeps them in f32, since loads of the image are what it
// takes. Sums are f32 in an order that depends on the geometry and the instruction set: bits depend neither on the threads nor on
// the batch. y must not overlap x (the residual may be y).
#pragma once

#include "kernels/api/bf16_gemm.h"
#include "kernels/api/conv_channels_last.h"

namespace tandem::cpu {

// Whether there is a kernel: not for a depthwise convolution in space, or with a kernel of more than 64 lines.
bool has_bf16_conv(const ConvGeometry&);

class Bf16Filters {
 public:
  explicit operator bool() const { return data_ != nullptr; }
  size_t bytes() const { return bytes_; }
  Isa isa() const { return isa_; }
  const std::byte* data() const { return data_.get(); }

 private:
  friend Bf16Filters pack_bf16_filters(const ConvGeometry&, ConstTensorView, Isa);
  std::shared_ptr<std::byte[]> data_;
  size_t bytes_ = 0;
  Isa isa_ = Isa::kPortable;
};

// Reads of the geometry channels, filters, groups, the kernel, strides and dilations: the same filters serve every plane.
Bf16Filters pack_bf16_filters(const ConvGeometry&, ConstTensorView w, Isa isa = chosen_isa());

// Whether the image may be scaled as it is read: pointwise convolutions without groups.
bool has_scaled_bf16_conv(const ConvGeometry&);

// Bytes, for this plane and any batch. `scaled`: with factors.
size_t bf16_conv_workspace(const ConvGeometry&, int threads, Isa isa = chosen_isa(), bool scaled = false);

// y = activation(conv(x, w) + bias + residual): as bf16_gemm has them. `scale`, f32 [batch, channels] or [channels], is none or factors of x, whose
// products are rounded to bf16, as were they stored; has_scaled_bf16_conv.
void bf16_conv(const KernelContext&, const ConvGeometry&, ConstTensorView x, const Bf16Filters& w, TensorView y,
               const Bf16Epilogue& epilogue = {}, ConstTensorView scale = {});

// Max and average pooling, as pool_channels_last.h says. y is bf16.
void bf16_max_pool(const KernelContext&, const Window&, ConstTensorView x, TensorView y);
void bf16_average_pool(const KernelContext&, const Window&, ConstTensorView x, TensorView y, bool count_include_pad = false);
// y f32 [images, channels]: the means of x [images, pixels..., channels]. NaN of no pixels.
void bf16_global_average(const KernelContext&, ConstTensorView x, TensorView y);

}  // namespace tandem::cpu
