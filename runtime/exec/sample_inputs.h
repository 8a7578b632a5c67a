// Inputs made up from what a graph says of them, for measuring.
#pragma once

#include <map>
#include <string>

#include "runtime/graph/graph.h"

namespace tandem {

// For each input of the graph a tensor of its type: floats uniform in [0, 1), from the input's place in the list alone; integers 1, which
// is an index that most tables have and a mask that lets all pass; true; empty strings. `sizes` names the open dimensions, an unnamed one as
// "input.axis". Throws InvalidArgument naming those that have no size, or an input that is no tensor or whose rank is unknown.
std::map<std::string, Tensor, std::less<>> sample_inputs(const Graph& graph, const std::map<std::string, int64_t, std::less<>>& sizes);

}  // namespace tandem
