// Shapes of images whose channels come last, for ops that share their rules with those where they come second.
#pragma once

#include "runtime/graph/contexts.h"

namespace tandem {

// [batch, channels, spatial...] of [batch, spatial..., channels], and back. REQUIRES two axes or more.
inline Dims channels_first(const Dims& x) {
  Dims y = {x.front(), x.back()};
  y.insert(y.end(), x.begin() + 1, x.end() - 1);
  return y;
}
inline Dims channels_last(const Dims& x) {
  Dims y = {x.front()};
  y.insert(y.end(), x.begin() + 2, x.end());
  y.push_back(x[1]);
  return y;
}
inline Shape channels_first(const Shape& x) {
  Shape y{x[0], x[x.rank() - 1]};
  for (int axis = 1; axis + 1 < x.rank(); ++axis) y.push_back(x[axis]);
  return y;
}

}  // namespace tandem
