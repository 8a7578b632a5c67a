// An If whose condition is constant becomes the nodes of the branch that is taken; what shows as constant then is folded at once, since
// exporters nest such choices. Also hands constants of the graph to the bodies that capture them.
#include <map>
#include <utility>

#include "runtime/graph/op_def.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"

namespace tandem {
namespace {

// The branch that a constant condition takes; null if it is not constant.
const char* branch_taken(const Graph& graph, const Node& node) {
  if (node.def->name != "If" || !node.def->domain.empty()) return nullptr;
  const Value& condition = graph.value(node.inputs[0]);
  if (condition.kind != ValueKind::kConstant || condition.data.dtype() != DType::kBool || condition.data.elements() != 1) return nullptr;
  return condition.data.as<bool>()[0] ? "then_branch" : "else_branch";
}

// Appends the nodes of `body`, whose inputs are `inputs`; its outputs in the graph.
std::vector<ValueId> append_body(Graph& graph, const Graph& body, std::span<const ValueId> inputs) {
  std::map<ValueId, ValueId> here;
  for (size_t i = 0; i < body.inputs.size(); ++i) here[body.inputs[i]] = inputs[i];
  for (size_t v = 0; v < body.values.size(); ++v)
    if (body.values[v].kind == ValueKind::kConstant)
      here[static_cast<ValueId>(v)] = graph.add_constant(body.values[v].name, body.values[v].data);
  for (const Node& node : body.nodes) {
    Node copy = node;
    for (ValueId& id : copy.inputs)
      if (id != kNoValue) id = here.at(id);
    for (ValueId& id : copy.outputs) {
      if (id == kNoValue) continue;
      const Value& inner = body.value(id);
      graph.values.push_back({graph.unique_name(inner.name), inner.type, ValueKind::kResult, {}});
      const auto outer = static_cast<ValueId>(graph.values.size() - 1);
      here[std::exchange(id, outer)] = outer;
    }
    graph.nodes.push_back(std::move(copy));
  }
  std::vector<ValueId> outputs;
  for (ValueId id : body.outputs) outputs.push_back(here.at(id));
  return outputs;
}

// The inputs of `node` that its body `name` captures.
std::span<const ValueId> captured_by(const Node& node, std::string_view name) {
  int total = 0, before = 0, own = 0;
  for (const auto& [key, attribute] : node.attributes)
    if (const auto* body = std::get_if<Subgraph>(&attribute)) {
      total += (*body)->captured_inputs;
      if (key < name) before += (*body)->captured_inputs;
      if (key == name) own = (*body)->captured_inputs;
    }
  return std::span(node.inputs).last(static_cast<size_t>(total)).subspan(static_cast<size_t>(before), static_cast<size_t>(own));
}

int inline_branches(Graph& graph) {
  int changes = 0;
  for (Node& node : std::exchange(graph.nodes, {})) {
    const char* taken = branch_taken(graph, node);
    if (!taken) {
      graph.nodes.push_back(std::move(node));
      continue;
    }
    const std::vector<ValueId> made = append_body(graph, *std::get<Subgraph>(node.attributes.at(taken)), captured_by(node, taken));
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNoValue)
        graph.nodes.push_back({&newest_op("Identity"), node.name + ".taken", {made[i]}, {node.outputs[i]}, {}});
    ++changes;
  }
  return changes;
}

// `captured`: the node's inputs from which the body takes values.
int take_constants(const Graph& graph, Node& node, const std::string& name, Subgraph& attribute) {
  const auto captured = captured_by(node, name);
  const size_t formal = attribute->inputs.size() - captured.size();
  const auto first = static_cast<size_t>(captured.data() - node.inputs.data());
  std::vector<size_t> constants;
  for (size_t i = 0; i < captured.size(); ++i)
    if (graph.value(captured[i]).kind == ValueKind::kConstant) constants.push_back(i);
  if (constants.empty()) return 0;
  Graph body = *attribute;
  for (auto i = constants.rbegin(); i != constants.rend(); ++i) {
    Value& value = body.value(body.inputs[formal + *i]);
    const Value& constant = graph.value(captured[*i]);
    value.kind = ValueKind::kConstant;
    value.data = constant.data;
    value.type = constant.type;
    body.inputs.erase(body.inputs.begin() + static_cast<std::ptrdiff_t>(formal + *i));
    --body.captured_inputs;
  }
  for (auto i = constants.rbegin(); i != constants.rend(); ++i)
    node.inputs.erase(node.inputs.begin() + static_cast<std::ptrdiff_t>(first + *i));
  constant_folding_pass.apply(body);
  attribute = std::make_shared<const Graph>(std::move(body));
  return static_cast<int>(constants.size());
}

int hand_over_constants(Graph& graph) {
  int changes = 0;
  for (Node& node : graph.nodes)
    for (auto& [name, attribute] : node.attributes)
      if (auto* body = std::get_if<Subgraph>(&attribute)) changes += take_constants(graph, node, name, *body);
  return changes;
}

int apply(Graph& graph, PassNotes&) {
  int changes = hand_over_constants(graph);
  while (const int inlined = inline_branches(graph)) {
    changes += inlined;
    constant_folding_pass.apply(graph);
    changes += hand_over_constants(graph);
  }
  if (changes) drop_unused_values(graph);
  return changes;
}

}  // namespace

const Pass branch_inlining_pass = {"branch_inlining", "put the branch that a constant condition takes in the place of its If", apply};

}  // namespace tandem
