// Every value that a graph makes, from one run of it; and inputs to run it on where nobody has any.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/graph/run_value.h"

namespace tandem {

struct TracedValue {
  std::string name, node, op;
  RunValue value;
};

// The outputs of all nodes in running order; those of bodies (If, Loop) are not among them. All are held at once. `inputs` in the
// order of graph.inputs. The graph is run as it is: passes are the caller's. Throws what Executor::run_values does.
std::vector<TracedValue> trace(Graph graph, const std::vector<RunValue>& inputs, int threads);

using Sizes = std::map<std::string, int64_t, std::less<>>;

// For each input of the graph: floats in [-1, 1), integers 0 and 1 (which index any table of two rows), bools, short texts.
// `sizes`: of symbolic dimensions; one without a size, and an unknown one, is 2. The same seed gives the same values, also to an
// input of that name and shape in another graph. Throws InvalidArgument for an input of unknown rank, and for a sequence or an
// optional value.
std::vector<RunValue> random_inputs(const Graph& graph, uint64_t seed, const Sizes& sizes = {});

}  // namespace tandem
