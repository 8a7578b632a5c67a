// Writes one node of a graph as several: what the rewrites of an export share.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/graph/contexts.h"

namespace tandem {

class NodeWriter : protected NodeContext {
 protected:
  // `graph` takes the new nodes, all of `opset`, or of the first one that has their op (with_older_ops rewrites those).
  NodeWriter(Graph& graph, const Node& node, int opset) : NodeContext(node), graph_(graph), opset_(opset) {}

  // A node named after this one and its op; its output.
  ValueId emit(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {});
  // A scalar of the element type of `like`.
  ValueId number(double value, ValueId like);
  // The last node written makes the outputs of this one.
  void finish() { graph_.nodes.back().outputs = node().outputs; }

  Graph& graph_;
  int opset_;
};

}  // namespace tandem
