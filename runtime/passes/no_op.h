// Which nodes give back one of their inputs as it is, whatever the inputs hold.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// The same dimensions for sure: two unknown ones may differ.
bool same_dims(const TensorType& a, const TensorType& b);

// The input that output 0 of the node equals, bit for bit and in shape; kNoValue if there is none or the node has further outputs.
ValueId given_back(const Graph& graph, const Node& node);

}  // namespace tandem
