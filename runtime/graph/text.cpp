// The printed form of a graph: one line a value that exists before the run, one line a node.
#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/dtype_families.h"
#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

constexpr int64_t kMostElementsShown = 8;

template <class T>
std::string list(const std::vector<T>& items) {
  return fmt::format("[{}]", fmt::join(items, ", "));
}

// f16 and its like are stored, not shown.
bool is_shown(DType t) { return t != DType::kF16 && t != DType::kBF16 && !is_narrow(t); }

std::string content(const Tensor& tensor) {
  if (tensor.elements() > kMostElementsShown || !is_shown(tensor.dtype())) return "{...}";
  std::string text = "{";
  const auto append = [&]<class T>() {
    for (const T& element : tensor.as<T>()) text += (text.size() > 1 ? ", " : "") + fmt::format("{}", element);
  };
  if (tensor.dtype() == DType::kString)
    append.operator()<std::string_view>();
  else
    visit_arithmetic_or_bool(tensor.dtype(), append);
  return text + "}";
}

struct AttributeText {
  std::string operator()(int64_t v) const { return std::to_string(v); }
  std::string operator()(float v) const { return fmt::format("{}", v); }
  std::string operator()(const std::string& v) const { return '"' + v + '"'; }
  std::string operator()(const std::vector<int64_t>& v) const { return list(v); }
  std::string operator()(const std::vector<float>& v) const { return list(v); }
  std::string operator()(const std::vector<std::string>& v) const { return list(v); }
  std::string operator()(const Tensor& v) const {
    return fmt::format("{}{}{}", name(v.dtype()), to_string(v.shape()), content(v));
  }
  std::string operator()(const Subgraph& v) const { return fmt::format("graph {} of {} nodes", v->name, v->nodes.size()); }
};

std::string type_text(const TensorType& type) {
  const std::string tensor = std::string(name(type.dtype)) + (type.dims ? to_string(*type.dims) : "[...]");
  switch (type.container) {
    case Container::kTensor: break;
    case Container::kSequence: return "seq(" + tensor + ")";
    case Container::kOptional: return "optional(" + tensor + ")";
    case Container::kOptionalSequence: return "optional(seq(" + tensor + "))";
  }
  return tensor;
}

std::string reference(const Graph& graph, ValueId id) { return id == kNoValue ? "_" : "%" + graph.value(id).name; }

std::string node_text(const Graph& graph, const Node& node) {
  std::string line = "  ";
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const ValueId id = node.outputs[i];
    line += (i ? ", " : "") + reference(graph, id) + (id == kNoValue ? "" : ": " + type_text(graph.value(id).type));
  }
  line += fmt::format(" = {}{}{}(", node.def->domain, node.def->domain.empty() ? "" : ".", node.def->name);
  for (size_t i = 0; i < node.inputs.size(); ++i) line += (i ? ", " : "") + reference(graph, node.inputs[i]);
  line += ")";
  if (!node.attributes.empty()) {
    std::string separator = " {";
    for (const auto& [key, value] : node.attributes) {
      line += separator + key + "=" + std::visit(AttributeText{}, value);
      separator = ", ";
    }
    line += "}";
  }
  return line + "\n";
}

}  // namespace

std::string to_text(const Graph& graph) {
  std::string text = "graph " + graph.name + " {\n";
  for (const Value& value : graph.values) {
    if (value.kind == ValueKind::kInput) text += fmt::format("  input %{}: {}\n", value.name, type_text(value.type));
    if (value.kind == ValueKind::kConstant)
      text += fmt::format("  constant %{}: {} {}\n", value.name, type_text(value.type), content(value.data));
    if (value.kind == ValueKind::kState) text += fmt::format("  state %{}: {}\n", value.name, type_text(value.type));
  }
  for (const Node& node : graph.nodes) text += node_text(graph, node);
  text += "  return ";
  for (size_t i = 0; i < graph.outputs.size(); ++i) text += (i ? ", " : "") + reference(graph, graph.outputs[i]);
  return text + "\n}\n";
}

}  // namespace tandem
