#include "runtime/plan/constant_release.h"

#include <algorithm>

#include "runtime/graph/op_def.h"

namespace tandem {

ConstantRelease::ConstantRelease(Graph& graph) : graph_(graph), readers_(graph.values.size(), 0) {
  for (const Node& node : graph.nodes)
    for (ValueId id : node.inputs)
      if (id != kNoValue) ++readers_[static_cast<size_t>(id)];
  for (ValueId id : graph.outputs) ++readers_[static_cast<size_t>(id)];
}

void ConstantRelease::packed(const Node& node, uint32_t inputs) {
  for (size_t i = 0; i < node.inputs.size() && inputs >> i; ++i) {
    if (!(inputs >> i & 1)) continue;
    const ValueId id = node.inputs[i];
    if (--readers_[static_cast<size_t>(id)] == 0) graph_.value(id).data = Tensor();
  }
}

void release_packed(Graph& graph, const Plan& plan) {
  const size_t shared = std::min(graph.values.size(), plan.graph.values.size());  // a plan adds values at the end
  for (size_t i = 0; i < shared; ++i)
    if (graph.values[i].kind == ValueKind::kConstant && !plan.graph.values[i].data && graph.values[i].name == plan.graph.values[i].name)
      graph.values[i].data = Tensor();
}

}  // namespace tandem
