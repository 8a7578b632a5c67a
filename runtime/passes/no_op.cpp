// One rule an op. Arithmetic with 0 and 1 counts only where it is exact: x + 0 turns -0.0 into 0.0, so that of floats only x - 0 and
// x + -0.0 qualify. A shape is kept if dimensions say so, or if what is repeated, padded or broadcast can add none.
#include "runtime/passes/no_op.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>

#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

constexpr int64_t kMostElements = 4096;  // of a constant that is looked through for zeros and ones

const Tensor* constant(const Graph& graph, const NodeContext& node, int i) {
  if (!node.has_input(i)) return nullptr;
  const Value& value = graph.value(node.node().inputs[static_cast<size_t>(i)]);
  return value.kind == ValueKind::kConstant ? &value.data : nullptr;
}

const TensorType& type(const Graph& graph, const NodeContext& node, int i) {
  return graph.value(node.node().inputs[static_cast<size_t>(i)]).type;
}

template <class T>
bool all_are(const Tensor& tensor, T wanted, bool negative_zero) {
  return std::ranges::all_of(tensor.as<T>(), [&](T x) {
    if constexpr (std::is_floating_point_v<T>) return x == wanted && (x != 0 || std::signbit(x) == negative_zero);
    return x == wanted;
  });
}

// A constant full of this number.
bool is_full_of(const Tensor* tensor, int wanted, bool negative_zero = false) {
  if (tensor == nullptr || tensor->elements() > kMostElements) return false;
  switch (tensor->dtype()) {
    case DType::kF32: return all_are<float>(*tensor, static_cast<float>(wanted), negative_zero);
    case DType::kF64: return all_are<double>(*tensor, wanted, negative_zero);
    case DType::kI64: return all_are<int64_t>(*tensor, wanted, false);
    case DType::kI32: return all_are<int32_t>(*tensor, wanted, false);
    case DType::kBool: return all_are<bool>(*tensor, wanted != 0, false);
    default: return false;
  }
}

// Broadcasting x with a tensor of this shape adds nothing to x.
bool keeps_shape(const TensorType& x, const Shape& with) {
  const int rank = x.dims ? static_cast<int>(x.dims->size()) : 0, more = rank - with.rank();
  if (more < 0) return false;
  for (int i = 0; i < with.rank(); ++i)
    if (with[i] != 1 && (*x.dims)[static_cast<size_t>(more + i)] != Dim(with[i])) return false;
  return true;
}

ValueId input(const NodeContext& node, int i) { return node.node().inputs[static_cast<size_t>(i)]; }
ValueId first_if(const NodeContext& node, bool holds) { return holds ? input(node, 0) : kNoValue; }

bool shape_stays(const Graph& graph, const NodeContext& node) {
  return same_dims(type(graph, node, 0), graph.value(node.node().outputs[0]).type);
}

ValueId always(const Graph&, const NodeContext& node) { return input(node, 0); }
ValueId if_only_input(const Graph&, const NodeContext& node) { return first_if(node, node.inputs() == 1); }
ValueId if_shape_stays(const Graph& graph, const NodeContext& node) { return first_if(node, shape_stays(graph, node)); }

ValueId of_dropout(const Graph& graph, const NodeContext& node) {
  if (!node.has_input(2)) return input(node, 0);
  const Tensor* mode = constant(graph, node, 2);
  return first_if(node, mode != nullptr && mode->dtype() == DType::kBool && mode->elements() == 1 && !mode->as<bool>()[0]);
}

ValueId of_cast(const Graph& graph, const NodeContext& node) {
  return first_if(node, type(graph, node, 0).dtype == graph.value(node.node().outputs[0]).type.dtype);
}

ValueId of_transpose(const Graph& graph, const NodeContext& node) {
  const std::vector<int64_t> perm = node.get_ints("perm");
  const auto& dims = type(graph, node, 0).dims;
  if (perm.empty()) return first_if(node, dims && dims->size() <= 1);  // the default reverses the axes
  return first_if(node, std::ranges::is_sorted(perm) && perm[0] >= 0);
}

ValueId of_expand(const Graph& graph, const NodeContext& node) {
  const Tensor* shape = constant(graph, node, 1);
  const auto& dims = type(graph, node, 0).dims;
  const bool adds_nothing = is_full_of(shape, 1) && dims && shape->elements() <= static_cast<int64_t>(dims->size());
  return first_if(node, adds_nothing || shape_stays(graph, node));
}

