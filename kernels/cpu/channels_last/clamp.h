// Activations that a tile applies while it stores: bounds, infinite where there are none.
#pragma once

#include <limits>

#include "kernels/api/activation.h"

namespace tandem::cpu {

struct Clamp {
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
  bool whole = true;  // nothing of the activation is left
};

inline Clamp clamp_of(const Activation& activation) {
  Clamp clamp;
  if (activation.is(UnaryOp::kRelu)) clamp.low = 0;
  else if (activation.is(UnaryOp::kClip)) clamp.low = activation.parameters.alpha, clamp.high = activation.parameters.beta;
  else clamp.whole = !activation;
  return clamp;
}

}  // namespace tandem::cpu
