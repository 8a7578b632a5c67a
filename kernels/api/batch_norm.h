// Batch normalization over all axes but axis 1 (ONNX BatchNormalization-15) and its gradients. f32, f64.
//
//   y = (x - mean) / sqrt(var + epsilon) * scale + bias        x, y [batch, channels, ...], all others [channels]
//
// A channel's statistics are summed by one thread in one order. `y` may be `x`'s memory, `dx` dy's or x's. All functions want a
// workspace of batch_norm_workspace bytes.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct BatchNormViews {
  ConstTensorView x, scale, bias, mean, var;
};
struct BatchNormGradViews {
  ConstTensorView dy, x, scale;
  ConstTensorView mean, var;     // null: the statistics of x itself, as in training
  TensorView dx, dscale, dbias;  // each may be null
};

namespace cpu {

// With the given mean and variance.
void batch_norm(const KernelContext& context, const BatchNormViews& views, TensorView y, double epsilon);

// With the mean and (population) variance of x. The running ones go on as momentum * old + (1 - momentum) * those of x; the new
// ones may be null, or the memory of the old.
void batch_norm_train(const KernelContext& context, const BatchNormViews& views, TensorView y, TensorView new_mean,
                      TensorView new_var, double epsilon, double momentum);

void batch_norm_grad(const KernelContext& context, const BatchNormGradViews& views, double epsilon);

size_t batch_norm_workspace(const Shape& x, DType dtype, int threads);

}  // namespace cpu

// The twins: the same contracts, in device memory, on the session's stream; also f16 and bf16. The training functions (batch_norm_grad
// with given statistics too) want a workspace of batch_norm_workspace bytes, batch_norm none.
namespace cuda {

void batch_norm(const KernelContext& context, const BatchNormViews& views, TensorView y, double epsilon);
void batch_norm_train(const KernelContext& context, const BatchNormViews& views, TensorView y, TensorView new_mean,
                      TensorView new_var, double epsilon, double momentum);
void batch_norm_grad(const KernelContext& context, const BatchNormGradViews& views, double epsilon);
size_t batch_norm_workspace(const Shape& x);

}  // namespace cuda
}  // namespace tandem
