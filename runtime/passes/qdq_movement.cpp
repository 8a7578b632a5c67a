// Moves integers instead of the numbers that they stand for:
//
//   DQ(x) -> movement                   =>   movement of x -> DQ        movement: Reshape, Transpose, Concat, Slice, Gather,
//   MaxPool ... DQ(x) -> Q with the same numbers    =>   x
//
// Both are exact: DQ takes each element by itself, grows with it where its scale is positive, and (q - zero) * scale / scale is
// never half a step from q - zero. All operands of a Concat must have the same numbers. A DQ per axis moves with a Transpose (of
// a weight, as exporters write it). So what Q and DQ enclose at the end is arithmetic only.
#include <algorithm>
#include <map>
#include <string_view>

#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/quantized_values.h"

namespace tandem {
namespace {

constexpr std::string_view kMovements[] = {"DepthToSpace", "Expand",       "Flatten", "Gather",  "GatherElements", "GatherND",
                                           "Identity",     "MaxPool",      "Pad",     "Reshape", "Resize",         "Slice",
                                           "Split",        "SpaceToDepth", "Squeeze", "Tile",    "Transpose",      "Unsqueeze"};

bool moves(const Graph& graph, const Node& node) {
  if (!node.def->domain.empty()) return false;
  const NodeContext context(node);
  const std::string_view op = node.def->name;
  if (op == "Concat") return true;
  if (std::ranges::find(kMovements, op) == std::end(kMovements) || graph.value(node.outputs[0]).type.dtype != DType::kF32)
    return false;
  if (op == "MaxPool") return !context.has_output(1);
  if (op == "Resize")
    return context.get_string("mode", "nearest") == "nearest" &&
           context.get_string("coordinate_transformation_mode", "") != "tf_crop_and_resize";
  return true;
}

// Of a Pad, whether its value is 0 (then it is the zero point), or it needs none.
bool pads_zeros(const Graph& graph, const NodeContext& pad) {
  if (!pad.has_input(1)) return false;  // before opset 11 floats alone are padded, by an attribute
  if (pad.get_string("mode", "constant") != "constant") return true;
  if (!pad.has_input(2)) return true;
  const Value& value = graph.value(pad.node().inputs[2]);
  return value.kind == ValueKind::kConstant && value.data.dtype() == DType::kF32 && value.data.elements() == 1 &&
         value.data.as<float>()[0] == 0;
}

class Movement {
 public:
  Movement(Graph& graph, PassNotes& notes) : graph_(graph), notes_(notes) {}

  int run() {
    std::vector<Node> old = std::exchange(graph_.nodes, {});
    int changes = 0;
    for (Node& node : old) {
      if (moves(graph_, node) && sink(node)) {
        ++changes;
        continue;
      }
      if (const auto form = dequantized_form(graph_, node)) forms_[node.outputs[0]] = *form;
      changes += cancel(node);
      graph_.nodes.push_back(std::move(node));
    }
    drop_unused_values(graph_);
    if (changes > 0) {
      identity_removal_pass.apply(graph_);
      constant_folding_pass.apply(graph_);
      dead_code_pass.apply(graph_);
    }
    return changes;
  }

 private:
  const QuantizedForm* form_of(ValueId id) const {
    const auto found = forms_.find(id);
    return found == forms_.end() ? nullptr : &found->second;
  }

  // Q of what was dequantized by the same numbers gives back its integers.
  bool cancel(Node& node) {
    const auto y = quantized_form(graph_, node);
    const QuantizedForm* x = y ? form_of(node.inputs[0]) : nullptr;
    if (!x || !same_numbers(graph_, *x, *y)) return false;
    node = {&newest_op("Identity"), node.name, {x->integers}, node.outputs, {}};
    return true;
  }

  bool sink(const Node& node) {
    const size_t operands = PatternGraph::is(node, "Concat") ? node.inputs.size() : 1;
    const QuantizedForm* form = form_of(node.inputs[0]);
    if (!form) return false;
    for (size_t i = 1; i < operands; ++i) {
      const QuantizedForm* other = form_of(node.inputs[i]);
      if (other && same_numbers(graph_, *form, *other)) continue;
      if (other) notes_.near_miss(graph_, node, "moves numbers, not integers: its operands have different scales or zero points");
      return false;
    }
    QuantizedForm moved = *form;
    if (operands > 1 && !form->per_tensor()) return false;
    if (!form->per_tensor() && !move_axis(node, moved)) return false;
    return emit(node, operands, moved);
  }

  // Where the axis of the scales goes.
  static bool move_axis(const Node& node, QuantizedForm& form) {
    const std::vector<int64_t> perm = NodeContext(node).get_ints("perm");
    const auto at = std::ranges::find(perm, form.axis);
    if (!PatternGraph::is(node, "Transpose") || at == perm.end()) return false;
    form.axis = static_cast<int>(at - perm.begin());
    return true;
  }

  bool emit(const Node& node, size_t operands, const QuantizedForm& form) {
    std::vector<ValueId> inputs = node.inputs;
    for (size_t i = 0; i < operands; ++i) inputs[i] = form_of(inputs[i])->integers;
    if (PatternGraph::is(node, "Pad")) {
      const NodeContext pad(node);
      if (!pads_zeros(graph_, pad)) return false;
      if (form.zero != kNoValue && pad.get_string("mode", "constant") == "constant") {
        inputs.resize(std::max<size_t>(inputs.size(), 3), kNoValue);
        const Tensor zero = graph_.value(form.zero).data;
        inputs[2] = zero.shape().rank() == 0 ? form.zero : graph_.add_constant("zero_point", zero.reshaped({}));
      } else if (inputs.size() > 2) {
        inputs[2] = kNoValue;
      }
    }
    const auto results = graph_.add_node(*node.def, inputs, static_cast<int>(node.outputs.size()), node.attributes, node.name);
    for (size_t i = 0; i < results.size(); ++i)
      if (node.outputs[i] != kNoValue) dequantize(results[i], node.outputs[i], form);
    return true;
  }

  void dequantize(ValueId integers, ValueId output, QuantizedForm form) {
    Node node;
    node.def = &newest_op("DequantizeLinear");
    node.inputs = {integers, form.scale};
    if (form.zero != kNoValue) node.inputs.push_back(form.zero);
    if (!form.per_tensor()) node.attributes["axis"] = int64_t{form.axis};
    node.outputs = {output};
    graph_.nodes.push_back(std::move(node));
    form.integers = integers;
    forms_[output] = form;
  }

  Graph& graph_;
  PassNotes& notes_;
  std::map<ValueId, QuantizedForm> forms_;  // of values that DQ makes
};

int apply(Graph& graph, PassNotes& notes) { return Movement(graph, notes).run(); }

}  // namespace

const Pass qdq_movement_pass = {"qdq_movement", "move quantized integers instead of the numbers they stand for", apply};

}  // namespace tandem
