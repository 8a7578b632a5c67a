// Optimizer updates over flat parameter ranges, in one pass over memory, and the gradient norm they are clipped by.
//
// Semantics are torch.optim's (SGD without dampening; Adam and AdamW without amsgrad, maximize or capturable variants). All
// ranges of a call are 1-D of one float type and length. The outputs may be the memory of the inputs of the same name. Each
// element depends on its own index alone: the bits do not depend on the number of threads.
//
// What changes from step to step is read from one-element views when the kernel runs, so that a captured step never freezes it.
#pragma once

#include <span>

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
  ConstTensorView lr;                             // f32
  ConstTensorView scale = {};                     // f32; null: 1
  ConstTensorView apply = {};                     // bool; null: true. False: the outputs are the inputs, a step that is skipped
  TensorView new_parameter, new_momentum = {};
};
struct AdamViews {
  ConstTensorView parameter, m, v, gradient;
  ConstTensorView lr, scale = {}, apply = {};  // as above
  ConstTensorView step;                        // i64, counts from 1
  TensorView new_parameter, new_m, new_v;
};

namespace cpu {

// g = scale * gradient + weight_decay * p;  m' = momentum * m + g;  p' = p - lr * (nesterov ? g + momentum * m' : m')
void sgd(const KernelContext& context, const SgdViews& views, const SgdOptions& options);

// m' = beta1 m + (1 - beta1) g;  v' = beta2 v + (1 - beta2) g^2;  p' = p - lr / (1 - beta1^step) * m' / (sqrt(v' / (1 -
// beta2^step)) + epsilon) with g = scale * gradient (+ weight_decay * p), p first multiplied by 1 - lr * weight_decay if
// decoupled. Throws InvalidArgument for a step below 1.
void adam(const KernelContext& context, const AdamViews& views, const AdamOptions& options);

// The sum of squares of all elements of all inputs (float types), as f32. REQUIRES sum_of_squares_workspace(total elements,
// inputs).
void sum_of_squares(const KernelContext& context, std::span<const ConstTensorView> inputs, TensorView out);
size_t sum_of_squares_workspace(int64_t elements, int64_t inputs);

}  // namespace cpu

// The twins: the same contracts, in device memory, on the session's stream; also f16 and bf16. A step below 1 gives NaN. The sum
// of squares adds in a tree of its own, always the same for the same sizes.
namespace cuda {

void sgd(const KernelContext& context, const SgdViews& views, const SgdOptions& options);
void adam(const KernelContext& context, const AdamViews& views, const AdamOptions& options);
void sum_of_squares(const KernelContext& context, std::span<const ConstTensorView> inputs, TensorView out);
size_t sum_of_squares_workspace(int64_t elements, int64_t inputs);

}  // namespace cuda
}  // namespace tandem
