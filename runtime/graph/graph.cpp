#include "runtime/graph/graph.h"

#include <algorithm>

#include "runtime/graph/nearest_name.h"
#include "runtime/graph/contexts.h"

namespace tandem {

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) {
    if (i) text += ", ";
    text += dims[i].known() ? std::to_string(dims[i].size) : dims[i].symbol.empty() ? "?" : dims[i].symbol;
  }
  return text + "]";
}

std::optional<Shape> fixed_shape(const Dims& dims) {
  std::vector<int64_t> sizes;
  for (const Dim& dim : dims) {
    if (!dim.known()) return std::nullopt;
    sizes.push_back(dim.size);
  }
  return Shape(sizes);
}

Dims to_dims(const Shape& shape) { return Dims(shape.dims().begin(), shape.dims().end()); }

std::string Graph::unique_name(std::string_view base) {
  const std::string wanted = base.empty() ? "value" : std::string(base);
  if (auto [known, is_new] = names_.try_emplace(wanted, 0); is_new) return wanted;
  for (int& suffix = names_[wanted];;)
    if (std::string name = wanted + "." + std::to_string(++suffix); names_.try_emplace(name, 0).second) return name;
}

void Graph::reserve_name(const std::string& name) {
  require(!name.empty(), "a value needs a name");
  require(names_.try_emplace(name, 0).second, "two values have one name", name);
}

ValueId Graph::add_value(Value value) {
  values.push_back(std::move(value));
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Graph::add_input(std::string name, DType dtype, Dims dims) {
  reserve_name(name);
  const ValueId id = add_value({std::move(name), {dtype, std::move(dims)}, ValueKind::kInput, {}});
  inputs.push_back(id);
  return id;
}

ValueId Graph::add_constant(std::string name, Tensor data) {
  return add_value({unique_name(name), {data.dtype(), to_dims(data.shape())}, ValueKind::kConstant, data});
}

ValueId Graph::add_state(std::string name, Tensor initial) {
  reserve_name(name);  // states are found again by name
  return add_value({std::move(name), {initial.dtype(), to_dims(initial.shape())}, ValueKind::kState, initial});
}

ValueId Graph::add_result(std::string name) {
  reserve_name(name);
  return add_value({std::move(name), {}, ValueKind::kResult, {}});
}

std::vector<ValueId> Graph::add_node(const OpDef& def, std::vector<ValueId> node_inputs, int output_count, Attributes attributes,
                                     std::string name) {
  Node node{&def, name.empty() ? std::string(def.name) : std::move(name), std::move(node_inputs), {}, std::move(attributes)};
  for (int i = 0; i < output_count; ++i)
    node.outputs.push_back(
        add_value({unique_name(i ? node.name + ".out" + std::to_string(i) : node.name), {}, ValueKind::kResult, {}}));
  infer_types(*this, node);
  std::vector<ValueId> made = node.outputs;
  nodes.push_back(std::move(node));
  return made;
}

ValueId Graph::find(std::string_view name) const {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].name == name) return static_cast<ValueId>(i);
    names.push_back(values[i].name);
  }
  fail(ErrorCode::kNotFound, "the graph has no value of this name" + did_you_mean(name, names), {name});
}

std::vector<std::vector<int>> Graph::consumers() const {
  std::vector<std::vector<int>> readers(values.size());
  for (size_t n = 0; n < nodes.size(); ++n)
    for (ValueId id : nodes[n].inputs) {
      if (id == kNoValue) continue;
      auto& list = readers[static_cast<size_t>(id)];
      if (list.empty() || list.back() != static_cast<int>(n)) list.push_back(static_cast<int>(n));
    }
  return readers;
}

std::vector<int> Graph::producers() const {
  std::vector<int> makers(values.size(), -1);
  for (size_t n = 0; n < nodes.size(); ++n)
    for (ValueId id : nodes[n].outputs)
      if (id != kNoValue) makers[static_cast<size_t>(id)] = static_cast<int>(n);
  return makers;
}

}  // namespace tandem
