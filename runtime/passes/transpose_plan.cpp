#include "runtime/passes/transpose_plan.h"

#include <algorithm>

#include "runtime/passes/reshape_target.h"

namespace tandem {
namespace {

constexpr int kMostSweeps = 8;
constexpr int64_t kAssumedSize = 16;  // of a dimension that is no number, to compare bytes

bool is_standard(const Node& node, std::string_view op) { return node.def->domain.empty() && node.def->name == op; }

bool swaps_last_axes(Permutation order) {
  if (order.size() < 2) return false;
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return is_identity(order);
}

}  // namespace

bool TransposePlan::settle(PassNotes& notes) {
  if (std::ranges::none_of(graph_.nodes, [](const Node& node) { return is_standard(node, "Transpose"); })) return false;
  for (int i = 0; i < kMostSweeps; ++i) {
    sweep();
    if (!leave_what_does_not_pay(notes)) return std::ranges::any_of(actions_, [](TransposeAction a) { return a != TransposeAction::kKeep; });
  }
  return false;
}

int64_t TransposePlan::bytes(ValueId id) const {
  int64_t bytes = static_cast<int64_t>(size_of(type(id).dtype));
  for (const Dim& dim : *type(id).dims) bytes *= dim.known() ? dim.size : kAssumedSize;
  return bytes;
}

bool TransposePlan::is_free(ValueId id) const {
  const Dims before = dims_before(*type(id).dims, form(id).order);
  return moves_only_ones(form(id).order, before) && reshape_target(before, *type(id).dims);
}

void TransposePlan::sweep() {
  forms_.assign(graph_.values.size(), {});
  for (size_t v = 0; v < forms_.size(); ++v) forms_[v].base = static_cast<ValueId>(v);
  needed_.assign(graph_.values.size(), false);
  actions_.assign(graph_.nodes.size(), TransposeAction::kKeep);
  transposes_.clear();
  new_transposes_.clear();
  costs_ = {};
  obstacles_.clear();
  StateViews states(graph_);
  for (size_t n = 0; n < graph_.nodes.size(); ++n) {
    const Node& node = graph_.nodes[n];
    states.follow(node);
    actions_[n] = action_of(n, states);
    if (actions_[n] == TransposeAction::kKeep)
      for (ValueId id : node.inputs) need(id, &node);
  }
  for (ValueId id : graph_.outputs) need(id, nullptr);
}

void TransposePlan::need(ValueId id, const Node* reader) {
  if (!is_transposed(id) || needed_[static_cast<size_t>(id)]) return;
  needed_[static_cast<size_t>(id)] = true;
  if (is_free(id)) return;
  TransposeCosts::Cost& cost = costs_.cost(form(id).component);
  cost.bytes_after += bytes(id);
  ++cost.count_after;
  obstacles_.try_emplace(costs_.find(form(id).component), reader);
}

TransposeAction TransposePlan::action_of(size_t n, const StateViews& states) {
  const Node& node = graph_.nodes[n];
  if (is_standard(node, "Transpose")) return compose(n, states) ? TransposeAction::kDrop : TransposeAction::kKeep;
  if (std::ranges::none_of(node.inputs, [&](ValueId id) { return is_transposed(id); })) return TransposeAction::kKeep;
  if (is_standard(node, "Shape")) return TransposeAction::kShape;
  if (absorb(node)) return TransposeAction::kAbsorb;
  return !stays_[n] && move(node) ? TransposeAction::kMove : TransposeAction::kKeep;
}

bool TransposePlan::compose(size_t n, const StateViews& states) {
  const Node& node = graph_.nodes[n];
  const ValueId input = node.inputs[0], output = node.outputs[0];
  const auto& dims = type(output).dims;
  const auto order = dims ? permutation_of(node, dims->size()) : std::nullopt;
  if (!order || order->empty()) return false;
  transposes_[input].push_back({*order, output});
  if (is_frozen_[n] || states.contains(input)) return false;
  const TransposedForm& before = form(input);
  TransposedForm after{before.base, before.moved, before.is_transposed() ? composed(before.order, *order) : *order, costs_.add()};
  if (!is_free_result_[n]) {
    TransposeCosts::Cost& cost = costs_.cost(after.component);
    cost.bytes_before = bytes(output);
    cost.count_before = 1;
  }
  if (before.is_transposed()) after.component = costs_.join(before.component, after.component);
  if (is_identity(after.order)) after.order.clear();
  form_of(output) = after;
  return true;
}

bool TransposePlan::can_absorb(const Node& node, size_t i) const {
  if (is_fused_attention(node)) return i < 3 && is_transposed(node.inputs[i]) && operand_order(node, i, form(node.inputs[i]).order);
  if (i > 1) return false;
  const DType dtype = type(node.inputs[i]).dtype;
  const bool beside_constant = i == 0 && graph_.value(node.inputs[1]).kind == ValueKind::kConstant;  // that is packed for a left operand as it is
  return (dtype == DType::kF32 || dtype == DType::kF64) && !beside_constant && is_transposed(node.inputs[i]) && swaps_last_axes(form(node.inputs[i]).order);
}

bool TransposePlan::absorb(const Node& node) {
  constexpr std::string_view kProducts[] = {"MatMul", "Gemm", "FusedMatMul", "FusedGemm", "FusedAttention"};
  if ((!node.def->domain.empty() && node.def->domain != "tandem") || std::ranges::find(kProducts, node.def->name) == std::end(kProducts))
    return false;
  const auto absorbs = [&](size_t i) { return node.inputs[i] != kNoValue && can_absorb(node, i); };
  bool any = false;
  for (size_t i = 0; i < node.inputs.size(); ++i) any |= absorbs(i);
  for (size_t i = 0; any && i < node.inputs.size(); ++i)
    if (!absorbs(i)) need(node.inputs[i], &node);
  return any;
}

const Permutation* TransposePlan::leading_order(const Node& node) const {
  for (ValueId id : node.inputs)
    if (is_transposed(id)) return &form(id).order;
  return nullptr;
}

bool TransposePlan::move(const Node& node) {
  const Permutation order = *leading_order(node);
  int component = -1;
  const auto op = transposed_op(graph_, node, order, allowed_);
  if (!op || std::ranges::find(node.outputs, kNoValue) != node.outputs.end()) return false;
  for (ValueId id : node.outputs)
    if (!type(id).dims || type(id).dims->size() != op->order.size()) return false;
  const bool only_first = op->inputs == TransposedOp::Inputs::kFirst;
  if (only_first && !is_transposed(node.inputs[0])) return false;
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (node.inputs[i] != kNoValue && (only_first ? i > 0 && is_transposed(node.inputs[i]) : !fits(node.inputs[i], order))) return false;
  for (ValueId id : node.inputs)
    if (is_transposed(id)) component = component < 0 ? form(id).component : costs_.join(component, form(id).component);
  if (!only_first)
    for (ValueId id : node.inputs)
      if (id != kNoValue && needs_transpose(id, order)) bring_into_layout(id, order, node, component);
  for (ValueId id : node.outputs) form_of(id) = {id, true, is_identity(op->order) ? Permutation() : op->order, component};
  return true;
}

// By an earlier Transpose, else by a new one.
void TransposePlan::bring_into_layout(ValueId id, const Permutation& order, const Node& reader, int& component) {
  const ValueId other = transpose_of(id, order);
  if (other != kNoValue) {
    if (is_transposed(other)) component = costs_.join(component, form(other).component);
    return need(other, &reader);
  }
  if (!new_transposes_.insert({id, order}).second) return;
  TransposeCosts::Cost& cost = costs_.cost(component);
  cost.bytes_after += bytes(id);
  ++cost.count_after;
  obstacles_.try_emplace(costs_.find(component), &reader);
}

Dims TransposePlan::padded(ValueId id, const Permutation& order) const {
  Dims dims(order.size() - type(id).dims->size(), Dim(1));
  dims.insert(dims.end(), type(id).dims->begin(), type(id).dims->end());
  return dims;
}

bool TransposePlan::is_all_ones(ValueId id) const { return std::ranges::all_of(*type(id).dims, [](const Dim& dim) { return dim.size == 1; }); }
bool TransposePlan::is_constant(ValueId id) const { return graph_.value(id).kind == ValueKind::kConstant && type(id).dtype != DType::kString; }
bool TransposePlan::is_reshape(ValueId id, const Permutation& order) const {
  const Dims dims = padded(id, order);
  return moves_only_ones(inverse(order), dims) && reshape_target(*type(id).dims, dims_before(dims, order));
}
// A value that an earlier node transposes into that layout.
ValueId TransposePlan::transpose_of(ValueId id, const Permutation& order) const {
  const auto found = transposes_.find(id);
  if (found == transposes_.end()) return kNoValue;
  for (const auto& [known, output] : found->second)
    if (known == inverse(order)) return output;
  return kNoValue;
}

bool TransposePlan::needs_transpose(ValueId id, const Permutation& order) const {
  return !is_transposed(id) && !is_all_ones(id) && !is_constant(id) && !is_reshape(id, order);
}

bool TransposePlan::fits(ValueId id, const Permutation& order) const {
  if (is_transposed(id)) return form(id).order == order;
  if (!type(id).dims || type(id).dims->size() > order.size()) return false;
  if (!needs_transpose(id, order) || transpose_of(id, order) != kNoValue) return true;
  return allowed_ == TransposedOps::kForHost && type(id).dims->size() == order.size();
}

bool TransposePlan::leave_what_does_not_pay(PassNotes& notes) {
  std::set<int> moving;  // components with moves, which are given up before the Transposes are
  for (size_t n = 0; n < graph_.nodes.size(); ++n)
    if (actions_[n] == TransposeAction::kMove) moving.insert(component_of(n));
  bool any = false;
  for (size_t n = 0; n < graph_.nodes.size(); ++n) {
    if ((actions_[n] != TransposeAction::kMove && actions_[n] != TransposeAction::kDrop) || costs_.cost(component_of(n)).pays()) continue;
    any = true;
    if (actions_[n] == TransposeAction::kMove) {
      stays_[n] = true;
      note(graph_.nodes[n], component_of(n), notes);
    } else if (!moving.contains(component_of(n))) {
      is_frozen_[n] = true;
    }
  }
  return any;
}

void TransposePlan::note(const Node& node, int component, PassNotes& notes) {
  const auto obstacle = obstacles_.find(component);
  if (obstacle == obstacles_.end()) return;
  const std::string reader = obstacle->second == nullptr ? "an output of the graph" : std::string(obstacle->second->def->name) + " '" + obstacle->second->name + "'";
  notes.near_miss(graph_, node, "could come before the Transpose, but no fewer bytes would be transposed: " + reader + " wants this order of axes");
}

}  // namespace tandem
