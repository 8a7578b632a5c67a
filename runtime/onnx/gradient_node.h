// ai.onnx.preview.training.Gradient (version 1): the gradient of one value of the graph by others, written out as nodes.
#pragma once

#include <span>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// For each of `wanted` d y / d it, where y (the sum of its elements, if it has several) is a function of `wanted` and `given`, and these have the
// values `at`: those of `wanted`, then those of `given`. Where `at` names other values than the variables themselves, what leads from them to y is
// computed again. A variable that y does not depend on has the gradient 0. Throws InvalidArgument naming an op without gradient.
std::vector<ValueId> append_gradient_of(Graph& graph, ValueId y, std::span<const ValueId> wanted, std::span<const ValueId> given,
                                        std::span<const ValueId> at);

}  // namespace tandem
