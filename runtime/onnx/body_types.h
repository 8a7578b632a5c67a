// The inputs of a body of which the file does not say the types.
#pragma once

#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// What the inputs of the body of `node`, a Loop or Scan in `graph`, must be by the node's own inputs: of a Loop its counter, condition and
// variables, of a Scan its states and slices. Empty for other ops. REQUIRES the node's inputs to have types.
std::vector<TensorType> formal_types(const Graph& graph, const Node& node);

}  // namespace tandem
