// f32 goes to the SIMD rows in simd/; the other types take one scalar function per op.
#include <cmath>
#include <type_traits>

#include "kernels/api/convert.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/integer_arithmetic.h"
#include "kernels/base/dtype_families.h"
#include "kernels/cpu/map.h"
#include "kernels/cpu/simd/elementwise_f32.h"

namespace tandem::cpu {
namespace {

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

template <class T>
T shrunk(T v, double lambda, double bias) {
  const double x = static_cast<double>(v);
  return convert<T>(x < -lambda ? x + bias : x > lambda ? x - bias : 0.0);
}

// The ops that integers have too. Returns false for another op.
template <class T>
bool unary_number(const KernelContext& context, UnaryOp op, ConstTensorView x, TensorView y, UnaryParameters p) {
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
    case UnaryOp::kShrink:
      map<T>(context, x, y, [=](T v) { return shrunk(v, static_cast<double>(p.alpha), static_cast<double>(p.beta)); });
      return true;
    case UnaryOp::kBitNot:
      if constexpr (std::is_integral_v<T>) map<T>(context, x, y, [](T v) { return static_cast<T>(~v); });
      return std::is_integral_v<T>;
    default: return false;
  }
}

constexpr double kGeluScale = 0.79788456080286535588, kGeluCubic = 0.044715;  // sqrt(2 / pi), and the fit of Hendrycks and Gimpel
constexpr double kSqrtHalf = 0.70710678118654752440;

double sigmoid(double v) { return 1 / (1 + std::exp(-v)); }
double softplus(double v) { return std::max(v, 0.0) + std::log1p(std::exp(-std::fabs(v))); }

// Trigonometry that networks rarely use: the C++ library's functions in f32 too. Returns false for another op.
template <class T>
bool angle(const KernelContext& context, UnaryOp op, ConstTensorView x, TensorView y) {
  const auto apply = [&](auto f) {
    map<T>(context, x, y, f);
    return true;
  };
  switch (op) {
    case UnaryOp::kAsin: return apply([](T v) { return std::asin(v); });
    case UnaryOp::kAcos: return apply([](T v) { return std::acos(v); });
    case UnaryOp::kAtan: return apply([](T v) { return std::atan(v); });
    case UnaryOp::kTan: return apply([](T v) { return std::tan(v); });
    case UnaryOp::kSinh: return apply([](T v) { return std::sinh(v); });
    case UnaryOp::kCosh: return apply([](T v) { return std::cosh(v); });
    case UnaryOp::kAsinh: return apply([](T v) { return std::asinh(v); });
    case UnaryOp::kAcosh: return apply([](T v) { return std::acosh(v); });
    case UnaryOp::kAtanh: return apply([](T v) { return std::atanh(v); });
    default: return false;
  }
}

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
    case UnaryOp::kSoftplus: return apply(softplus);
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
    case UnaryOp::kSoftsign: return apply([](T v) { return v / (1 + std::fabs(v)); });
    case UnaryOp::kHardSwish: return apply([](T v) { return std::isnan(v) ? v : v * std::clamp(v / 6 + 0.5, 0.0, 1.0); });
    case UnaryOp::kSwish: return apply([=](T v) { return v * sigmoid(alpha * v); });
    case UnaryOp::kMish: return apply([](T v) { return v * std::tanh(softplus(v)); });
    case UnaryOp::kSelu: return apply([=](T v) { return beta * (v < 0 ? alpha * std::expm1(v) : v); });
    case UnaryOp::kCelu:
      return apply([=](T v) { return std::isnan(v) ? v : std::max(0.0, v) + std::min(0.0, alpha * std::expm1(v / alpha)); });
    case UnaryOp::kClip: return apply([=](T v) { return v < alpha ? alpha : v > beta ? beta : v; });
    case UnaryOp::kThresholdedRelu: return apply([=](T v) { return v <= alpha ? 0 : v; });
    default: break;
  }
  if (angle<T>(context, op, x, y) || unary_number<T>(context, op, x, y, p)) return;
  no_kernel_for(x.dtype);
}

// Of the types that are only stored, the predicates take those that hold floats.
template <class F>
void visit_float_or_narrow(DType t, F f) {
  if (is_narrow(t)) return visit_narrow(t, f);
  visit_float(t, f);
}
template <class T>
auto wide(T v) {
  if constexpr (std::is_floating_point_v<T>)
    return v;
  else
    return convert<float>(v);
}

}  // namespace

void unary(const KernelContext& context, UnaryOp op, ConstTensorView x, TensorView y, UnaryParameters parameters) {
  require_one_shape(x, y);
  if (x.dtype == DType::kF32) {
    if (angle<float>(context, op, x, y)) return;
    const float* in = x.as<float>().data();
    float* out = y.as<float>().data();
    return parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
      simd::unary(op, in + begin, out + begin, end - begin, parameters);
    });
  }
  if (x.dtype == DType::kF64) return unary_f64(context, op, x, y, parameters);
  visit_arithmetic(x.dtype, [&]<class T>() {
    require(unary_number<T>(context, op, x, y, parameters), "no kernel of this function for integers", name(x.dtype));
  });
}

void logical_not(const KernelContext& context, ConstTensorView x, TensorView y) {
  map<bool>(context, x, y, [](bool v) { return !v; });
}

void is_nan(const KernelContext& context, ConstTensorView x, TensorView y) {
  visit_float_or_narrow(x.dtype, [&]<class T>() { map<T>(context, x, y, [](T v) { return std::isnan(wide(v)); }); });
}

void is_inf(const KernelContext& context, ConstTensorView x, TensorView y, bool positive, bool negative) {
  visit_float_or_narrow(x.dtype, [&]<class T>() {
    map<T>(context, x, y, [=](T v) { return std::isinf(wide(v)) && (wide(v) > 0 ? positive : negative); });
  });
}

void scale(const KernelContext& context, ConstTensorView x, TensorView y, double factor) {
  require_one_shape(x, y);
  visit_float(x.dtype, [&]<class T>() { map<T>(context, x, y, [f = static_cast<T>(factor)](T v) { return v * f; }); });
}

}  // namespace tandem::cpu
