// Indexed writes: what ScatterElements, ScatterND and the gradients of indexed reads do.
//
// `y` holds the data and is updated. Where several updates meet, they are applied in row-major order, whatever the number of
// threads. An index is in [-n, n); one outside throws InvalidArgument before anything is written. `y` overlaps no input.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// How an update meets what is there. kNone replaces it (any element type); the others compute (numbers; integers wrap, a NaN
// stays).
enum class ScatterReduction : uint8_t { kNone, kAdd, kMul, kMin, kMax };

namespace cpu {

// y[i..., indices[i..., j, k...], k...] = updates[i..., j, k...]. `indices` (i32 or i64) and `updates` have one shape, that of y
// or smaller.
void scatter_elements(const KernelContext&, ConstTensorView indices, ConstTensorView updates, int axis,
                      ScatterReduction reduction, TensorView y);

// The last axis of `indices` (i64) names slices of y after `batch_dims` shared axes; updates has the shape
// indices.shape[:-1] + y.shape[batch_dims + indices.shape[-1]:].
void scatter_nd(const KernelContext&, ConstTensorView indices, ConstTensorView updates, int batch_dims,
                ScatterReduction reduction, TensorView y);

}  // namespace cpu
}  // namespace tandem
