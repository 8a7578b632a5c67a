// The shapes of all values for given shapes of the inputs: the ops' own rules, run with numbers in place of symbols.
#pragma once

#include <span>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// `inputs` in the order of graph.inputs; the result is indexed by ValueId (empty shapes for values that no node makes).
// Small integer tensors that only depend on shapes are computed on the way, so that Shape -> Gather -> Reshape chains resolve.
// Throws InvalidArgument naming the first node whose output shape depends on data that only a run can know.
std::vector<Shape> concrete_shapes(const Graph& graph, std::span<const Shape> inputs);

}  // namespace tandem
