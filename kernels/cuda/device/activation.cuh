// The activations of fused epilogues (ONNX Gelu-20 with approximate = none, Sigmoid, Tanh, Swish), by the formulas of the CPU,
// and the slopes that their gradients are multiplied by.
#pragma once

#include "kernels/api/gemm.h"
#include "kernels/cuda/device/gpu.h"
#include "kernels/cuda/unary_functions.cuh"

namespace tandem::cuda {

// No argument overflows to NaN.
template <class T>
__device__ T stable_sigmoid(T x) {
  const T e = exp(x < 0 ? x : -x);
  return (x < 0 ? e : T(1)) / (T(1) + e);
}

// T is float or double.
template <class T>
__device__ T activate(Activation activation, T x) {
  switch (activation) {
    case Activation::kNone: return x;
    case Activation::kRelu: return x < 0 ? T(0) : x;
    case Activation::kGelu: return T(0.5) * x * (T(1) + erf(x * T(0.70710678118654752440)));
    case Activation::kSigmoid: return stable_sigmoid(x);
    case Activation::kTanh: return tanh(x);
    case Activation::kSilu: return x * stable_sigmoid(x);
  }
  return x;
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
