// A Reshape that comes after a Transpose, computed before it.
#pragma once

#include <optional>

#include "runtime/passes/permutation.h"
#include "runtime/passes/reshape_target.h"

namespace tandem {

struct TransposedReshape {
  Permutation order;     // of the Transpose behind it
  ReshapeTarget target;  // of the Reshape
};

// Where the Reshape of Transpose(x) by `order`, from the dimensions `from` to `to`, cuts axes, joins axes that lie side by side before the
// Transpose as well, or does both to a few that hold the same elements. Nothing where it takes elements across, or sizes are not known.
std::optional<TransposedReshape> transposed_reshape(const Dims& from, const Dims& to, const Permutation& order);

}  // namespace tandem
