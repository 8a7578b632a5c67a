// Determinants of square matrices (ONNX Det-11).
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// y[...] = det(x[..., n, n]) by Gaussian elimination with the largest pivot of a column, in double. Floats; 1 for n = 0.
// REQUIRES a workspace of determinant_workspace(n, threads) bytes.
void determinant(const KernelContext&, ConstTensorView x, TensorView y);
size_t determinant_workspace(int64_t n, int threads);

}  // namespace tandem::cpu
