// Reverse-mode differentiation as graph rewriting: appends the nodes that compute the gradients.
#pragma once

#include <span>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// For each value of `with_respect_to` the value that holds d loss / d value, of the same type and shape; kNoValue if the loss
// does not depend on it. `loss` is a floating-point scalar. Gradients of a value that is used several times are summed in the
// order of its uses, from the last to the first. Throws InvalidArgument listing every op on the way that has no gradient.
std::vector<ValueId> append_gradients(Graph& graph, ValueId loss, std::span<const ValueId> with_respect_to);

}  // namespace tandem
