// Group normalization (ONNX GroupNormalization-21) and its gradients; with as many groups as channels it is
// InstanceNormalization. f32, f64.
//
//   y = (x - mean) / sqrt(var + epsilon) * scale + bias        x, y [batch, channels, ...]
//
// Mean and (population) variance are those of each group of channels of one batch item. scale and bias have one value a channel,
// or one a group. A group's statistics are summed by one thread in one order, and so are the gradients to its scale and bias. `y`
// may be `x`'s memory, `dx` dy's or x's.
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct GroupNormGradViews {
  ConstTensorView dy, x, scale;
  TensorView dx, dscale, dbias;  // each may be null
};

namespace cpu {

void group_norm(const KernelContext&, ConstTensorView x, ConstTensorView scale, ConstTensorView bias, int64_t groups,
                TensorView y, double epsilon);
void group_norm_grad(const KernelContext&, const GroupNormGradViews& views, int64_t groups, double epsilon);

}  // namespace cpu
}  // namespace tandem
