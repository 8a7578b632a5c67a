// The k largest or smallest elements along an axis, by selection.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// `values` has x's type, `indices` is i64; both have x's shape but k along `axis`, and either may be null. The best comes first;
// of equal elements the one with the smaller index; NaN counts as larger than all numbers. k is at most the length of the axis.
// Numbers.
void top_k(const KernelContext&, ConstTensorView x, int axis, bool largest, TensorView values, TensorView indices);

// Bytes of workspace for that, for these and all smaller shapes.
size_t top_k_workspace(DType dtype, int64_t length, int64_t k, int threads);

}  // namespace tandem::cpu
