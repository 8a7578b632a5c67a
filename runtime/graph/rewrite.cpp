#include "runtime/graph/rewrite.h"

#include <algorithm>
#include <numeric>

#include "runtime/graph/op_def.h"

namespace tandem {

ValueReplacement::ValueReplacement(Graph& graph) : graph_(graph), target_(graph.values.size()), is_output_(graph.values.size()) {
  std::iota(target_.begin(), target_.end(), ValueId{0});
  for (ValueId id : graph.outputs) is_output_[static_cast<size_t>(id)] = true;
}

ValueId ValueReplacement::current(ValueId id) const {
  while (id != kNoValue && static_cast<size_t>(id) < target_.size() && target_[static_cast<size_t>(id)] != id)
    id = target_[static_cast<size_t>(id)];
  return id;
}

bool ValueReplacement::replace(ValueId from, ValueId to) {
  from = current(from);
  to = current(to);
  if (from == to) return false;
  const size_t f = static_cast<size_t>(from), t = static_cast<size_t>(to);
  if (is_output_[f]) {
    if (graph_.value(to).kind != ValueKind::kResult || is_output_[t]) return false;
    std::swap(graph_.value(from).name, graph_.value(to).name);
    is_output_[t] = true;
    is_output_[f] = false;
  }
  target_[f] = to;
  return true;
}

void ValueReplacement::apply() {
  for (ValueId& target : target_) target = current(target);
  const auto redirect = [&](ValueId& id) { id = current(id); };
  for (Node& node : graph_.nodes) std::ranges::for_each(node.inputs, redirect);
  std::ranges::for_each(graph_.outputs, redirect);
}

void erase_nodes(Graph& graph, const std::vector<bool>& erased) {
  size_t kept = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (erased[n]) continue;
    if (kept != n) graph.nodes[kept] = std::move(graph.nodes[n]);
    ++kept;
  }
  graph.nodes.resize(kept);
}

void drop_unused_values(Graph& graph) {
  std::vector<bool> used(graph.values.size());
  const auto mark = [&](const std::vector<ValueId>& ids) {
    for (ValueId id : ids)
      if (id != kNoValue) used[static_cast<size_t>(id)] = true;
  };
  for (const Node& node : graph.nodes) mark(node.inputs), mark(node.outputs);
  mark(graph.inputs), mark(graph.outputs);

  std::vector<ValueId> renumbered(graph.values.size(), kNoValue);
  size_t kept = 0;
  for (size_t v = 0; v < graph.values.size(); ++v) {
    if (!used[v] && graph.values[v].kind != ValueKind::kState) continue;
    renumbered[v] = static_cast<ValueId>(kept);
    if (kept != v) graph.values[kept] = std::move(graph.values[v]);
    ++kept;
  }
  graph.values.resize(kept);
  const auto renumber = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids)
      if (id != kNoValue) id = renumbered[static_cast<size_t>(id)];
  };
  for (Node& node : graph.nodes) renumber(node.inputs), renumber(node.outputs);
  renumber(graph.inputs), renumber(graph.outputs);
}

std::vector<int> count_state_changes(const Graph& graph) {
  std::vector<int> changes;
  int so_far = 0;
  for (const Node& node : graph.nodes) {
    changes.push_back(so_far);
    so_far += std::ranges::any_of(node.def->aliases, [](const Alias& alias) { return alias.kind == AliasKind::kMust; });
  }
  return changes;
}

std::vector<int> count_uses(const Graph& graph) {
  std::vector<int> uses(graph.values.size());
  const auto count = [&](const std::vector<ValueId>& ids) {
    for (ValueId id : ids)
      if (id != kNoValue) ++uses[static_cast<size_t>(id)];
  };
  for (const Node& node : graph.nodes) count(node.inputs);
  count(graph.outputs);
  return uses;
}

}  // namespace tandem
