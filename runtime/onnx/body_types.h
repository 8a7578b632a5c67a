// The inputs of a body of which the file does not say the types.
#pragma once

#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// An input of a body as the first iteration brings it.
struct FormalInput {
  TensorType type;
  bool varies = false;      // the next iteration may bring another shape: a variable of a Loop
  bool is_counter = false;  // one number, of the rank that the body declares: a Loop's iteration or condition
};

// The inputs of the body of `node`, a Loop, Scan or SequenceMap in `graph`: of a Loop its counter, condition and variables, of a Scan its
// states and slices, of a SequenceMap elements and tensors. Empty for other ops. REQUIRES the node's inputs to have types.
std::vector<FormalInput> formal_inputs(const Graph& graph, const Node& node);

// The type in each iteration of each run, of an input that the file declares: a number holds if it is that of the input as well, a rank unless it
// is another; of a counter, whether it has one. A name in a body is not taken for the name outside.
TensorType believed_type(TensorType declared, const FormalInput& input);
// The same if the file declares nothing.
TensorType believed_type(const FormalInput& input);

// Whether `body`, of a Loop, makes a variable of another rank or size than it takes it to have: only the first iteration has that one.
bool changes_sizes(const Graph& body, const Node& node);

}  // namespace tandem
