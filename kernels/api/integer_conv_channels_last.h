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
#include "kernels/api/requantize.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

struct IntegerFilterPanels;

// A handle: copies share the storage.
class ChannelsLastIntegerFilters {
 public:
  explicit operator bool() const { return panels_ != nullptr; }
  size_t bytes() const;
  Isa isa() const;

 private:
  friend ChannelsLastIntegerFilters pack_integer_filters_channels_last(const ConvGeometry&, ConstTensorView, ConstTensorView, Isa);
  friend void integer_conv_channels_last(const KernelContext&, const ConvGeometry&, ConstTensorView, ConstTensorView,
                                         const ChannelsLastIntegerFilters&, TensorView, const OutputScales*);
  std::shared_ptr<const IntegerFilterPanels> panels_;
};

// w: u8 or i8; w_zero: null (0), or of w's type with one element or one a filter. Throws InvalidArgument for other shapes and types.
ChannelsLastIntegerFilters pack_integer_filters_channels_last(const ConvGeometry&, ConstTensorView w, ConstTensorView w_zero = {},
                                                              Isa isa = chosen_isa());

// Bytes; for filters of that tier.
size_t integer_conv_channels_last_workspace(const ConvGeometry&, int threads, Isa isa = chosen_isa());

// x_zero: null (0), or one element of x's type; padding counts as it. y: u8 or i8 by `scales` (one a filter, or one), or i32 sums
// where `scales` is null. The geometry is that of the packing; only its spatial sizes may differ, and any batch will do.
// Throws InvalidArgument for a wrong zero point, Internal for views that do not fit the geometry.
void integer_conv_channels_last(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView x_zero,
                                const ChannelsLastIntegerFilters& filters, TensorView y, const OutputScales* scales = nullptr);

}  // namespace tandem::cpu
