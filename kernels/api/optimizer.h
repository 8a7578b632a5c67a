// Optimizer updates over flat parameter ranges, in one pass over memory, and the gradient norm they are clipped by.
//
// Semantics are torch.optim's (SGD without dampening; Adam and AdamW without amsgrad, maximize or capturable variants). All
// tensors of a call are 1-D of one float type and length. The outputs may be the memory of the inputs of the same name. Each
// element depends on its own index alone: the bits do not depend on the number of threads.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct SgdOptions {
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
};

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  bool decoupled = false;  // AdamW: the parameter decays, not the gradient
};

struct SgdViews {
  ConstTensorView parameter, momentum, gradient;  // momentum may be null: no momentum then
  TensorView new_parameter, new_momentum;
};
struct AdamViews {
  ConstTensorView parameter, m, v, gradient;
  TensorView new_parameter, new_m, new_v;
};

namespace cpu {

// g = scale * gradient + weight_decay * p;  m' = momentum * m + g;  p' = p - lr * (nesterov ? g + momentum * m' : m')
void sgd(const KernelContext& context, const SgdViews& views, double lr, double scale, const SgdOptions& options);

// m' = beta1 m + (1 - beta1) g;  v' = beta2 v + (1 - beta2) g^2;  p' = p - lr / (1 - beta1^step) * m' / (sqrt(v' / (1 -
// beta2^step)) + epsilon) with g = scale * gradient (+ weight_decay * p), p first multiplied by 1 - lr * weight_decay if
// decoupled. `step` counts from 1.
void adam(const KernelContext& context, const AdamViews& views, double lr, double scale, int64_t step,
          const AdamOptions& options);

// The sum of squares of all elements of all inputs (one float type), as f32. REQUIRES sum_of_squares_workspace(total elements,
// inputs).
void sum_of_squares(const KernelContext& context, std::span<const ConstTensorView> inputs, TensorView out);
size_t sum_of_squares_workspace(int64_t elements, int64_t inputs);

}  // namespace cpu
}  // namespace tandem