// All of a dimension in steps of one is the dimension itself.
ValueId of_slice(const Graph& graph, const NodeContext& node) {
  if (node.has_input(4) && !is_full_of(constant(graph, node, 4), 1)) return kNoValue;
  if (shape_stays(graph, node)) return input(node, 0);
  const Tensor* ends = constant(graph, node, 2);
  if (!is_full_of(constant(graph, node, 1), 0) || ends == nullptr || ends->dtype() != DType::kI64) return kNoValue;
  return first_if(node, std::ranges::all_of(ends->as<int64_t>(), [](int64_t end) { return end == std::numeric_limits<int64_t>::max(); }));
}

ValueId of_pad(const Graph& graph, const NodeContext& node) {
  const std::vector<int64_t> pads = node.has_attribute("pads") ? node.get_ints("pads") : node.get_ints("paddings");
  const bool by_attribute = !pads.empty() && std::ranges::all_of(pads, [](int64_t p) { return p == 0; });
  return first_if(node, node.has_input(1) ? is_full_of(constant(graph, node, 1), 0) : by_attribute);
}

ValueId of_tile(const Graph& graph, const NodeContext& node) { return first_if(node, is_full_of(constant(graph, node, 1), 1)); }

// x + 0 and its kin: the input beside a constant full of `neutral`. `from_left`: the constant may also stand first.
ValueId beside(const Graph& graph, const NodeContext& node, int neutral, bool from_left, bool negative_zero = false) {
  for (int c : {1, 0}) {
    const Tensor* number = constant(graph, node, c);
    if ((c == 1 || from_left) && is_full_of(number, neutral, negative_zero) && keeps_shape(type(graph, node, 1 - c), number->shape()))
      return input(node, 1 - c);
  }
  return kNoValue;
}
ValueId of_add(const Graph& graph, const NodeContext& node) { return beside(graph, node, 0, true, true); }
ValueId of_sub(const Graph& graph, const NodeContext& node) { return beside(graph, node, 0, false); }
ValueId of_mul(const Graph& graph, const NodeContext& node) { return beside(graph, node, 1, true); }
ValueId of_div(const Graph& graph, const NodeContext& node) { return beside(graph, node, 1, false); }
ValueId of_and(const Graph& graph, const NodeContext& node) { return beside(graph, node, 1, true); }
ValueId of_or(const Graph& graph, const NodeContext& node) { return beside(graph, node, 0, true); }

ValueId of_where(const Graph& graph, const NodeContext& node) {
  const Tensor* condition = constant(graph, node, 0);
  for (int taken : {1, 2}) {
    const ValueId id = input(node, taken);
    if (is_full_of(condition, taken == 1) && condition->elements() > 0 && same_dims(graph.value(id).type, graph.value(node.node().outputs[0]).type))
      return id;
  }
  return kNoValue;
}

ValueId of_clip(const Graph& graph, const NodeContext& node) {
  const bool has_bounds = node.has_input(1) || node.has_input(2) || node.has_attribute("min") || node.has_attribute("max");
  return first_if(node, !has_bounds && node.node().def->since >= 11 && type(graph, node, 0).container == Container::kTensor);
}

struct Rule {
  std::string_view op;
  ValueId (*source)(const Graph&, const NodeContext&);
};
constexpr Rule kRules[] = {
    {"Add", of_add},          {"And", of_and},         {"Cast", of_cast},         {"Clip", of_clip},     {"Concat", if_only_input},
    {"Div", of_div},          {"Dropout", of_dropout}, {"Expand", of_expand},     {"Flatten", if_shape_stays},
    {"Identity", always},     {"Max", if_only_input},  {"Mean", if_only_input},   {"Min", if_only_input}, {"Mul", of_mul},
    {"Or", of_or},            {"Pad", of_pad},         {"Pow", of_div},           {"Reshape", if_shape_stays},
    {"Slice", of_slice},      {"Split", always},       {"Squeeze", if_shape_stays}, {"Sub", of_sub},     {"Sum", if_only_input},
    {"Tile", of_tile},        {"Transpose", of_transpose}, {"Unsqueeze", if_shape_stays}, {"Where", of_where}, {"Xor", of_or},
};

}  // namespace

bool same_dims(const TensorType& a, const TensorType& b) {
  return a.dims && b.dims && *a.dims == *b.dims &&
         std::ranges::all_of(*a.dims, [](const Dim& dim) { return dim.known() || !dim.symbol.empty(); });
}

ValueId given_back(const Graph& graph, const Node& node) {
  const NodeContext context(node);
  if (!node.def->domain.empty() || !context.has_input(0) || !context.has_output(0)) return kNoValue;
  for (int i = 1; i < context.outputs(); ++i)
    if (node.def->name == "Split" || context.has_output(i)) return kNoValue;
  const auto rule = std::ranges::find(kRules, node.def->name, &Rule::op);
  return rule == std::end(kRules) ? kNoValue : rule->source(graph, context);
}

}  // namespace tandem
