#include "runtime/graph/dot.h"

#include <fmt/format.h>

#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "\"";
}

std::string type_label(const TensorType& type) {
  return fmt::format("{}{}", name(type.dtype), type.dims ? to_string(*type.dims) : "[...]");
}

std::string_view fill(const Node& node) {
  if (node.def->domain == "tandem") return "#fde9c9";
  return node.def->domain.empty() ? "#dbe8f6" : "#e0f0dc";
}

}  // namespace

std::string to_dot(const Graph& graph) {
  std::string text = "digraph " + quoted(graph.name) + " {\n  node [shape=box, style=filled, fontname=\"Helvetica\"];\n";
  const std::vector<int> producers = graph.producers();
  const auto source = [&](ValueId id) {
    const int maker = producers[static_cast<size_t>(id)];
    return maker >= 0 ? "n" + std::to_string(maker) : "v" + std::to_string(id);
  };
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    if (value.kind == ValueKind::kInput || value.kind == ValueKind::kState)
      text += fmt::format("  v{} [shape=ellipse, fillcolor=white, label={}];\n", i, quoted(value.name));
  }
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    text += fmt::format("  n{} [fillcolor=\"{}\", label={}];\n", n, fill(node),
                        quoted(fmt::format("{} ({})", node.def->name, node.name)));
    for (ValueId id : node.inputs)
      if (id != kNoValue && graph.value(id).kind != ValueKind::kConstant)
        text += fmt::format("  {} -> n{} [label={}];\n", source(id), n, quoted(type_label(graph.value(id).type)));
  }
  for (size_t o = 0; o < graph.outputs.size(); ++o) {
    text += fmt::format("  o{} [shape=ellipse, fillcolor=white, label={}];\n", o, quoted(graph.value(graph.outputs[o]).name));
    text += fmt::format("  {} -> o{};\n", source(graph.outputs[o]), o);
  }
  return text + "}\n";
}

}  // namespace tandem
