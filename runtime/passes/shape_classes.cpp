#include "runtime/passes/shape_classes.h"

#include <algorithm>

#include "runtime/ops/elementwise_nodes.h"

namespace tandem {
namespace {

bool is_named(const Dim& dim) { return dim.known() || !dim.symbol.empty(); }

// One element, in no more axes than the result has.
bool is_single(const TensorType& operand, const TensorType& result) {
  const size_t rank = result.dims ? result.dims->size() : 0;
  return operand.dims && operand.dims->size() <= rank && std::ranges::all_of(*operand.dims, [](const Dim& dim) { return dim == Dim(1); });
}

}  // namespace

ShapeClasses::ShapeClasses(const Graph& graph) : graph_(graph), classes_(graph.values.size(), -1) {
  const auto settle = [&](ValueId id) {
    const auto& dims = graph.value(id).type.dims;
    if (dims && std::ranges::all_of(*dims, is_named)) classes_[static_cast<size_t>(id)] = class_of_named(*dims);
    return of(id) >= 0;
  };
  for (size_t i = 0; i < classes_.size(); ++i)
    if (graph.values[i].kind != ValueKind::kResult && !settle(static_cast<ValueId>(i))) classes_[i] = fresh();
  for (const Node& node : graph.nodes)
    for (ValueId id : node.outputs) {
      if (id == kNoValue || settle(id)) continue;
      const int shared = is_elementwise(*node.def) && node.outputs.size() == 1 ? class_of_operands(node) : -1;
      classes_[static_cast<size_t>(id)] = shared >= 0 ? shared : fresh();
    }
}

int ShapeClasses::class_of_named(const Dims& dims) {
  std::string key;
  for (const Dim& dim : dims) key += dim.known() ? std::to_string(dim.size) + "," : std::to_string(dim.symbol.size()) + ":" + dim.symbol;
  const auto [found, is_new] = named_.try_emplace(std::move(key), next_);
  if (is_new) ++next_;
  return found->second;
}

int ShapeClasses::class_of_operands(const Node& node) const {
  const TensorType& result = graph_.value(node.outputs[0]).type;
  int shared = -1;
  for (ValueId id : node.inputs) {
    if (id == kNoValue || is_single(graph_.value(id).type, result)) continue;
    const auto& dims = graph_.value(id).type.dims;
    const bool same_rank = dims.has_value() == result.dims.has_value() && (!dims || dims->size() == result.dims->size());
    if (!same_rank || (shared >= 0 && shared != of(id))) return -1;
    shared = of(id);
  }
  return shared;
}

bool ShapeClasses::broadcasts(ValueId operand, ValueId result) const {
  if (same(operand, result)) return true;
  const auto &from = graph_.value(operand).type.dims, &to = graph_.value(result).type.dims;
  if (!from || (!to && !from->empty()) || (to && from->size() > to->size())) return false;
  for (size_t i = 0; i < from->size(); ++i) {
    const Dim &own = (*from)[i], &whole = (*to)[to->size() - from->size() + i];
    if (own != Dim(1) && !(is_named(own) && own == whole)) return false;
  }
  return true;
}

}  // namespace tandem
