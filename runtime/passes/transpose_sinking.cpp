// Moves Transposes down the graph until they meet their inverses, and takes them out: elementwise ops, reductions, Concat, Pad and others
// (transposed_op.h) are computed before the Transpose instead of behind it. Products take a transposed operand as it is, and a Transpose that
// only moves axes of size 1 is a Reshape.
//
// One sweep gives every value a form: another value and an order of axes. A value that is needed as it is, by an op that knows no other order
// or as an output, becomes a Transpose again, for all its readers. What hangs together by such moves is judged as a whole: if no fewer bytes
// are transposed than before, first its moves and then its Transposes are left as they were, and the sweep begins again; so nothing gets
// worse, and a pass over n nodes takes a few sweeps of time O(n).
//
// An attention walks strides: it takes Transposes of its operands, and of its result those that are left.
//
// Whoever looks for an exporter's order of axes (attention, normalizations) comes before this pass.
#include <algorithm>

#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/attention_layout.h"
#include "runtime/passes/reshape_target.h"
#include "runtime/passes/transpose_plan.h"
#include "runtime/passes/transpose_sinking.h"
#include "runtime/passes/transposed_constant.h"
#include "runtime/passes/transposed_op.h"

namespace tandem {
namespace {

// The plan says what each node reads; nodes are written anew, with the Transposes that are needed before their first reader.
class Rewriting {
 public:
  Rewriting(Graph& graph, const TransposePlan& plan)
      : graph_(graph), plan_(plan), moved_(plan.values(), kNoValue), written_(plan.values()) {}

  int run() {
    std::vector<Node> nodes = std::move(graph_.nodes);
    graph_.nodes.clear();
    int changes = 0;
    for (size_t n = 0; n < nodes.size(); ++n) {
      Node& node = nodes[n];
      changes += plan_.action(n) != TransposeAction::kKeep;
      if (plan_.action(n) == TransposeAction::kDrop) continue;
      if (plan_.action(n) == TransposeAction::kMove) {
        write_moved(node);
        continue;
      }
      if (plan_.action(n) == TransposeAction::kShape) {
        write_shape(node);
        continue;
      }
      if (plan_.action(n) == TransposeAction::kAbsorb) take_operands(node);
      for (ValueId& id : node.inputs) id = as_it_is(id);
      for (ValueId id : node.outputs)
        if (id != kNoValue) written_[static_cast<size_t>(id)] = true;
      graph_.nodes.push_back(std::move(node));
    }
    for (ValueId id : graph_.outputs) write_output(id);
    identity_removal_pass.apply(graph_);
    dead_code_pass.apply(graph_);
    reshape_simplification_pass.apply(graph_);
    return changes;
  }

 private:
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }

  ValueId before(ValueId id) const {  // what a form's order is of
    if (static_cast<size_t>(id) >= plan_.values()) return id;
    const TransposedForm& form = plan_.form(id);
    return form.moved ? moved_[static_cast<size_t>(form.base)] : form.base;
  }

  ValueId as_it_is(ValueId id) {
    if (id == kNoValue || static_cast<size_t>(id) >= plan_.values()) return id;
    if (!plan_.form(id).is_transposed()) return before(id);
    if (!written_[static_cast<size_t>(id)]) write_transpose(id);
    return id;
  }

