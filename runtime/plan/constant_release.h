// Letting go of constants that kernels hold packed: the weights are in memory once.
#pragma once

#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/plan/plan.h"

namespace tandem {

// Counts who still reads the content of each constant of a plan's graph while its steps are bound, in any order.
class ConstantRelease {
 public:
  explicit ConstantRelease(Graph& graph);

  // The kernel of this node does without the content of these inputs (input_set). A constant nobody needs any more loses its content; type and
  // shape stay.
  void packed(const Node& node, uint32_t inputs);

 private:
  Graph& graph_;
  std::vector<int> readers_;  // indexed by ValueId; outputs of the graph count
};

// Lets go in `graph` of what its `plan` let go of: another plan of it takes that from PlanOptions::packs.
void release_packed(Graph& graph, const Plan& plan);

}  // namespace tandem
