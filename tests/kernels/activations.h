// Every activation that an epilogue takes, and none; and what each is, in double.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/api/activation.h"

namespace tandem::test {

inline constexpr Activation kActivations[] = {
    Activation(),
    UnaryOp::kRelu,
    {UnaryOp::kLeakyRelu, {0.25f}},
    {UnaryOp::kClip, {-0.5f, 0.75f}},
    {UnaryOp::kElu, {0.5f}},
    UnaryOp::kSigmoid,
    {UnaryOp::kHardSigmoid, {0.25f, 0.5f}},
    UnaryOp::kTanh,
    UnaryOp::kGelu,
    UnaryOp::kGeluTanh,
    {UnaryOp::kSwish, {1.5f}},
    UnaryOp::kHardSwish,
    UnaryOp::kMish,
    UnaryOp::kSoftplus,
};

inline double activated(const Activation& activation, double x) {
  if (!activation) return x;
  const double alpha = static_cast<double>(activation.parameters.alpha), beta = static_cast<double>(activation.parameters.beta);
  const auto between = [](double v, double low, double high) { return std::min(high, std::max(low, v)); };
  switch (activation.function) {
    case UnaryOp::kRelu: return std::max(x, 0.0);
    case UnaryOp::kLeakyRelu: return x < 0 ? alpha * x : x;
    case UnaryOp::kClip: return between(x, alpha, beta);
    case UnaryOp::kElu: return x < 0 ? alpha * (std::exp(x) - 1) : x;
    case UnaryOp::kSigmoid: return 1 / (1 + std::exp(-x));
    case UnaryOp::kHardSigmoid: return between(alpha * x + beta, 0, 1);
    case UnaryOp::kTanh: return std::tanh(x);
    case UnaryOp::kGelu: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case UnaryOp::kGeluTanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case UnaryOp::kSwish: return x / (1 + std::exp(-alpha * x));
    case UnaryOp::kHardSwish: return x * between(x + 3, 0, 6) / 6;
    case UnaryOp::kMish: return x * std::tanh(std::log1p(std::exp(x)));
    case UnaryOp::kSoftplus: return std::log1p(std::exp(x));
    default: return std::nan("");
  }
}

}  // namespace tandem::test
