// Activations that a tile applies while it stores; the others pass over what is stored while it is hot.
#pragma once

#include <limits>

#include "kernels/api/activation.h"
#include "kernels/cpu/channels_last/tier.h"

namespace tandem::cpu {

inline bool in_channels_last_tile(const Activation& a) {
  return !a || a.is(UnaryOp::kRelu) || a.is(UnaryOp::kClip) || a.is(UnaryOp::kSwish);
}

inline TileFinish finish_of(const Activation& a) {
  TileFinish finish;
  if (a.is(UnaryOp::kRelu)) finish = {TileFinish::kBounds, 0, std::numeric_limits<float>::infinity()};
  if (a.is(UnaryOp::kClip)) finish = {TileFinish::kBounds, a.parameters.alpha, a.parameters.beta};
  if (a.is(UnaryOp::kSwish)) finish = {TileFinish::kSwish, 0, 0, a.parameters.alpha};
  return finish;
}

}  // namespace tandem::cpu
