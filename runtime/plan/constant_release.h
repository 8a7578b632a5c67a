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

  // An order of the nodes, as indices, in which those that read the same large constant follow each other, so that it can go soon.
  std::vector<size_t> binding_order() const;

  // The kernel of this node does without the content of these inputs (input_set). A constant nobody needs any more loses its content; type and
  // shape stay.
  void packed(const Node& node, uint32_t inputs);

  // Bytes of the constants that still have their content.
  int64_t bytes() const { return bytes_; }

 private:
  Graph& graph_;
  std::vector<int> readers_;  // indexed by ValueId; outputs of the graph count
  int64_t bytes_ = 0;
};

// For a graph of which a copy is planned and that stays, so that weights are never held twice: all constants go before the plan is made, and what it
// has left of them comes back. Another plan of the graph takes the rest from PlanOptions::packs. False if that has not all that the graph reads: a pass made
// other constants of some, and another plan can only be made of the plan's graph.
void let_go_of_constants(Graph& graph);
bool take_constants(Graph& graph, const Plan& plan);

}  // namespace tandem