  ValueId list(std::string name, const std::vector<int64_t>& values) {
    return graph_.add_constant(std::move(name), Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }

  void write_transpose(ValueId id) {
    written_[static_cast<size_t>(id)] = true;
    const Permutation order = plan_.form(id).order;
    Node node{&newest_op("Transpose"), graph_.value(id).name, {before(id)}, {id}, {{"perm", std::vector<int64_t>(order.begin(), order.end())}}};
    if (plan_.is_free(id)) {
      const auto target = reshape_target(dims_before(*type(id).dims, order), *type(id).dims);
      node.def = &newest_op("Reshape");
      node.inputs.push_back(list("shape", target->shape));
      node.attributes.clear();
      if (target->keeps_zeros) node.attributes["allowzero"] = int64_t{1};
    }
    graph_.nodes.push_back(std::move(node));
  }

  void write_moved(const Node& node) {
    const Permutation order = *plan_.leading_order(node);
    TransposedOp op = *transposed_op(graph_, node, order, plan_.allowed());
    std::vector<ValueId> inputs = node.inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] == kNoValue) continue;
      const bool is_data = i == 0 || op.inputs != TransposedOp::Inputs::kFirst;
      inputs[i] = !is_data ? as_it_is(inputs[i]) : plan_.is_transposed(inputs[i]) ? before(inputs[i]) : in_layout(inputs[i], order);
    }
    for (const auto& [input, values] : op.lists) {
      if (inputs.size() <= input) inputs.resize(input + 1, kNoValue);
      inputs[input] = list("axes", values);
    }
    const auto outputs = graph_.add_node(op.def ? *op.def : *node.def, std::move(inputs), static_cast<int>(node.outputs.size()), std::move(op.attributes), node.name);
    for (size_t o = 0; o < outputs.size(); ++o) {
      moved_[static_cast<size_t>(node.outputs[o])] = outputs[o];
      // What was known of the dimensions may come from shapes computed elsewhere.
      graph_.value(outputs[o]).type.dims = dims_before(*type(node.outputs[o]).dims, op.order);
    }
  }

  ValueId in_layout(ValueId id, const Permutation& order) {
    if (plan_.is_all_ones(id)) return as_it_is(id);
    const Permutation back = inverse(order);
    if (plan_.is_constant(id)) {
      const Tensor tensor = graph_.value(id).data;
      std::vector<int64_t> dims(order.size() - static_cast<size_t>(tensor.shape().rank()), 1);
      dims.insert(dims.end(), tensor.shape().dims().begin(), tensor.shape().dims().end());
      return graph_.add_constant(graph_.value(id).name, transposed(tensor.reshaped(Shape(dims)), back));
    }
    if (!plan_.is_reshape(id, order)) return transposed_operand(id, order);
    const auto target = reshape_target(*type(id).dims, dims_before(plan_.padded(id, order), order));
    Attributes attributes;
    if (target->keeps_zeros) attributes["allowzero"] = int64_t{1};
    const ValueId read = as_it_is(id), shape = list("shape", target->shape);
    return graph_.add_node(newest_op("Reshape"), {read, shape}, 1, std::move(attributes))[0];
  }

  // What an earlier Transpose makes of it, or a new one, which all readers share.
  ValueId transposed_operand(ValueId id, const Permutation& order) {
    const ValueId known = plan_.transpose_of(id, order);
    // One that stays is of use to the nodes behind it only.
    if (known != kNoValue && (plan_.is_transposed(known) || written_[static_cast<size_t>(known)])) return as_it_is(known);
    ValueId& made = new_transposes_.try_emplace({id, order}, kNoValue).first->second;
    if (made != kNoValue) return made;
    const Permutation back = inverse(order);
    const ValueId read = as_it_is(id);
    return made = graph_.add_node(newest_op("Transpose"), {read}, 1, {{"perm", std::vector<int64_t>(back.begin(), back.end())}})[0];
  }

  void take_operands(Node& node) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue || !plan_.can_absorb(node, i)) continue;
      if (is_fused_attention(node)) {
        node.attributes[operand_attribute(i)] = *operand_order(node, i, plan_.form(node.inputs[i]).order);
        node.inputs[i] = before(node.inputs[i]);
        continue;
      }
      if (node.def->domain.empty() && node.def->name == "MatMul") node.def = &newest_op("MatMul", "tandem");
      const std::string attribute = i == 0 ? "transA" : "transB";
      node.attributes[attribute] = int64_t{NodeContext(node).get_int(attribute, 0) == 0};
      node.inputs[i] = before(node.inputs[i]);
    }
  }

  void write_shape(const Node& node) {
    const Permutation& order = plan_.form(node.inputs[0]).order;
    const auto rank = static_cast<int64_t>(order.size());
    const auto bound = [&](std::string_view name, int64_t fallback) {
      const int64_t given = NodeContext(node).get_int(name, fallback);
      return std::clamp<int64_t>(given < 0 ? given + rank : given, 0, rank);
    };
    std::vector<int64_t> axes(order.begin(), order.end());
    const int64_t start = bound("start", 0), end = std::max(start, bound("end", rank));
    axes = {axes.begin() + start, axes.begin() + end};
    const ValueId shape = graph_.add_node(newest_op("Shape"), {before(node.inputs[0])}, 1)[0];
    const ValueId indices = list("axes", axes);
    graph_.nodes.push_back({&newest_op("Gather"), node.name, {shape, indices}, node.outputs, {}});
  }

  void write_output(ValueId id) {
    if (plan_.is_transposed(id)) {
      as_it_is(id);
    } else if ((plan_.form(id).base != id || plan_.form(id).moved) && !written_[static_cast<size_t>(id)]) {
      written_[static_cast<size_t>(id)] = true;
      graph_.nodes.push_back({&newest_op("Identity"), graph_.value(id).name, {before(id)}, {id}, {}});
    }
  }

  Graph& graph_;
  const TransposePlan& plan_;
  std::vector<ValueId> moved_;  // by ValueId: what the node that made it makes now
  std::vector<bool> written_;   // by ValueId: what makes it has been written anew
  std::map<std::pair<ValueId, Permutation>, ValueId> new_transposes_;
};

constexpr int kMostRounds = 3;  // a Reshape that was moved may be one with the next, which a Transpose can pass then

int apply(Graph& graph, PassNotes& notes) {
  release_result_orders(graph);
  int changes = 0;
  for (int round = 0; round < kMostRounds; ++round) {
    const int more = sink_transposes(graph, TransposedOps::kStandard, notes);
    changes += more;
    if (more == 0) break;
  }
  take_result_orders(graph);
  return changes;
}

}  // namespace

int sink_transposes(Graph& graph, TransposedOps allowed, PassNotes& notes) {
  TransposePlan plan(graph, allowed);
  return plan.settle(notes) ? Rewriting(graph, plan).run() : 0;
}

const Pass transpose_sinking_pass = {"transpose_sinking", "move Transposes to where they cancel, into products and constants", apply};

}  // namespace tandem
