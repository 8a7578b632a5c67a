// An order of the nodes in which less is alive at once.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// Greedily: of the nodes whose inputs are there, the one next that adds least to what is alive (what it makes less what it reads last), the
// first of equals. Dynamic values count nothing. Nodes with side effects keep their order. Nothing for graphs with states, whose readers must
// not pass those who replace them. As indices into graph.nodes. O(n log n).
std::optional<std::vector<int>> frugal_order(const Graph& graph, std::span<const Shape> shapes);

}  // namespace tandem
