// What shares the memory of a state: the states themselves and views of them. Whoever reads a copy instead must not be made to read these
// later, when the state may have changed.
#pragma once

#include <algorithm>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"

namespace tandem {

// Whether output 0 is the memory of input 0.
inline bool is_view(const OpDef& def) {
  return std::ranges::any_of(def.aliases,
                             [](const Alias& a) { return a.kind == AliasKind::kView && a.input == 0 && a.output == 0; });
}

// To be shown all nodes in running order.
class StateViews {
 public:
  explicit StateViews(const Graph& graph) : is_state_(graph.values.size()) {
    for (size_t v = 0; v < graph.values.size(); ++v) is_state_[v] = graph.values[v].kind == ValueKind::kState;
  }
  bool contains(ValueId id) const { return static_cast<size_t>(id) < is_state_.size() && is_state_[static_cast<size_t>(id)]; }
  void follow(const Node& node) {
    if (is_view(*node.def) && node.inputs[0] != kNoValue && node.outputs[0] != kNoValue && contains(node.inputs[0]))
      is_state_[static_cast<size_t>(node.outputs[0])] = true;
  }

 private:
  std::vector<bool> is_state_;
};

}  // namespace tandem
