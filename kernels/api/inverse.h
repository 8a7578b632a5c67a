// Inverses of square matrices (onnxruntime's Inverse; the gradient of a determinant).
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// y[..., n, n] = the inverse of x[..., n, n], by Gauss-Jordan elimination with the largest pivot of a column, in double. Floats.
// A singular matrix gives infinities and NaNs. REQUIRES a workspace of inverse_workspace(n, threads) bytes. y may be x.
void inverse(const KernelContext&, ConstTensorView x, TensorView y);
size_t inverse_workspace(int64_t n, int threads);

}  // namespace tandem::cpu
