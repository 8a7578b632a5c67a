#include <algorithm>

#include "runtime/graph/nearest_name.h"
#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

template <class T>
constexpr std::string_view kind_of() {
  if constexpr (std::is_same_v<T, int64_t>)
    return "an int";
  else if constexpr (std::is_same_v<T, float>)
    return "a float";
  else if constexpr (std::is_same_v<T, std::string>)
    return "a string";
  else if constexpr (std::is_same_v<T, std::vector<int64_t>>)
    return "a list of ints";
  else if constexpr (std::is_same_v<T, std::vector<float>>)
    return "a list of floats";
  else if constexpr (std::is_same_v<T, std::vector<std::string>>)
    return "a list of strings";
  else if constexpr (std::is_same_v<T, Tensor>)
    return "a tensor";
  else
    return "a graph";
}

template <class T>
T attribute_or(const NodeContext& context, std::string_view name, T fallback) {
  const auto found = context.node().attributes.find(name);
  if (found == context.node().attributes.end()) return fallback;
  const T* value = std::get_if<T>(&found->second);
  context.require(value != nullptr, "attribute has another type than expected", name, kind_of<T>());
  return *value;
}

}  // namespace

int64_t NodeContext::get_int(std::string_view name, int64_t fallback) const {
  return attribute_or<int64_t>(*this, name, fallback);
}
float NodeContext::get_float(std::string_view name, float fallback) const { return attribute_or<float>(*this, name, fallback); }
std::string NodeContext::get_string(std::string_view name, std::string_view fallback) const {
  return attribute_or<std::string>(*this, name, std::string(fallback));
}
std::vector<int64_t> NodeContext::get_ints(std::string_view name) const {
  return attribute_or<std::vector<int64_t>>(*this, name, {});
}
std::vector<float> NodeContext::get_floats(std::string_view name) const {
  return attribute_or<std::vector<float>>(*this, name, {});
}
std::vector<std::string> NodeContext::get_strings(std::string_view name) const {
  return attribute_or<std::vector<std::string>>(*this, name, {});
}
Tensor NodeContext::get_tensor(std::string_view name) const { return attribute_or<Tensor>(*this, name, {}); }
Subgraph NodeContext::get_graph(std::string_view name) const { return attribute_or<Subgraph>(*this, name, {}); }

int NodeContext::normalized_axis(int64_t axis, int rank) const {
  require(axis >= -rank && axis < rank, "axis is out of range (axis, rank)", axis, rank);
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

void NodeContext::reject_with(std::string_view text, std::initializer_list<ErrorValue> values) const {
  std::string message = "[" + std::string(node_.def->name) + "] " + std::string(text);
  std::string_view separator = ": ";
  for (const ErrorValue& value : values) {
    message.append(separator).append(value.text);
    separator = ", ";
  }
  throw Error(ErrorCode::kInvalidArgument, message + " (node '" + node_.name + "')");
}

bool BindContext::is_constant(int i) const {
  return has_input(i) && graph_.value(node_.inputs[static_cast<size_t>(i)]).kind == ValueKind::kConstant;
}

const Tensor* BindContext::constant(int i) const {
  return is_constant(i) ? &graph_.value(node_.inputs[static_cast<size_t>(i)]).data : nullptr;
}

}  // namespace tandem
