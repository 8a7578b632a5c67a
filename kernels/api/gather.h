// Indexed reads, and the indexed sums that are their gradients.
//
// Indices are i32 or i64 in [-n, n); one outside throws InvalidArgument before anything is written. Output and inputs do not
// overlap.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// y = x.shape[:axis] + indices.shape + x.shape[axis + 1:]; any element type.
void gather(const KernelContext&, ConstTensorView x, ConstTensorView indices, int axis, TensorView y);
// dx = 0, then dx[..., indices[i], ...] += dy[..., i, ...] with i ascending. Floats.
void gather_backward(const KernelContext&, ConstTensorView dy, ConstTensorView indices, int axis, TensorView dx);

// y has the shape of `indices`: y[i..., j, k...] = x[i..., indices[i..., j, k...], k...]; any element type.
void gather_elements(const KernelContext&, ConstTensorView x, ConstTensorView indices, int axis, TensorView y);
// The gradient: sums in row-major order of `dy`. Floats.
void gather_elements_backward(const KernelContext&, ConstTensorView dy, ConstTensorView indices, int axis, TensorView dx);

// The last axis of `indices` (i64) names slices of x after `batch_dims` shared axes; y has the shape
// indices.shape[:-1] + x.shape[batch_dims + indices.shape[-1]:]; any element type. The gradient is scatter_nd (scatter.h).
void gather_nd(const KernelContext&, ConstTensorView x, ConstTensorView indices, int batch_dims, TensorView y);

}  // namespace tandem::cpu

// The twins: the same contracts, in device memory, on the session's stream; also f16 and bf16, no strings. The gradients add in
// the same order. A kernel on a GPU cannot throw: an index outside [-n, n) reads zeros, and adds nothing to the gradient.
namespace tandem::cuda {

void gather(const KernelContext&, ConstTensorView x, ConstTensorView indices, int axis, TensorView y);
void gather_backward(const KernelContext&, ConstTensorView dy, ConstTensorView indices, int axis, TensorView dx);
void gather_elements(const KernelContext&, ConstTensorView x, ConstTensorView indices, int axis, TensorView y);
void gather_elements_backward(const KernelContext&, ConstTensorView dy, ConstTensorView indices, int axis, TensorView dx);

}  // namespace tandem::cuda
