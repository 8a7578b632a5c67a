// Convolutions of 8-bit integers on images whose channels lie side by side: what quantized networks run on inside a plan.
//
//   x [batch, spatial..., channels]   w [filters, channels / groups, kernel...] as in ONNX   y [batch, output..., filters]
//
// u8 and i8 operands with zero points, exact sums as in kernels/api/integer_products.h, quantized as kernels/api/requantize.h
// defines: bits depend neither on the tier nor on the threads nor on the batch. Filters are packed once, for one tier.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/api/conv.h"
#include "kernels/api/isa.h"
#include "kernels/api/quantized_elementwise.h"
#include "kernels/api/requantize.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// A quantized sum of the convolution's bytes and of others, of the shape of y: what quantized_binary gives of the two, bit for bit.
struct QuantizedResidual {
  QuantizedOperand other;
  // What the convolution's own bytes stand for.
  DType type = DType::kU8;
  float scale = 1;
  int32_t zero = 0;
  // And the sum's.
  float y_scale = 1;
  int32_t y_zero = 0;
  QuickResidual quick = {};  // as quick_residual finds it for just these scales and zero points; else the sum takes longer
};

}  // namespace tandem

namespace tandem::cpu {

struct IntegerFilterPanels;

// A handle: copies share the storage.
class ChannelsLastIntegerFilters {
 public:
  explicit operator bool() const { return panels_ != nullptr; }
  size_t bytes() const;
  const std::byte* data() const;
  Isa isa() const;

 private:
  friend ChannelsLastIntegerFilters pack_integer_filters_channels_last(const ConvGeometry&, ConstTensorView, ConstTensorView, Isa);
  friend void integer_conv_channels_last(const KernelContext&, const ConvGeometry&, ConstTensorView, ConstTensorView,
                                         const ChannelsLastIntegerFilters&, TensorView, const OutputScales*,
                                         const QuantizedResidual*);
  std::shared_ptr<const IntegerFilterPanels> panels_;
};

// w: u8 or i8; w_zero: null (0), or of w's type with one element or one a filter. Throws InvalidArgument for other shapes and types.
ChannelsLastIntegerFilters pack_integer_filters_channels_last(const ConvGeometry&, ConstTensorView w, ConstTensorView w_zero = {},
                                                              Isa isa = chosen_isa());

// What makes the sums of `residual` quick, where the tier has a use for it. Looks at scales, zero points and types, y_type that of the sum; takes some
// ten microseconds, at most some milliseconds.
QuickResidual quick_residual(const QuantizedResidual& residual, DType y_type, Isa isa = chosen_isa());

// Bytes; for filters of that tier.
size_t integer_conv_channels_last_workspace(const ConvGeometry&, int threads, Isa isa = chosen_isa());

// x_zero: null (0), or one element of x's type; padding counts as it. y: u8 or i8 by `scales` (one a filter, or one), or i32 sums
// where `scales` is null. The geometry is that of the packing; only its spatial sizes may differ, and any batch will do.
// With a residual, y is the sum's; it must not lie where y does, and `scales` are then those of the convolution's own bytes.
// Throws InvalidArgument for a wrong zero point, Internal for views that do not fit the geometry.
void integer_conv_channels_last(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView x_zero,
                                const ChannelsLastIntegerFilters& filters, TensorView y, const OutputScales* scales = nullptr,
                                const QuantizedResidual* residual = nullptr);

}  // namespace tandem::cpu
