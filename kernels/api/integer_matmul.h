// Products of integer matrices of any width; sums wrap as two's complement does.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// NumPy's matmul as in kernels/api/gemm.h, for integers: a, b and y of one type. y must not overlap an input.
void integer_matmul(const KernelContext&, ConstTensorView a, ConstTensorView b, bool transpose_a, bool transpose_b, TensorView y);

// y = alpha * y + beta * c, with c broadcast to the matrix y. i32, i64, u32, u64. Factors other than 1 are applied in double.
void integer_addend(const KernelContext&, double alpha, double beta, ConstTensorView c, TensorView y);

}  // namespace tandem::cpu
