// Scalar formulas of ONNX Gelu-20 (approximate = none), Sigmoid, Tanh and Swish. Written so that no argument overflows to NaN.
#include "kernels/cpu/gemm/activation.h"

#include <cmath>
#include <numbers>

namespace tandem::cpu {
namespace {

template <class T>
T sigmoid(T x) {
  const T e = std::exp(-std::abs(x));
  return (x < 0 ? e : T(1)) / (T(1) + e);
}

template <class T, class F>
void map(T* c, int64_t ldc, int64_t rows, int64_t cols, F f) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) c[i * ldc + j] = f(c[i * ldc + j]);
}

}  // namespace

template <class T>
void activate(Activation activation, T* c, int64_t ldc, int64_t rows, int64_t cols) {
  switch (activation) {
    case Activation::kNone: return;
    case Activation::kRelu: return map(c, ldc, rows, cols, [](T x) { return x < 0 ? T(0) : x; });
    case Activation::kGelu:
      return map(c, ldc, rows, cols, [](T x) { return T(0.5) * x * (T(1) + std::erf(x * T(std::numbers::sqrt2 / 2))); });
    case Activation::kSigmoid: return map(c, ldc, rows, cols, sigmoid<T>);
    case Activation::kTanh: return map(c, ldc, rows, cols, [](T x) { return std::tanh(x); });
    case Activation::kSilu: return map(c, ldc, rows, cols, [](T x) { return x * sigmoid(x); });
  }
}

template <class T>
void multiply_by_slope(UnaryGradOp slope, const T* saved, T* c, int64_t ldc, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i) {
    const TensorView row{reinterpret_cast<std::byte*>(c + i * ldc), dtype_of<T>, {cols}};
    unary_backward({}, slope, {reinterpret_cast<const std::byte*>(saved + i * ldc), dtype_of<T>, {cols}}, row, row);
  }
}

template void activate<float>(Activation, float*, int64_t, int64_t, int64_t);
template void activate<double>(Activation, double*, int64_t, int64_t, int64_t);
template void multiply_by_slope<float>(UnaryGradOp, const float*, float*, int64_t, int64_t, int64_t);
template void multiply_by_slope<double>(UnaryGradOp, const double*, double*, int64_t, int64_t, int64_t);

}  // namespace tandem::cpu
