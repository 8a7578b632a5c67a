#include "runtime/onnx/gradient_node.h"

#include <algorithm>
#include <map>

#include "runtime/autodiff/autodiff.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

// What y would be if some values were others: the nodes that depend on them once more. `instead` grows by all values that differ.
ValueId computed_again(Graph& graph, ValueId y, std::map<ValueId, ValueId>& instead) {
  const size_t count = graph.nodes.size();
  for (size_t n = 0; n < count; ++n) {
    const Node node = graph.nodes[n];
    std::vector<ValueId> inputs = node.inputs;
    for (ValueId& input : inputs)
      if (const auto other = instead.find(input); other != instead.end()) input = other->second;
    if (inputs == node.inputs) continue;
    const auto outputs = graph.add_node(*node.def, std::move(inputs), static_cast<int>(node.outputs.size()), node.attributes, node.name + ".again");
    for (size_t i = 0; i < outputs.size(); ++i)
      if (node.outputs[i] != kNoValue) instead.try_emplace(node.outputs[i], outputs[i]);  // a variable stays what it was given as
  }
  const auto other = instead.find(y);
  return other == instead.end() ? y : other->second;
}

ValueId zeros_like(Graph& graph, ValueId id) {
  return graph.add_node(newest_op("Sub"), {id, id}, 1, {}, graph.value(id).name + ".no_gradient")[0];
}

}  // namespace

std::vector<ValueId> append_gradient_of(Graph& graph, ValueId y, std::span<const ValueId> wanted, std::span<const ValueId> given,
                                        std::span<const ValueId> at) {
  require(at.size() == wanted.size() + given.size(), "Gradient takes one input for each name in xs and zs (has, expected)", at.size(),
          wanted.size() + given.size());
  std::vector<ValueId> variables(wanted.begin(), wanted.end());
  variables.insert(variables.end(), given.begin(), given.end());
  if (!std::ranges::equal(variables, at)) {
    // Each variable gets a value of its own: two may be given the same one.
    std::map<ValueId, ValueId> instead;
    for (size_t i = 0; i < at.size(); ++i)
      instead[variables[i]] = graph.add_node(newest_op("Identity"), {at[i]}, 1, {}, graph.value(variables[i]).name + ".at")[0];
    for (ValueId& variable : variables) variable = instead.at(variable);
    y = computed_again(graph, y, instead);
  }
  variables.resize(wanted.size());
  const auto& dims = graph.value(y).type.dims;
  if (!dims || !dims->empty()) y = graph.add_node(newest_op("ReduceSum"), {y}, 1, {{"keepdims", int64_t{0}}}, "sum_of_y")[0];
  std::vector<ValueId> gradients = append_gradients(graph, y, variables);
  for (size_t i = 0; i < gradients.size(); ++i)
    if (gradients[i] == kNoValue) gradients[i] = zeros_like(graph, at[i]);
  return gradients;
}

}  // namespace tandem
