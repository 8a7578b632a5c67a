// dx from dy and what the forward pass saved: f32 by the SIMD rows in simd/, f64 by one scalar slope per op.
#include <cmath>

#include "kernels/api/elementwise.h"
#include "kernels/cpu/map.h"
#include "kernels/cpu/simd/elementwise_f32.h"

namespace tandem::cpu {
namespace {

constexpr double kGeluScale = 0.79788456080286535588, kGeluCubic = 0.044715;  // sqrt(2 / pi), and the fit of Hendrycks and Gimpel
constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kTwoOverSqrtPi = 1.12837916709551257390, kOneOverSqrtTwoPi = 0.39894228040143267794;

double sigmoid(double v) { return 1 / (1 + std::exp(-v)); }
double gelu_slope(double v) { return 0.5 * (1 + std::erf(v * kSqrtHalf)) + v * kOneOverSqrtTwoPi * std::exp(-0.5 * v * v); }
double gelu_tanh_slope(double v) {
  const double t = std::tanh(kGeluScale * (v + kGeluCubic * v * v * v));
  return 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * kGeluScale * (1 + 3 * kGeluCubic * v * v);
}
double swish_slope(double v, double alpha) {
  const double s = sigmoid(alpha * v);
  return s + alpha * v * s * (1 - s);
}
double mish_slope(double v) {
  const double t = std::tanh(std::max(v, 0.0) + std::log1p(std::exp(-std::fabs(v))));
  return t + v * sigmoid(v) * (1 - t * t);
}

void unary_backward_f64(const KernelContext& context, UnaryGradOp op, ConstTensorView saved, ConstTensorView dy, TensorView dx,
                        UnaryParameters p) {
  const double alpha = static_cast<double>(p.alpha);
  const double *s = saved.as<double>().data(), *grad = dy.as<double>().data();
  double* out = dx.as<double>().data();
  const auto apply = [&](auto slope) {
    parallel_chunks(context, saved.elements(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = grad[i] * slope(s[i]);
    });
  };
  switch (op) {
    case UnaryGradOp::kRelu: return apply([](double y) { return y > 0 ? 1.0 : 0.0; });
    case UnaryGradOp::kSigmoid: return apply([](double y) { return y * (1 - y); });
    case UnaryGradOp::kTanh: return apply([](double y) { return 1 - y * y; });
    case UnaryGradOp::kHardSigmoid: return apply([=](double y) { return y > 0 && y < 1 ? alpha : 0.0; });
    case UnaryGradOp::kLeakyRelu: return apply([=](double x) { return x < 0 ? alpha : 1.0; });
    case UnaryGradOp::kElu: return apply([=](double x) { return x < 0 ? alpha * std::exp(x) : 1.0; });
    case UnaryGradOp::kErf: return apply([](double x) { return kTwoOverSqrtPi * std::exp(-x * x); });
    case UnaryGradOp::kGelu: return apply(gelu_slope);
    case UnaryGradOp::kGeluTanh: return apply(gelu_tanh_slope);
    case UnaryGradOp::kSoftplus: return apply(sigmoid);
    case UnaryGradOp::kHardSwish: return apply([](double x) { return x <= -3 ? 0.0 : x >= 3 ? 1.0 : x / 3 + 0.5; });
    case UnaryGradOp::kSwish: return apply([=](double x) { return swish_slope(x, alpha); });
    case UnaryGradOp::kMish: return apply(mish_slope);
  }
}

}  // namespace

void unary_backward(const KernelContext& context, UnaryGradOp op, ConstTensorView saved, ConstTensorView dy, TensorView dx,
                    UnaryParameters parameters) {
  require_one_shape(saved, dx);
  require_one_shape(dy, dx);
  if (saved.dtype == DType::kF64) return unary_backward_f64(context, op, saved, dy, dx, parameters);
  const float *s = saved.as<float>().data(), *grad = dy.as<float>().data();
  float* out = dx.as<float>().data();
  parallel_chunks(context, saved.elements(), kGrain, [&](int64_t begin, int64_t end) {
    simd::unary_backward(op, s + begin, grad + begin, out + begin, end - begin, parameters);
  });
}

}  // namespace tandem::cpu
