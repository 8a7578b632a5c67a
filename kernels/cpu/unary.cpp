// f32 goes to the SIMD rows in simd/; the other types take one scalar function per op.
#include <cmath>
#include <type_traits>

#include "kernels/api/convert.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/integer_arithmetic.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd/elementwise_f32.h"

namespace tandem::cpu {
namespace {

void require_one_shape(const ConstTensorView& x, const TensorView& y) {
  ensure(x.elements() == y.elements() && x.dtype == y.dtype, "elementwise operands differ", to_string(x.shape),
         to_string(y.shape));
}

template <class T, class F>
void map(const KernelContext& context, ConstTensorView x, TensorView y, F f) {
  const T* in = x.as<T>().data();
  auto* out = y.as<std::invoke_result_t<F, T>>().data();
  parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = f(in[i]);
  });
}

template <class T>
T negated(T v) {
  if constexpr (std::is_integral_v<T>)
    return wrapping_negate(v);
  else
    return -v;
}
template <class T>
T sign(T v) {
  if constexpr (std::is_floating_point_v<T>)
    if (std::isnan(v)) return v;
  return static_cast<T>((v > T{0}) - (v < T{0}));
}

// The ops that integers have too. Returns false for another op.
template <class T>
bool unary_number(const KernelContext& context, UnaryOp op, ConstTensorView x, TensorView y) {
  switch (op) {
    case UnaryOp::kAbs:
      if constexpr (std::is_floating_point_v<T>)
        map<T>(context, x, y, [](T v) { return std::fabs(v); });
      else
        map<T>(context, x, y, [](T v) { return v < T{0} ? negated(v) : v; });
      return true;
    case UnaryOp::kNeg: map<T>(context, x, y, [](T v) { return negated(v); }); return true;
    case UnaryOp::kRelu: map<T>(context, x, y, [](T v) { return v < T{0} ? T{0} : v; }); return true;
    case UnaryOp::kSign: map<T>(context, x, y, [](T v) { return sign(v); }); return true;
    default: return false;
  }
}

constexpr double kGeluScale = 0.79788456080286535588, kGeluCubic = 0.044715;  // sqrt(2 / pi), and the fit of Hendrycks and Gimpel
constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kTwoOverSqrtPi = 1.12837916709551257390, kOneOverSqrtTwoPi = 0.39894228040143267794;

double sigmoid(double v) { return 1 / (1 + std::exp(-v)); }

void unary_f64(const KernelContext& context, UnaryOp op, ConstTensorView x, TensorView y, UnaryParameters p) {
  using T = double;
  const double alpha = static_cast<double>(p.alpha), beta = static_cast<double>(p.beta);
  const auto apply = [&](auto f) { map<T>(context, x, y, f); };
  switch (op) {
    case UnaryOp::kExp: return apply([](T v) { return std::exp(v); });
    case UnaryOp::kLog: return apply([](T v) { return std::log(v); });
    case UnaryOp::kSqrt: return apply([](T v) { return std::sqrt(v); });
    case UnaryOp::kReciprocal: return apply([](T v) { return 1 / v; });
    case UnaryOp::kSigmoid: return apply([](T v) { return sigmoid(v); });
    case UnaryOp::kTanh: return apply([](T v) { return std::tanh(v); });
    case UnaryOp::kErf: return apply([](T v) { return std::erf(v); });
    case UnaryOp::kSoftplus: return apply([](T v) { return std::max(v, 0.0) + std::log1p(std::exp(-std::fabs(v))); });
    case UnaryOp::kSin: return apply([](T v) { return std::sin(v); });
    case UnaryOp::kCos: return apply([](T v) { return std::cos(v); });
    case UnaryOp::kFloor: return apply([](T v) { return std::floor(v); });
    case UnaryOp::kCeil: return apply([](T v) { return std::ceil(v); });
    case UnaryOp::kRound: return apply([](T v) { return std::nearbyint(v); });
    case UnaryOp::kLeakyRelu: return apply([=](T v) { return v < 0 ? alpha * v : v; });
    case UnaryOp::kElu: return apply([=](T v) { return v < 0 ? alpha * std::expm1(v) : v; });
    case UnaryOp::kHardSigmoid:
      return apply([=](T v) { return std::isnan(v) ? v : std::min(1.0, std::max(0.0, alpha * v + beta)); });
    case UnaryOp::kGelu: return apply([](T v) { return 0.5 * v * (1 + std::erf(v * kSqrtHalf)); });
    case UnaryOp::kGeluTanh:
      return apply([](T v) { return 0.5 * v * (1 + std::tanh(kGeluScale * (v + kGeluCubic * v * v * v))); });
    case UnaryOp::kAbs:
    case UnaryOp::kNeg:
    case UnaryOp::kRelu:
    case UnaryOp::kSign: break;
  }
  unary_number<T>(context, op, x, y);
}

