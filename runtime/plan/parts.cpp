#include "runtime/plan/parts.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "runtime/graph/constant_integers.h"
#include "runtime/graph/contexts.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

bool is_standard(const Node& node, std::string_view op) { return node.def->domain.empty() && node.def->name == op; }

// A list of integers that an op takes as an attribute or as a constant input.
std::optional<std::vector<int64_t>> list(const Graph& graph, const Node& node, int input, std::string_view attribute) {
  const NodeContext context(node);
  if (context.has_attribute(attribute)) return context.get_ints(attribute);
  if (!context.has_input(input)) return std::vector<int64_t>();
  return constant_integers(graph, node.inputs[static_cast<size_t>(input)]);
}

}  // namespace

// What is taken of one axis.
struct Parts::Axis {
  int64_t start = 0, length = 0;
  bool is_part = false;
};

Parts::Parts(const Graph& graph, std::span<const Shape> shapes) : graph_(graph), shapes_(shapes) {
  all_fixed_ = std::ranges::all_of(graph.inputs, [&](ValueId id) {
    const TensorType& type = graph.value(id).type;
    return type.container == Container::kTensor && type.dims && std::ranges::all_of(*type.dims, &Dim::known);
  });
}

bool Parts::is_known(ValueId id, int axis) const {
  const auto& dims = graph_.value(id).type.dims;
  return all_fixed_ || (dims && (*dims)[static_cast<size_t>(axis)].known());
}

bool Parts::is_fixed(ValueId id, int axis) const { return shape(id)[axis] <= 1 || is_known(id, axis); }

// Of all elements with one index along `axis` and those before it.
std::optional<int64_t> Parts::bytes_behind(ValueId id, int axis) const {
  int64_t bytes = static_cast<int64_t>(size_of(graph_.value(id).type.dtype));
  for (int a = axis + 1; a < shape(id).rank(); ++a) {
    if (!is_fixed(id, a)) return std::nullopt;
    bytes *= shape(id)[a];
  }
  return bytes;
}

bool Parts::is_one_row(ValueId id, int axis) const {
  for (int a = 0; a < axis; ++a)
    if (shape(id)[a] > 1) return false;
  return true;
}

// One piece: up to some axis one index each, then a range, then all.
std::optional<int64_t> Parts::offset_of(ValueId whole, std::span<const Axis> axes) const {
  int64_t offset = 0;
  bool may_be_part = true;
  for (int a = 0; a < static_cast<int>(axes.size()); ++a) {
    const Axis& axis = axes[static_cast<size_t>(a)];
    if (axis.is_part && !may_be_part) return std::nullopt;
    if (axis.length > 1) may_be_part = false;
    if (!axis.is_part || axis.start == 0) continue;
    const auto behind = bytes_behind(whole, a);
    if (!behind) return std::nullopt;
    offset += axis.start * *behind;
  }
  return offset;
}

std::optional<int64_t> Parts::slice_offset(const Node& node) const {
  const NodeContext context(node);
  const ValueId whole = node.inputs[0];
  const auto starts = list(graph_, node, 1, "starts"), ends = list(graph_, node, 2, "ends"), steps = list(graph_, node, 4, "");
  auto named = list(graph_, node, 3, "axes");
  if (!starts || !ends || !named || !steps || starts->size() != ends->size()) return std::nullopt;
  for (size_t i = named->size(); i < starts->size(); ++i) named->push_back(static_cast<int64_t>(i));
  std::vector<Axis> axes;
  for (int64_t size : shape(whole).dims()) axes.push_back({0, size, false});
  for (size_t i = 0; i < starts->size(); ++i) {
    const int a = context.normalized_axis((*named)[i], shape(whole).rank());
    const int64_t size = shape(whole)[a], step = i < steps->size() ? (*steps)[i] : 1;
    if ((*starts)[i] == 0 && step == 1 && (*ends)[i] >= std::numeric_limits<int32_t>::max()) continue;
    if (step != 1 || !is_fixed(whole, a)) return std::nullopt;
    const auto clamped = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
    const int64_t start = clamped((*starts)[i]), length = std::max<int64_t>(0, clamped((*ends)[i]) - start);
    if (length == 0) return 0;
    axes[static_cast<size_t>(a)] = {start, length, length != size};
  }
  return offset_of(whole, axes);
}

std::optional<int64_t> Parts::gather_offset(const Node& node) const {
  const NodeContext context(node);
  const ValueId whole = node.inputs[0];
  const auto indices = list(graph_, node, 1, "");
  if (!indices || indices->size() != 1 || shape(node.inputs[1]).rank() > 1) return std::nullopt;
  const int a = context.normalized_axis(context.get_int("axis", 0), shape(whole).rank());
  const int64_t size = shape(whole)[a], at = (*indices)[0] < 0 ? (*indices)[0] + size : (*indices)[0];
  if (!is_fixed(whole, a) || at < 0 || at >= size) return std::nullopt;
  std::vector<Axis> axes;
  for (int64_t length : shape(whole).dims()) axes.push_back({0, length, false});
  axes[static_cast<size_t>(a)] = {at, 1, size != 1};
  return offset_of(whole, axes);
}

std::optional<int64_t> Parts::split_offset(const Node& node, size_t output) const {
  const ValueId whole = node.inputs[0];
  const int a = NodeContext(node).normalized_axis(NodeContext(node).get_int("axis", 0), shape(whole).rank());
  if (!is_one_row(whole, a)) return std::nullopt;
  int64_t start = 0;
  for (size_t before = 0; before < output; ++before) {
    const ValueId part = node.outputs[before];
    if (part == kNoValue || !is_known(part, a)) return std::nullopt;
    start += shape(part)[a];
  }
  if (start == 0) return 0;
  const auto behind = bytes_behind(whole, a);
  return behind ? std::optional(start * *behind) : std::nullopt;
}

std::optional<int64_t> Parts::offset_in_input(const Node& node, size_t output) const {
  if (graph_.value(node.inputs[0]).type.dtype == DType::kString) return std::nullopt;
  if (is_standard(node, "Slice")) return slice_offset(node);
  if (is_standard(node, "Split")) return split_offset(node, output);
  return is_standard(node, "Gather") ? gather_offset(node) : std::nullopt;
}

std::optional<int64_t> Parts::offset_in_output(const Node& node, size_t input) const {
  const ValueId whole = node.outputs[0];
  if (!is_standard(node, "Concat") || graph_.value(whole).type.dtype == DType::kString) return std::nullopt;
  const int a = NodeContext(node).normalized_axis(NodeContext(node).get_int("axis", 0), shape(whole).rank());
  if (!is_one_row(whole, a)) return std::nullopt;
  int64_t start = 0;
  for (size_t before = 0; before < input; ++before) {
    if (!is_known(node.inputs[before], a)) return std::nullopt;
    start += shape(node.inputs[before])[a];
  }
  if (start == 0) return 0;
  const auto behind = bytes_behind(whole, a);
  return behind ? std::optional(start * *behind) : std::nullopt;
}

}  // namespace tandem
