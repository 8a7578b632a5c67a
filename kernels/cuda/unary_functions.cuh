// The functions of one value and their slopes: the formulas of kernels/cpu/unary.cpp in f32 (also for 16-bit floats) or f64.
#pragma once

#include <cmath>
#include <type_traits>

#include "kernels/api/convert.h"
#include "kernels/api/integer_arithmetic.h"
#include "kernels/cuda/device/gpu.h"

namespace tandem::cuda {

inline constexpr double kGeluScale = 0.79788456080286535588,
                        kGeluCubic = 0.044715;  // sqrt(2 / pi), and the fit of Hendrycks and Gimpel
inline constexpr double kSqrtHalf = 0.70710678118654752440;
inline constexpr double kTwoOverSqrtPi = 1.12837916709551257390, kOneOverSqrtTwoPi = 0.39894228040143267794;

// f(x) for the C that x is; C(1) is the constant in its precision.
struct Abs {
  template <class C>
  __device__ C operator()(C x) const {
    if constexpr (std::is_floating_point_v<C>)
      return std::fabs(x);
    else if constexpr (std::is_signed_v<C>)
      return x < C(0) ? wrapping_negate(x) : x;
    else
      return x;
  }
};
struct Neg {
  template <class C>
  __device__ C operator()(C x) const {
    if constexpr (std::is_floating_point_v<C>)
      return -x;
    else
      return wrapping_negate(x);
  }
};
struct Relu {  // NaN stays
  template <class C>
  __device__ C operator()(C x) const {
    if constexpr (std::is_unsigned_v<C>)
      return x;
    else
      return x < C(0) ? C(0) : x;
  }
};
struct Sign {  // NaN stays
  template <class C>
  __device__ C operator()(C x) const {
    if constexpr (std::is_unsigned_v<C>)
      return x != 0;
    else
      return x > C(0) ? C(1) : x < C(0) ? C(-1) : x == C(0) ? C(0) : x;
  }
};
struct Exp {
  template <class C>
  __device__ C operator()(C x) const {
    return std::exp(x);
  }
};
struct Log {
  template <class C>
  __device__ C operator()(C x) const {
    return std::log(x);
  }
};
struct Sqrt {
  template <class C>
  __device__ C operator()(C x) const {
    return std::sqrt(x);
  }
};
struct Reciprocal {
  template <class C>
  __device__ C operator()(C x) const {
    return C(1) / x;
  }
};
struct Tanh {
  template <class C>
  __device__ C operator()(C x) const {
    return std::tanh(x);
  }
};
struct Erf {
  template <class C>
  __device__ C operator()(C x) const {
    return std::erf(x);
  }
};
struct Sin {
  template <class C>
  __device__ C operator()(C x) const {
    return std::sin(x);
  }
};
struct Cos {
  template <class C>
  __device__ C operator()(C x) const {
    return std::cos(x);
  }
};
struct Floor {
  template <class C>
  __device__ C operator()(C x) const {
    return std::floor(x);
  }
};
struct Ceil {
  template <class C>
  __device__ C operator()(C x) const {
    return std::ceil(x);
  }
};
struct Round {  // half to even
  template <class C>
  __device__ C operator()(C x) const {
    return std::rint(x);
  }
};
struct Sigmoid {
  template <class C>
  __device__ C operator()(C x) const {
    return C(1) / (C(1) + std::exp(-x));
  }
};
struct Softplus {  // does not overflow; NaN stays
  template <class C>
  __device__ C operator()(C x) const {
    return (x > C(0) ? x : C(0)) + std::log1p(std::exp(-std::fabs(x)));
  }
};
struct LeakyRelu {
  float alpha;
  template <class C>
  __device__ C operator()(C x) const {
    return x < C(0) ? C(alpha) * x : x;
  }
};
struct Elu {
  float alpha;
  template <class C>
  __device__ C operator()(C x) const {
    return x < C(0) ? C(alpha) * std::expm1(x) : x;
  }
};
struct HardSigmoid {  // NaN stays
  float alpha, beta;
  template <class C>
  __device__ C operator()(C x) const {
    const C y = C(alpha) * x + C(beta);
    return y < C(0) ? C(0) : y > C(1) ? C(1) : y;
  }
};
template <class C>
__device__ inline C gelu_angle(C x) {
  return C(kGeluScale) * (x + C(kGeluCubic) * x * x * x);
}
struct Gelu {
  template <class C>
  __device__ C operator()(C x) const {
    return C(0.5) * x * (C(1) + std::erf(x * C(kSqrtHalf)));
  }
};
struct GeluTanh {
  template <class C>
  __device__ C operator()(C x) const {
    return C(0.5) * x * (C(1) + std::tanh(gelu_angle(x)));
  }
};
struct Asin {
  template <class C>
  __device__ C operator()(C x) const {
    return std::asin(x);
  }
};
struct Acos {
  template <class C>
  __device__ C operator()(C x) const {
    return std::acos(x);
  }
};
struct Atan {
  template <class C>
  __device__ C operator()(C x) const {
    return std::atan(x);
  }
};
struct Tan {
  template <class C>
  __device__ C operator()(C x) const {
    return std::tan(x);
  }
};
struct Sinh {
  template <class C>
  __device__ C operator()(C x) const {
    return std::sinh(x);
  }
};
struct Cosh {
  template <class C>
  __device__ C operator()(C x) const {
    return std::cosh(x);
  }
};
struct Asinh {
  template <class C>
  __device__ C operator()(C x) const {
    return std::asinh(x);
  }
};
struct Acosh {
  template <class C>
  __device__ C operator()(C x) const {
    return std::acosh(x);
  }
};
struct Atanh {
  template <class C>
  __device__ C operator()(C x) const {
    return std::atanh(x);
  }
};
struct Softsign {
  template <class C>
  __device__ C operator()(C x) const {
    return x / (C(1) + std::fabs(x));
  }
};
struct HardSwish {  // NaN stays
  template <class C>
  __device__ C operator()(C x) const {
    const C gate = x / C(6) + C(0.5);
    return x * (gate < C(0) ? C(0) : gate > C(1) ? C(1) : gate);
  }
};
struct Swish {
  float alpha;
  template <class C>
  __device__ C operator()(C x) const {
    return x * Sigmoid()(C(alpha) * x);
  }
};
struct Mish {
  template <class C>
  __device__ C operator()(C x) const {
    return x * std::tanh(Softplus()(x));
  }
};
struct Selu {
  float alpha, gamma;
  template <class C>
  __device__ C operator()(C x) const {
    return C(gamma) * Elu{alpha}(x);
  }
};
struct Celu {  // NaN stays
  float alpha;
  template <class C>
  __device__ C operator()(C x) const {
    const C low = C(alpha) * std::expm1(x / C(alpha));
    return (x < C(0) ? C(0) : x) + (low < C(0) ? low : C(0));
  }
};
struct ThresholdedRelu {  // NaN stays
  float alpha;
  template <class C>
  __device__ C operator()(C x) const {
    return x <= C(alpha) ? C(0) : x;
  }
};
struct Shrink {
  float lambda, bias;
  template <class T>
  __device__ T operator()(T value) const {
    using C = std::conditional_t<std::is_integral_v<T>, double, T>;
    const C x = static_cast<C>(value);
    return convert<T>(x < C(-lambda) ? x + C(bias) : x > C(lambda) ? x - C(bias) : C(0));
  }
};
struct Between {  // NaN stays
  float low, high;
  template <class C>
  __device__ C operator()(C x) const {
    const C raised = x < C(low) ? C(low) : x;
    return raised > C(high) ? C(high) : raised;
  }
};
struct BitNot {
  template <class C>
  __device__ C operator()(C x) const {
    return static_cast<C>(~x);
  }
};

// dx from what the forward pass saved, y or x, and dy.
struct ReluGrad {
  template <class C>
  __device__ C operator()(C y, C dy) const {
    return y > C(0) ? dy : C(0);
  }
};
struct SigmoidGrad {
  template <class C>
  __device__ C operator()(C y, C dy) const {
    return dy * (y * (C(1) - y));
  }
};
struct TanhGrad {
  template <class C>
  __device__ C operator()(C y, C dy) const {
    return dy * (C(1) - y * y);
  }
};
struct HardSigmoidGrad {
  float alpha;
  template <class C>
  __device__ C operator()(C y, C dy) const {
    return y > C(0) && y < C(1) ? dy * C(alpha) : C(0);
  }
};
struct LeakyReluGrad {
  float alpha;
  template <class C>
  __device__ C operator()(C x, C dy) const {
    return x < C(0) ? dy * C(alpha) : dy;
  }
};
struct EluGrad {
  float alpha;
  template <class C>
  __device__ C operator()(C x, C dy) const {
    return x < C(0) ? dy * (C(alpha) * std::exp(x)) : dy;
  }
};
struct ErfGrad {
  template <class C>
  __device__ C operator()(C x, C dy) const {
    return dy * (C(kTwoOverSqrtPi) * std::exp(-x * x));
  }
};
struct GeluGrad {  // Phi(x) + x * phi(x)
  template <class C>
  __device__ C operator()(C x, C dy) const {
    const C cumulative = C(0.5) * (C(1) + std::erf(x * C(kSqrtHalf)));
    return dy * (cumulative + x * C(kOneOverSqrtTwoPi) * std::exp(C(-0.5) * x * x));
  }
};
struct GeluTanhGrad {
  template <class C>
  __device__ C operator()(C x, C dy) const {
    const C t = std::tanh(gelu_angle(x)), slope = C(kGeluScale) * (C(1) + C(3 * kGeluCubic) * x * x);
    return dy * (C(0.5) * (C(1) + t) + C(0.5) * x * (C(1) - t * t) * slope);
  }
};
struct SoftplusGrad {
  template <class C>
  __device__ C operator()(C x, C dy) const {
    return dy * Sigmoid()(x);
  }
};

struct HardSwishGrad {
  template <class C>
  __device__ C operator()(C x, C dy) const {
    return x <= C(-3) ? C(0) : x >= C(3) ? dy : dy * (x / C(3) + C(0.5));
  }
};
struct SwishGrad {
  float alpha;
  template <class C>
  __device__ C operator()(C x, C dy) const {
    const C s = Sigmoid()(C(alpha) * x);
    return dy * (s + C(alpha) * x * s * (C(1) - s));
  }
};
struct MishGrad {
  template <class C>
  __device__ C operator()(C x, C dy) const {
    const C t = std::tanh(Softplus()(x));
    return dy * (t + x * Sigmoid()(x) * (C(1) - t * t));
  }
};

struct Not {
  __device__ bool operator()(bool x) const { return !x; }
};
struct IsNan {
  template <class C>
  __device__ bool operator()(C x) const {
    return x != x;
  }
};
struct IsInf {
  bool positive, negative;
  template <class C>
  __device__ bool operator()(C x) const {
    return std::fabs(x) == C(INFINITY) && (x > C(0) ? positive : negative);
  }
};
template <class C>
struct Scale {
  C factor;
  __device__ C operator()(C x) const { return x * factor; }
};

}  // namespace tandem::cuda
