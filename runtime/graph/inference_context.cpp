#include <algorithm>

#include "runtime/graph/broadcast_dim.h"
#include "runtime/graph/nearest_name.h"
#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

constexpr int64_t kMostContentElements = 1024;  // larger integer tensors are data, not shapes

void check_arity(const NodeContext& context) {
  const OpDef& def = *context.node().def;
  context.require(context.inputs() >= def.min_inputs && context.inputs() <= def.max_inputs,
                  "wrong number of inputs (has, at least, at most)", context.inputs(), def.min_inputs, def.max_inputs);
  context.require(context.outputs() >= def.min_outputs && context.outputs() <= def.max_outputs,
                  "wrong number of outputs (has, at least, at most)", context.outputs(), def.min_outputs, def.max_outputs);
  for (int i = 0; i < def.min_inputs; ++i) context.require(context.has_input(i), "a required input is absent (index)", i);
  for (const auto& [key, value] : context.node().attributes)
    if (std::ranges::find(def.attributes, key) == def.attributes.end())
      context.reject("unknown attribute" + did_you_mean(key, def.attributes), key);
}

std::optional<Dims> integers(const Tensor& tensor) {
  if (tensor.shape().rank() > 1 || tensor.elements() > kMostContentElements) return std::nullopt;
  Dims elements;
  if (tensor.dtype() == DType::kI64)
    for (int64_t v : tensor.as<int64_t>()) elements.push_back(Dim(v));
  else if (tensor.dtype() == DType::kI32)
    for (int32_t v : tensor.as<int32_t>()) elements.push_back(Dim(int64_t{v}));
  else
    return std::nullopt;
  return elements;
}

}  // namespace

DType InferenceContext::dtype(int i) const { return graph_input(i).type.dtype; }
bool InferenceContext::has_rank(int i) const { return graph_input(i).type.dims.has_value(); }

const Dims& InferenceContext::dims(int i) const {
  require(has_rank(i), "the rank of an input is not known (input)", graph_input(i).name);
  return *graph_input(i).type.dims;
}

const Tensor* InferenceContext::constant(int i) const {
  if (!has_input(i)) return nullptr;
  const Value& value = graph_input(i);
  return value.kind == ValueKind::kConstant ? &value.data : nullptr;
}

std::optional<Dims> InferenceContext::content(int i) const {
  if (!has_input(i)) return std::nullopt;
  if (const Tensor* tensor = constant(i)) return integers(*tensor);
  const auto id = static_cast<size_t>(node_.inputs[static_cast<size_t>(i)]);
  return contents_ && id < contents_->size() ? (*contents_)[id] : std::nullopt;
}

void InferenceContext::set_output_type(int i, TensorType type) {
  if (!has_output(i)) return;
  if (type.dims) require(type.dims->size() <= Shape::kMaxRank, "rank exceeds the limit", type.dims->size(), Shape::kMaxRank);
  graph_.value(node_.outputs[static_cast<size_t>(i)]).type = std::move(type);
}

void InferenceContext::set_output(int i, DType dtype, std::optional<Dims> dims) { set_output_type(i, {dtype, std::move(dims)}); }

void InferenceContext::set_content(int output, Dims elements) {
  if (!contents_ || !has_output(output)) return;
  const auto id = static_cast<size_t>(node_.outputs[static_cast<size_t>(output)]);
  if (contents_->size() <= id) contents_->resize(id + 1);
  (*contents_)[id] = std::move(elements);
}

void InferenceContext::require_tensor(int i) const {
  require(type(i).container == Container::kTensor, "input must be a tensor, it is a sequence or an optional value (input)",
          graph_input(i).name);
}
void InferenceContext::require_float(int i) const {
  require(is_float(dtype(i)), "input must be of a floating type (input, type)", graph_input(i).name, name(dtype(i)));
}
void InferenceContext::require_number(int i) const {
  require(is_float(dtype(i)) || is_integer(dtype(i)), "input must be a number (input, type)", graph_input(i).name,
          name(dtype(i)));
}
void InferenceContext::require_dtype(int i, DType wanted) const {
  require(dtype(i) == wanted, "input has another type than expected (input, type, expected)", graph_input(i).name, name(dtype(i)),
          name(wanted));
}
void InferenceContext::require_same_dtype(int a, int b) const {
  require(dtype(a) == dtype(b), "inputs must have one type", graph_input(a).name, name(dtype(a)), graph_input(b).name,
          name(dtype(b)));
}

std::optional<Dims> InferenceContext::broadcast_dims(int a, int b) const {
  return broadcast_dims(graph_input(a).type.dims, graph_input(b).type.dims);
}

std::optional<Dims> InferenceContext::broadcast_dims(const std::optional<Dims>& a, const std::optional<Dims>& b) const {
  if (!a || !b) return std::nullopt;
  Dims out(std::max(a->size(), b->size()));
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t skip_a = out.size() - a->size(), skip_b = out.size() - b->size();
    const Dim da = i < skip_a ? Dim(1) : (*a)[i - skip_a], db = i < skip_b ? Dim(1) : (*b)[i - skip_b];
    if (da == db || db.size == 1)
      out[i] = da;
    else if (da.size == 1)
      out[i] = db;
    else if (da.known() && db.known())
      reject("shapes do not broadcast", to_string(*a), to_string(*b));
    else
      out[i] = broadcast_dim(da, db);
  }
  return out;
}

void infer_types(Graph& graph, const Node& node, InferenceContext::KnownContents* contents) {
  InferenceContext context(graph, node, contents);
  check_arity(context);
  ensure(node.def->infer != nullptr, "an op has no shape rule", node.def->name);
  for (int i = 0; i < context.inputs() && !node.def->evaluate; ++i)  // kernels take tensors
    if (context.has_input(i)) context.require_tensor(i);
  node.def->infer(context);
}

}  // namespace tandem
