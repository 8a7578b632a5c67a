// Turns a case into a graph and runs it, by the executor or by its kernel alone.
#pragma once

#include "tests/conformance/case.h"

namespace tandem::conformance {

// The one-node graph of the case. An input is a state if the op updates it in place, else a constant or a graph input.
// With `fixed_shapes` false the dimensions of the graph inputs are left open.
Graph graph_of(const Case& one, bool fixed_shapes = true);

// The tensors to feed to graph_of(one), in the order of graph.inputs.
std::vector<Tensor> fed_inputs(const Case& one);

// Plans and runs; copies of the outputs.
std::vector<Tensor> run(const Graph& graph, const std::vector<Tensor>& inputs, int threads = 1);

// The same in a plan that is made for `planned`, with inputs that are smaller. REQUIRES: a graph of open dimensions.
std::vector<Tensor> run_within(const Graph& graph, const std::vector<Tensor>& planned, const std::vector<Tensor>& inputs);

// Runs the kernel alone on fresh memory that is filled with `fill` and fenced on both sides. `in_place` (may be null) makes that output
// share the memory of that input. Throws Internal if the kernel wrote beside its outputs. REQUIRES: the op has a kernel and is no view.
std::vector<Tensor> run_kernel(const Case& one, int threads, std::byte fill, const Alias* in_place);

}  // namespace tandem::conformance
