// The optimizer steps of ai.onnx.preview.training-1: one pass over one parameter tensor.
//
// All tensors of a call have one float type and length; outputs may be the memory of the inputs they replace. Throughout, G =
// norm_coefficient
// * x + gradient is the regularized gradient, and `step` counts from 0. Computed in double.
#pragma once

#include <cstdint>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct AdagradUpdate {
  double rate = 0;
  int64_t step = 0;
  double epsilon = 1e-6, norm_coefficient = 0, decay_factor = 0;
};
struct MomentumUpdate {
  double rate = 0;
  int64_t step = 0;
  double alpha = 0, beta = 0, norm_coefficient = 0;
  bool nesterov = false;
};
struct AdamUpdate {
  double rate = 0;
  int64_t step = 0;
  double alpha = 0.9, beta = 0.999, epsilon = 1e-6, norm_coefficient = 0, norm_coefficient_post = 0;
};

namespace cpu {

// h' = h + G^2;  x' = x - rate / (1 + step * decay_factor) * G / (sqrt(h') + epsilon). States: h.
void training_update(const KernelContext&, const AdagradUpdate& update, ConstTensorView x, ConstTensorView gradient,
                     ConstTensorView h, TensorView new_x, TensorView new_h);
// v' = alpha v + (step > 0 ? beta : 1) G;  x' = x - rate * (nesterov ? G + alpha v' : v'). States: v.
void training_update(const KernelContext&, const MomentumUpdate& update, ConstTensorView x, ConstTensorView gradient,
                     ConstTensorView v, TensorView new_x, TensorView new_v);
// v' = alpha v + (1 - alpha) G;  h' = beta h + (1 - beta) G^2;  x' = (1 - norm_coefficient_post) * (x - r * v' / (sqrt(h') +
// epsilon)) with r = rate, corrected by sqrt(1 - beta^step) / (1 - alpha^step) if step > 0. States: v, h.
void training_update(const KernelContext&, const AdamUpdate& update, ConstTensorView x, ConstTensorView gradient,
                     ConstTensorView v, ConstTensorView h, TensorView new_x, TensorView new_v, TensorView new_h);

}  // namespace cpu
}  // namespace tandem
