// What channels-last convolutions that hang together gain, and what the Transposes around them cost.
#pragma once

#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// Whether the node is a Transpose between channels first and channels last that moves elements.
bool is_layout_change(const Graph& graph, const Node& node);

// Names (name_before) of all convolutions in regions that would be faster with channels first. A region: convolutions and what lies between
// them without a Transpose.
std::vector<std::string> convolutions_that_do_not_pay(const Graph& graph);

}  // namespace tandem
