// Causal depthwise convolution along time with a carried state (ONNX CausalConvWithState-27). f32 and f64.
//
//   y[b, c, t] = activation(bias[c] + sum over k of w[c, 0, k] * e[b, c, t + k]),  e = past (K - 1 values, or zeros) followed by
//   x
#pragma once

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct CausalConvViews {
  ConstTensorView x, w;        // [batch, channels, length], [channels, 1, K]
  ConstTensorView bias, past;  // null, or [channels], [batch, channels, K - 1]
  TensorView y, present;       // like x; null, or like past: the last K - 1 values of e
};

namespace cpu {

void causal_conv(const KernelContext&, const CausalConvViews&, bool silu);

}  // namespace cpu
}  // namespace tandem
