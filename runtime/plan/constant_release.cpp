#include "runtime/plan/constant_release.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "runtime/graph/op_def.h"

namespace tandem {

ConstantRelease::ConstantRelease(Graph& graph) : graph_(graph), readers_(graph.values.size(), 0) {
  for (const Node& node : graph.nodes)
    for (ValueId id : node.inputs)
      if (id != kNoValue) ++readers_[static_cast<size_t>(id)];
  for (ValueId id : graph.outputs) ++readers_[static_cast<size_t>(id)];
  for (const Value& value : graph.values)
    if (value.kind == ValueKind::kConstant && value.data) bytes_ += static_cast<int64_t>(value.data.bytes());
}

std::vector<size_t> ConstantRelease::binding_order() const {
  const auto bytes = [&](ValueId id) {
    const Value& value = graph_.value(id);
    return value.kind == ValueKind::kConstant && value.data ? value.data.bytes() : size_t{0};
  };
  std::vector<size_t> first_reader(graph_.values.size(), graph_.nodes.size()), turn(graph_.nodes.size()), order(graph_.nodes.size());
  for (size_t n = 0; n < graph_.nodes.size(); ++n) {
    ValueId largest = kNoValue;
    for (ValueId id : graph_.nodes[n].inputs)
      if (id != kNoValue && bytes(id) > (largest == kNoValue ? size_t{0} : bytes(largest))) largest = id;
    if (largest != kNoValue) first_reader[static_cast<size_t>(largest)] = std::min(first_reader[static_cast<size_t>(largest)], n);
    turn[n] = largest == kNoValue ? n : first_reader[static_cast<size_t>(largest)];
  }
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t n) { return turn[n]; });
  return order;
}

void ConstantRelease::packed(const Node& node, uint32_t inputs) {
  for (size_t i = 0; i < node.inputs.size() && inputs >> i; ++i) {
    if (!(inputs >> i & 1)) continue;
    const ValueId id = node.inputs[i];
    if (--readers_[static_cast<size_t>(id)] > 0) continue;
    bytes_ -= static_cast<int64_t>(graph_.value(id).data.bytes());
    graph_.value(id).data = Tensor();
  }
}

void let_go_of_constants(Graph& graph) {
  for (Value& value : graph.values)
    if (value.kind == ValueKind::kConstant) value.data = Tensor();
}

bool take_constants(Graph& graph, const Plan& plan) {
  std::unordered_map<std::string_view, const Tensor*> left;
  for (const Value& value : plan.graph.values)
    if (value.kind == ValueKind::kConstant) left.emplace(value.name, &value.data);
  std::vector<bool> is_read(graph.values.size());
  for (const Node& node : graph.nodes)
    for (ValueId id : node.inputs)
      if (id != kNoValue) is_read[static_cast<size_t>(id)] = true;
  bool has_all = true;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    Value& value = graph.values[i];
    if (value.kind != ValueKind::kConstant) continue;
    const auto found = left.find(value.name);
    if (found != left.end())
      value.data = *found->second;
    else if (is_read[i])
      has_all = false;
  }
  return has_all;
}

}  // namespace tandem
