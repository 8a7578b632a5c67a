// Softmax, log-softmax and their gradients along one axis of a tensor.
//
// The caller says how the tensor is seen: AxisView(shape, axis) for ONNX opset 13 on, AxisView(Shape{outer, length}, 1) for the
// older versions that flatten to a matrix. All tensors of a call have one float type and shape; outputs may be the memory of any
// input. A row that is all -inf, or holds a NaN, becomes NaN, as in torch.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// REQUIRES of all four: a workspace of softmax_workspace(...).
void softmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view);
void log_softmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view);

// dx from y, the output of the forward function, and dy.
void softmax_grad(const KernelContext& context, ConstTensorView y, ConstTensorView dy, TensorView dx, const AxisView& view);
void log_softmax_grad(const KernelContext& context, ConstTensorView y, ConstTensorView dy, TensorView dx, const AxisView& view);

// 1 at the first largest element along the axis, 0 elsewhere. `y` must not be `x`'s memory.
void hardmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view);

// Bytes: rows that are not contiguous are gathered into a thread's own scratch.
size_t softmax_workspace(DType dtype, const AxisView& view, int threads);

}  // namespace tandem::cpu

// The twins: the same contracts, in device memory, on the session's stream; also f16 and bf16. No workspace.
namespace tandem::cuda {

void softmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view);
void log_softmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view);
void softmax_grad(const KernelContext& context, ConstTensorView y, ConstTensorView dy, TensorView dx, const AxisView& view);
void log_softmax_grad(const KernelContext& context, ConstTensorView y, ConstTensorView dy, TensorView dx, const AxisView& view);
void hardmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view);

}  // namespace tandem::cuda
