// Max and average pooling of images whose channels come last, over 1 to 3 spatial axes; forward only.
//
//   x [batch, spatial..., channels]   y [batch, output..., channels]
//
// The window does not know the layout. No workspace. Threads share lines of the output, so bits do not depend on them. y must not overlap x.
#pragma once

#include "kernels/api/window.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// Whether the two functions below take this type.
constexpr bool pools_channels_last(DType type) { return type == DType::kF32 || type == DType::kU8 || type == DType::kI8; }

// f32, u8, i8. Padding never wins; a NaN in a window is its maximum; a window without an element gives the lowest value.
void max_pool_channels_last(const KernelContext&, const Window&, ConstTensorView x, TensorView y);

// f32. Divides as average_pool (pool.h) does, with the same sums.
void average_pool_channels_last(const KernelContext&, const Window&, ConstTensorView x, TensorView y, bool count_include_pad = false);

}  // namespace tandem::cpu
