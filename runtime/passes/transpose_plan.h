// Where Transposes could go: for every value another value and an order of axes, and for every node how it would be computed. Nothing is changed.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "runtime/passes/attention_layout.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/permutation.h"
#include "runtime/passes/state_views.h"
#include "runtime/passes/transpose_costs.h"
#include "runtime/passes/transposed_op.h"

namespace tandem {

// A value is the Transpose of `base` by `order`; `base` itself where it has no order. `moved`: of what the node that made `base` makes now.
struct TransposedForm {
  ValueId base = kNoValue;
  bool moved = false;
  Permutation order;
  int component = -1;  // of moves that hang together
  bool is_transposed() const { return !order.empty(); }
};

enum class TransposeAction : uint8_t {
  kKeep,     // on its inputs as they are
  kDrop,     // a Transpose that has gone into forms
  kMove,     // before the Transpose
  kAbsorb,   // a product or an attention that reads transposed operands
  kShape,    // of the tensor before the Transpose, in another order
};

// The dimensions before a Transpose, for those behind it.
inline Dims dims_before(const Dims& dims, const Permutation& order) { return permuted(dims, inverse(order)); }

class TransposePlan {
 public:
  TransposePlan(const Graph& graph, TransposedOps allowed)
      : graph_(graph),
        allowed_(allowed),
        stays_(graph.nodes.size()),
        is_frozen_(graph.nodes.size()),
        is_free_result_(transposes_of_attention(graph)) {}

  TransposedOps allowed() const { return allowed_; }

  // Sweeps until all that is left pays: fewer bytes are transposed. False if nothing is left.
  bool settle(PassNotes& notes);

  TransposeAction action(size_t node) const { return actions_[node]; }
  const TransposedForm& form(ValueId id) const { return forms_[static_cast<size_t>(id)]; }
  size_t values() const { return forms_.size(); }
  bool is_transposed(ValueId id) const { return id != kNoValue && form(id).is_transposed(); }
  // A transposed value that a Reshape of what it is the Transpose of gives as well.
  bool is_free(ValueId id) const;
  // Whether a product or an attention reads operand `i` before its Transpose.
  bool can_absorb(const Node& node, size_t i) const;
  // The order that the inputs of a moved node have in common; null if none is transposed.
  const Permutation* leading_order(const Node& node) const;

  // How an operand that is not transposed itself can be had in the layout before `order`: as it is, as another constant, by a Reshape, as
  // what an earlier Transpose makes of it, or, for a host, by a Transpose of its own.
  bool is_all_ones(ValueId id) const;
  bool is_constant(ValueId id) const;
  bool is_reshape(ValueId id, const Permutation& order) const;
  ValueId transpose_of(ValueId id, const Permutation& order) const;  // kNoValue: there is none
  // With axes of size 1 before those it has.
  Dims padded(ValueId id, const Permutation& order) const;

 private:
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }
  TransposedForm& form_of(ValueId id) { return forms_[static_cast<size_t>(id)]; }
  int component_of(size_t node) { return costs_.find(form(graph_.nodes[node].outputs[0]).component); }
  int64_t bytes(ValueId id) const;
  bool needs_transpose(ValueId id, const Permutation& order) const;
  bool fits(ValueId id, const Permutation& order) const;

  void sweep();
  TransposeAction action_of(size_t node, const StateViews& states);
  void need(ValueId id, const Node* reader);
  void bring_into_layout(ValueId id, const Permutation& order, const Node& reader, int& component);
  bool compose(size_t node, const StateViews& states);
  bool absorb(const Node& node);
  bool move(const Node& node);
  bool leave_what_does_not_pay(PassNotes& notes);
  void note(const Node& node, int component, PassNotes& notes);

  const Graph& graph_;
  TransposedOps allowed_;
  std::vector<bool> stays_, is_frozen_;  // by node: its move, its Transpose does not pay
  std::vector<bool> is_free_result_;     // by node: a Transpose that the node before it can do

  // Of one sweep
  std::vector<TransposedForm> forms_;     // by ValueId
  std::vector<bool> needed_;              // by ValueId: transposed, and read as it is
  std::vector<TransposeAction> actions_;  // by node
  std::map<ValueId, std::vector<std::pair<Permutation, ValueId>>> transposes_;  // of a value: orders, and what they make
  std::set<std::pair<ValueId, Permutation>> new_transposes_;  // paid for already
  TransposeCosts costs_;
  std::map<int, const Node*> obstacles_;  // by component: the first node (null: an output) that needs a Transpose
};

}  // namespace tandem
