#include "runtime/onnx/contrib.h"

#include <limits>

#include "runtime/ops/all_ops.h"

namespace tandem {

int ContribContext::rank(ValueId id) const {
  require(type(id).dims.has_value(), "the rank of an input must be known (value)", graph_.value(id).name);
  return static_cast<int>(type(id).dims->size());
}

int64_t ContribContext::size(ValueId id, int axis) const {
  const int n = rank(id);
  const int at = axis < 0 ? axis + n : axis;
  require(at >= 0 && at < n, "an input has too few axes (value, rank)", graph_.value(id).name, n);
  return (*type(id).dims)[static_cast<size_t>(at)].size;
}

void ContribContext::need_inputs(std::initializer_list<int> inputs) const {
  for (const int i : inputs) require(has_input(i), "a required input is absent (index)", i);
}
void ContribContext::refuse_inputs(std::initializer_list<int> inputs) const {
  for (const int i : inputs) require(!has_input(i), "this input is not supported (number)", i);
}
void ContribContext::refuse_outputs(std::initializer_list<int> outputs) const {
  for (const int i : outputs) require(!has_output(i), "this output is not supported (number)", i);
}
void ContribContext::refuse_attribute(std::string_view name, int64_t but) const {
  require(get_int(name, but) == but, "this value of an attribute is not supported (attribute, value)", name, get_int(name, but));
}

std::vector<ValueId> ContribContext::emit_many(std::string_view op, std::vector<ValueId> inputs, int outputs,
                                               Attributes attributes, std::string_view domain) {
  while (!inputs.empty() && inputs.back() == kNoValue) inputs.pop_back();
  return graph_.add_node(newest_op(op, domain), std::move(inputs), outputs, std::move(attributes), node_.name + "." + std::string(op));
}

ValueId ContribContext::constant(Tensor content) { return graph_.add_constant(node_.name + ".constant", std::move(content)); }

ValueId ContribContext::scalar(double value, DType dtype) {
  if (dtype == DType::kF16) return constant(Tensor::scalar(to_f16(static_cast<float>(value))));
  if (dtype == DType::kBF16) return constant(Tensor::scalar(to_bf16(static_cast<float>(value))));
  return visit_number(dtype, [&]<class T>() { return constant(Tensor::scalar<T>(static_cast<T>(value))); });
}

ValueId ContribContext::sum(std::initializer_list<ValueId> terms) {
  ValueId total = kNoValue;
  for (const ValueId term : terms)
    if (term != kNoValue) total = total == kNoValue ? term : emit("Add", {total, term});
  return total;
}

ValueId ContribContext::slice(ValueId x, int64_t axis, int64_t from, int64_t to) {
  return emit("Slice", {x, ints({from}), ints({to}), ints({axis})});
}

std::vector<ValueId> ContribContext::split(ValueId x, int64_t axis, std::vector<int64_t> sizes) {
  const auto parts = static_cast<int>(sizes.size());
  return emit_many("Split", {x, ints(std::move(sizes))}, parts, {{"axis", axis}});
}

ValueId ContribContext::size_value(ValueId x, int64_t axis, bool as_list) {
  if (const int64_t known = size(x, static_cast<int>(axis)); known >= 0)
    return as_list ? ints({known}) : scalar(static_cast<double>(known), DType::kI64);
  const ValueId list = emit("Shape", {x}, {{"start", axis}, {"end", axis + 1}});
  return as_list ? list : emit("Squeeze", {list, ints({0})});
}

void ContribContext::set_output(int i, ValueId value) {
  if (!has_output(i)) return;
  Node identity{&newest_op("Identity"), node_.name, {value}, {node_.outputs[static_cast<size_t>(i)]}, {}};
  infer_types(graph_, identity);
  graph_.nodes.push_back(std::move(identity));
}

const ContribOp* find_contrib_op(std::string_view domain, std::string_view name) {
  for (const ContribFamily family : {contrib_activation_ops, contrib_normalization_ops, contrib_attention_ops,
                                     contrib_group_query_ops, contrib_tensor_ops, contrib_fused_ops, contrib_quantized_ops, contrib_map_ops})
    for (const ContribOp& op : family)
      if (op.def.domain == domain && op.def.name == name) return &op;
  return nullptr;
}

void expand_contrib(Graph& graph, const ContribOp& op, const Node& node) {
  infer_types(graph, node);  // its arity and attributes: its rule says nothing of types
  ContribContext context(graph, node);
  op.expand(context);
}

}  // namespace tandem
