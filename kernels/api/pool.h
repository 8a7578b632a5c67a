// Max, average and Lp pooling over 1 to 3 spatial axes (ONNX MaxPool-22, AveragePool-22, LpPool-22, GlobalAveragePool), with
// gradients.
//
// x and dx are [batch, channels, input...], y and dy [batch, channels, output...] of the window; batch and channels are read from
// the views. No workspace. Threads share planes (one batch item, one channel), so bits do not depend on them.
#pragma once

#include "kernels/api/window.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {
// [batch, channels, output...] for x [batch, channels, input...].
Shape pool_shape(const Shape& x, const Window& window);

// For the kernels. Throw Internal unless x is [batch, channels, input...] and y [batch, channels, output...] of the window; or, for a
// global one, unless y has one element a channel of x.
void check_pool(const Window& window, const Shape& x, const Shape& y);
void check_global_pool(const Shape& x, const Shape& y);
}  // namespace tandem

namespace tandem::cpu {

// Padding never wins; the first maximum in scan order does; a NaN in a window is its maximum. x is any number type.
// `indices` is null or i64 like y: the position of the maximum in all of x, flattened; with `column_major` (storage_order 1) the
// spatial axes within a plane are flattened with the first axis fastest.
void max_pool(const KernelContext&, const Window&, ConstTensorView x, TensorView y, TensorView indices = {}, bool column_major = false);
// dx = dy at the first maximum of each window, summed in scan order where windows overlap. The maxima are found again from x, so the
// forward pass stores no indices. f32, f64.
void max_pool_grad(const KernelContext&, const Window&, ConstTensorView x, ConstTensorView dy, TensorView dx);

// f32, f64. Divides by the elements of the window within the input, or, with count_include_pad, within the input and its pads
// (ceil_mode may let a window reach beyond them: that part never counts).
void average_pool(const KernelContext&, const Window&, ConstTensorView x, TensorView y, bool count_include_pad = false);
void average_pool_grad(const KernelContext&, const Window&, ConstTensorView dy, TensorView dx, bool count_include_pad = false);

// (sum of |x|^p)^(1/p) over each window, p >= 1. f32, f64.
void lp_pool(const KernelContext&, const Window&, ConstTensorView x, TensorView y, int64_t p);
// `y` is what lp_pool made of x.
void lp_pool_grad(const KernelContext&, const Window&, ConstTensorView x, ConstTensorView y, ConstTensorView dy, TensorView dx, int64_t p);

// x [batch, channels, spatial...] of any rank >= 2, y [batch, channels, 1...]. f32, f64.
void global_average_pool(const KernelContext&, ConstTensorView x, TensorView y);
void global_average_pool_grad(const KernelContext&, ConstTensorView dy, TensorView dx);

}  // namespace tandem::cpu

// The twins: the same contracts, in device memory, on the session's stream; also f16 and bf16. No workspace.
namespace tandem::cuda {

void max_pool(const KernelContext&, const Window&, ConstTensorView x, TensorView y, TensorView indices = {}, bool column_major = false);
void max_pool_grad(const KernelContext&, const Window&, ConstTensorView x, ConstTensorView dy, TensorView dx);
void average_pool(const KernelContext&, const Window&, ConstTensorView x, TensorView y, bool count_include_pad = false);
void average_pool_grad(const KernelContext&, const Window&, ConstTensorView dy, TensorView dx, bool count_include_pad = false);
void global_average_pool(const KernelContext&, ConstTensorView x, TensorView y);
void global_average_pool_grad(const KernelContext&, ConstTensorView dy, TensorView dx);

}  // namespace tandem::cuda