double gelu_slope(double v) { return 0.5 * (1 + std::erf(v * kSqrtHalf)) + v * kOneOverSqrtTwoPi * std::exp(-0.5 * v * v); }
double gelu_tanh_slope(double v) {
  const double t = std::tanh(kGeluScale * (v + kGeluCubic * v * v * v));
  return 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * kGeluScale * (1 + 3 * kGeluCubic * v * v);
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
  }
}

template <class T>
T scalar_or(const ConstTensorView& view, T fallback) {
  if (!view) return fallback;
  require(view.elements() == 1, "[Clip] a bound must be one element; its shape", to_string(view.shape));
  return view.as<T>()[0];
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
void clip_between(const KernelContext& context, ConstTensorView x, T low, T high, TensorView y) {
  require_one_shape(x, y);
  const T* in = x.as<T>().data();
  T* out = y.as<T>().data();
  parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<T, float>) return simd::clip(in + begin, low, high, out + begin, end - begin);
    for (int64_t i = begin; i < end; ++i) {
      const T raised = in[i] < low ? low : in[i];  // comparisons with NaN are false, so NaN stays
      out[i] = raised > high ? high : raised;
    }
  });
}

}  // namespace

void unary(const KernelContext& context, UnaryOp op, ConstTensorView x, TensorView y, UnaryParameters parameters) {
  require_one_shape(x, y);
  if (x.dtype == DType::kF32) {
    const float* in = x.as<float>().data();
    float* out = y.as<float>().data();
    return parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
      simd::unary(op, in + begin, out + begin, end - begin, parameters);
    });
  }
  if (x.dtype == DType::kF64) return unary_f64(context, op, x, y, parameters);
  visit_number(x.dtype, [&]<class T>() {
    require(unary_number<T>(context, op, x, y), "no kernel of this function for integers", name(x.dtype));
  });
}

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

void clip(const KernelContext& context, ConstTensorView x, ConstTensorView low, ConstTensorView high, TensorView y) {
  visit_number(x.dtype, [&]<class T>() {
    clip_between<T>(context, x, scalar_or<T>(low, convert<T>(-kInfinity)), scalar_or<T>(high, convert<T>(kInfinity)), y);
  });
}

void clip(const KernelContext& context, ConstTensorView x, double low, double high, TensorView y) {
  visit_number(x.dtype, [&]<class T>() { clip_between<T>(context, x, convert<T>(low), convert<T>(high), y); });
}

void clip_backward(const KernelContext& context, ConstTensorView x, ConstTensorView dy, ConstTensorView low, ConstTensorView high,
                   TensorView dx) {
  require_one_shape(x, dx);
  require_one_shape(dy, dx);
  visit_float(x.dtype, [&]<class T>() {
    const T a = scalar_or<T>(low, -std::numeric_limits<T>::infinity()),
            b = scalar_or<T>(high, std::numeric_limits<T>::infinity());
    const T *in = x.as<T>().data(), *grad = dy.as<T>().data();
    T* out = dx.as<T>().data();
    parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = in[i] >= a && in[i] <= b ? grad[i] : T{0};
    });
  });
}

void logical_not(const KernelContext& context, ConstTensorView x, TensorView y) {
  map<bool>(context, x, y, [](bool v) { return !v; });
}

void is_nan(const KernelContext& context, ConstTensorView x, TensorView y) {
  visit_float(x.dtype, [&]<class T>() { map<T>(context, x, y, [](T v) { return std::isnan(v); }); });
}

void is_inf(const KernelContext& context, ConstTensorView x, TensorView y, bool positive, bool negative) {
  visit_float(x.dtype,
              [&]<class T>() { map<T>(context, x, y, [=](T v) { return std::isinf(v) && (v > 0 ? positive : negative); }); });
}

void scale(const KernelContext& context, ConstTensorView x, TensorView y, double factor) {
  require_one_shape(x, y);
  visit_float(x.dtype, [&]<class T>() { map<T>(context, x, y, [f = static_cast<T>(factor)](T v) { return v * f; }); });
}

}  // namespace tandem::cpu
