#include "serving/core/categories.h"

#include <algorithm>

#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

void add_texts(const Node& node, std::string_view attribute, CategorySet& known) {
  const auto found = node.attributes.find(attribute);
  if (found == node.attributes.end()) return;
  if (const auto* texts = std::get_if<std::vector<std::string>>(&found->second)) known.insert(texts->begin(), texts->end());
}

void add_constant_texts(const Graph& graph, const Node& node, CategorySet& known) {
  for (ValueId id : node.inputs) {
    if (id == kNoValue || graph.value(id).kind != ValueKind::kConstant || graph.value(id).data.dtype() != DType::kString)
      continue;
    for (std::string_view text : graph.value(id).data.as<std::string_view>()) known.emplace(text);
  }
}

// Breadth first from one input. Returns whether an encoder was met.
bool collect(const Graph& graph, const std::vector<std::vector<int>>& consumers, ValueId input, CategorySet& known) {
  bool encoded = false;
  std::vector<ValueId> pending{input};
  std::vector<bool> seen(graph.values.size(), false);
  while (!pending.empty()) {
    const ValueId id = pending.back();
    pending.pop_back();
    if (seen[static_cast<size_t>(id)]) continue;
    seen[static_cast<size_t>(id)] = true;
    for (int index : consumers[static_cast<size_t>(id)]) {
      const Node& node = graph.nodes[static_cast<size_t>(index)];
      const bool encoder = node.def->name == "OneHotEncoder" || node.def->name == "LabelEncoder";
      encoded = encoded || encoder;
      if (encoder) add_texts(node, node.def->name == "OneHotEncoder" ? "cats_strings" : "keys_strings", known);
      if (node.def->name == "Equal") add_constant_texts(graph, node, known);
      if (encoder) continue;
      for (ValueId output : node.outputs)
        if (output != kNoValue && graph.value(output).type.dtype == DType::kString) pending.push_back(output);
    }
  }
  return encoded;
}

}  // namespace

Categories Categories::of(const Graph& graph) {
  Categories categories;
  const auto consumers = graph.consumers();
  for (ValueId input : graph.inputs) {
    const Value& value = graph.value(input);
    if (value.type.dtype != DType::kString) continue;
    CategorySet known;
    if (collect(graph, consumers, input, known)) categories.by_input_.emplace(value.name, std::move(known));
  }
  return categories;
}

int64_t Categories::count_unknown(std::string_view input, ConstTensorView texts) const {
  const auto found = by_input_.find(input);
  if (found == by_input_.end() || texts.dtype != DType::kString) return 0;
  return std::ranges::count_if(texts.as<std::string_view>(),
                               [&](std::string_view text) { return !found->second.contains(text); });
}

}  // namespace tandem
