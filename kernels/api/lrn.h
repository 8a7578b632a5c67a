// Local response normalization across channels (ONNX LRN-13) and its gradient. f32, f64.
//
//   y = x * s^-beta,  s = bias + alpha / size * sum of x^2 over the channels c - (size - 1) / 2 ... c + size / 2
//
// x, y, dy and dx are [batch, channels, ...]; sums run in order of channels. No workspace; outputs must not overlap inputs.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct LrnOptions {
  int64_t size = 1;
  double alpha = 1e-4, beta = 0.75, bias = 1;
};

namespace cpu {

void lrn(const KernelContext&, ConstTensorView x, const LrnOptions&, TensorView y);
void lrn_grad(const KernelContext&, ConstTensorView dy, ConstTensorView x, const LrnOptions&, TensorView dx);

}  // namespace cpu
}  // namespace tandem
