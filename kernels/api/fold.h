// Placing what windows hold back into the tensor they slid over: Col2Im (ONNX 18) and MaxUnpool (ONNX 9 to 22).
#pragma once

#include "kernels/api/window.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// x [batch, channels * window, positions], y [batch, channels, image...], which is the window's input. Where windows overlap
// their elements are added, in the order of the window's elements. Numbers.
void col2im(const KernelContext&, const Window&, ConstTensorView x, TensorView y);

// The gradient of col2im by x: x has what each window sees of y, and 0 where it sees pads.
void im2col(const KernelContext&, const Window&, ConstTensorView y, TensorView x);

// y is 0 but for y[indices[i]] = x[i]; the indices are positions in a tensor of shape `indexed`, which lies at the origin of y.
// Of equal indices the last one stays. Any element type. Throws InvalidArgument for an index outside `indexed` or y.
void max_unpool(const KernelContext&, ConstTensorView x, ConstTensorView indices, const Shape& indexed, TensorView y);
// dx has what stands in dy where x was put; 0 where a later element was put into the same place. f32, f64. Workspace: a byte an element of dy.
void max_unpool_grad(const KernelContext&, ConstTensorView dy, ConstTensorView indices, const Shape& indexed, TensorView dx);

}  // namespace tandem::cpu
