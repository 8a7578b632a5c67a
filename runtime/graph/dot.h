// A graph as a Graphviz drawing: nodes as boxes, values as edges with their types.
#pragma once

#include <string>

#include "runtime/graph/graph.h"

namespace tandem {

std::string to_dot(const Graph& graph);

}  // namespace tandem
