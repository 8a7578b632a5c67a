// The activations of fused epilogues (kernels/api/activation.h), by the functors of the ops themselves, and the slopes that gradients of
// some are multiplied by.
#pragma once

#include "kernels/api/gemm.h"
#include "kernels/cuda/device/gpu.h"
#include "kernels/cuda/unary_functions.cuh"

namespace tandem::cuda {

// T is float or double.
template <class T>
__device__ T activate(const Activation& activation, T x) {
  if (!activation.exists) return x;
  const auto [alpha, beta] = activation.parameters;
  switch (activation.function) {
    case UnaryOp::kRelu: return Relu()(x);
    case UnaryOp::kLeakyRelu: return LeakyRelu{alpha}(x);
    case UnaryOp::kClip: return Between{alpha, beta}(x);
    case UnaryOp::kElu: return Elu{alpha}(x);
    case UnaryOp::kSigmoid: return Sigmoid()(x);
    case UnaryOp::kHardSigmoid: return HardSigmoid{alpha, beta}(x);
    case UnaryOp::kTanh: return Tanh()(x);
    case UnaryOp::kGelu: return Gelu()(x);
    case UnaryOp::kGeluTanh: return GeluTanh()(x);
    case UnaryOp::kSwish: return Swish{alpha}(x);
    case UnaryOp::kHardSwish: return HardSwish()(x);
    case UnaryOp::kMish: return Mish()(x);
    case UnaryOp::kSoftplus: return Softplus()(x);
    default: return x;  // kernels/api/activation.h names no other
  }
}

// The gradient dy sent back through the activation that saved `saved`. T is float or double.
template <class T>
__device__ T activate_backward(UnaryGradOp op, T saved, T dy) {
  switch (op) {
    case UnaryGradOp::kRelu: return ReluGrad()(saved, dy);
    case UnaryGradOp::kSigmoid: return SigmoidGrad()(saved, dy);
    case UnaryGradOp::kTanh: return TanhGrad()(saved, dy);
    case UnaryGradOp::kGelu: return GeluGrad()(saved, dy);
    case UnaryGradOp::kGeluTanh: return GeluTanhGrad()(saved, dy);
    default: return dy;  // the others have parameters, or no product that they could follow
  }
}

}  // namespace tandem::cuda
