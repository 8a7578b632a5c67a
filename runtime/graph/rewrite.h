// What passes need to change a graph: read one value instead of another, take nodes out, drop what nobody uses any more.
//
// All of it works on the whole graph at once, so that a pass over n nodes takes time O(n) however much it changes.
#pragma once

#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// Collects replacements of values by values that hold the same, then applies them all.
class ValueReplacement {
 public:
  explicit ValueReplacement(Graph& graph);

  // From apply() on, whoever reads `from` reads `to`. A graph output keeps its name: `to` takes it over. That cannot be if `to`
  // is an input, a constant, a state or another output; then nothing happens and the result is false.
  bool replace(ValueId from, ValueId to);
  // What is to be read for `id`, as far as is known now.
  ValueId current(ValueId id) const;
  bool is_output(ValueId id) const { return is_output_[static_cast<size_t>(id)]; }
  void apply();

 private:
  Graph& graph_;
  std::vector<ValueId> target_;  // by ValueId; itself if it stays
  std::vector<bool> is_output_;
};

// Takes out the nodes marked true (by index).
void erase_nodes(Graph& graph, const std::vector<bool>& erased);

// Takes out results and constants that neither a node nor the graph's outputs name, and renumbers the rest in order. Inputs and
// states stay: they are the graph's signature and its memory.
void drop_unused_values(Graph& graph);

// For each node the number of nodes before it that replace a state. Between two nodes with the same number no state changes, so a
// node may be moved from the one to the other.
std::vector<int> count_state_changes(const Graph& graph);

// For each value by how many node inputs and graph outputs it is read (a node that reads it twice counts twice).
std::vector<int> count_uses(const Graph& graph);

}  // namespace tandem
