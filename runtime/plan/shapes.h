// The shapes of all values for given shapes of the inputs: the ops' own rules, run with numbers in place of symbols.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// `inputs` in the order of graph.inputs; the result is indexed by ValueId (empty shapes for values that no node makes).
// Small integer tensors that only depend on shapes are computed on the way, so that Shape -> Gather -> Reshape chains resolve.
// Throws InvalidArgument naming the first node whose output shape depends on data that only a run can know.
std::vector<Shape> concrete_shapes(const Graph& graph, std::span<const Shape> inputs);

// The sizes that these shapes of the inputs give to the symbolic dimensions, as PlanOptions::bounds wants them (at least 1 each).
std::map<std::string, int64_t, std::less<>> bounds_of(const Graph& graph, std::span<const Shape> inputs);

}  // namespace tandem
