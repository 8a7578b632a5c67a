// Layer normalization of rows (ONNX LayerNormalization-17), RMS normalization (RMSNormalization-23) and their gradients. f32, f64.
//
//   y = (x - mean) / sqrt(var + epsilon) * scale + bias        x, y [rows, length]; scale, bias [length]; mean, inverse [rows]
//
// RMS normalization takes 0 for the mean, and so the mean square for the variance.
// The caller says how a tensor is cut into rows. A row is summed by one thread in one order, a column of the gradients to scale
// and bias likewise. `y` may be `x`'s memory, `dx` dy's or x's.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct LayerNormViews {
  ConstTensorView x, scale, bias;  // bias may be null
  TensorView y;
  TensorView mean, inverse;  // f32, each may be null: of each row the mean, and 1 / sqrt(var + epsilon)
};
struct LayerNormGradViews {
  ConstTensorView dy, x, scale;
  TensorView dx, dscale, dbias;  // each may be null
};

namespace cpu {

void layer_norm(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon);

// REQUIRES: a workspace of layer_norm_grad_workspace bytes.
void layer_norm_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon);
size_t layer_norm_grad_workspace(int64_t rows, int64_t length, DType dtype, int threads);

// The same contracts, and the same workspace. `mean`, if there is one, is set to 0.
void rms_norm(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon);
void rms_norm_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon);

}  // namespace cpu

// The twins: the same contracts, in device memory, on the session's stream; also f16 and bf16.
namespace cuda {

void layer_norm(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon);

// REQUIRES: a workspace of layer_norm_grad_workspace bytes.
void layer_norm_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon);
size_t layer_norm_grad_workspace(int64_t rows, int64_t length, DType dtype);

void rms_norm(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon);
void rms_norm_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon);

}  // namespace cuda
}  // namespace tandem
