// The activation functions of recurrent cells, on contiguous rows, and their slopes as functions of what they gave.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/api/recurrent.h"
#include "kernels/cpu/simd/elementwise_f32.h"

namespace tandem::cpu {

template <class T>
T gate_value(const GateActivation& of, T x) {
  const T alpha = static_cast<T>(of.alpha), beta = static_cast<T>(of.beta);
  switch (of.function) {
    case GateFunction::kRelu: return std::max(x, T{0});
    case GateFunction::kTanh: return std::tanh(x);
    case GateFunction::kSigmoid: return 1 / (1 + std::exp(-x));
    case GateFunction::kSoftsign: return x / (1 + std::abs(x));
    case GateFunction::kSoftplus: return std::max(x, T{0}) + std::log1p(std::exp(-std::abs(x)));
    case GateFunction::kLeakyRelu: return x >= 0 ? x : alpha * x;
    case GateFunction::kElu: return x >= 0 ? x : alpha * std::expm1(x);
    case GateFunction::kThresholdedRelu: return x >= alpha ? x : T{0};
    case GateFunction::kAffine: return alpha * x + beta;
    case GateFunction::kScaledTanh: return alpha * std::tanh(beta * x);
    case GateFunction::kHardSigmoid: return std::clamp(alpha * x + beta, T{0}, T{1});
  }
  return x;
}

// The derivative where the function gave y.
template <class T>
T gate_slope(const GateActivation& of, T y) {
  const T alpha = static_cast<T>(of.alpha), beta = static_cast<T>(of.beta);
  switch (of.function) {
    case GateFunction::kRelu: return y > 0 ? T{1} : T{0};
    case GateFunction::kTanh: return 1 - y * y;
    case GateFunction::kSigmoid: return y * (1 - y);
    case GateFunction::kSoftsign: return (1 - std::abs(y)) * (1 - std::abs(y));
    case GateFunction::kSoftplus: return -std::expm1(-y);
    case GateFunction::kLeakyRelu: return y >= 0 ? T{1} : alpha;
    case GateFunction::kElu: return y >= 0 ? T{1} : y + alpha;
    case GateFunction::kThresholdedRelu: return y != 0 ? T{1} : T{0};
    case GateFunction::kAffine: return alpha;
    case GateFunction::kScaledTanh: return beta * (alpha - y * y / alpha);
    case GateFunction::kHardSigmoid: return y > 0 && y < 1 ? alpha : T{0};
  }
  return 1;
}

// x = function(x within [-clip, clip]); clip 0: as it is.
template <class T>
void apply_gate(const GateActivation& of, T clip, T* x, int64_t n) {
  if (clip > 0)
    for (int64_t i = 0; i < n; ++i) x[i] = std::clamp(x[i], -clip, clip);
  if constexpr (std::is_same_v<T, float>) {
    if (of.function == GateFunction::kSigmoid) return simd::unary(UnaryOp::kSigmoid, x, x, n, {});
    if (of.function == GateFunction::kTanh) return simd::unary(UnaryOp::kTanh, x, x, n, {});
  }
  for (int64_t i = 0; i < n; ++i) x[i] = gate_value(of, x[i]);
}

}  // namespace tandem::cpu
