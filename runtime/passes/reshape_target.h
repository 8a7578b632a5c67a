// The constant shape that makes a Reshape give known dimensions, symbols among them.
#pragma once

#include <optional>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

struct ReshapeTarget {
  std::vector<int64_t> shape;
  bool keeps_zeros = false;  // allowzero: a 0 is a size
};

// A number, 0 for the symbol that the input has at the same place, -1 for one other. -1 says nothing about a tensor without elements if other
// sizes are copied, so the two never stand together; and there is only a target if the rule for Reshape knows as much of the result from it as
// `to` says.
std::optional<ReshapeTarget> reshape_target(const Dims& from, const Dims& to);

}  // namespace tandem
