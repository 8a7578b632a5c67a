#include "runtime/onnx/normalization_scales.h"

#include <algorithm>

#include "runtime/onnx/contrib.h"

namespace tandem {
namespace {

constexpr int kScale = 1, kBias = 2;

bool is_normalization(const Node& node) {
  return node.def->domain.empty() && (node.def->name == "LayerNormalization" || node.def->name == "RMSNormalization");
}

int axis_of(const Node& node, const Dims& x) {
  const NodeContext context(node);
  return context.normalized_axis(context.get_int("axis", -1), static_cast<int>(x.size()));
}

// Axes may differ where one is 1: it is repeated.
bool is_row(const Dims& dims, const Dims& row) {
  return dims.size() == row.size() &&
         std::ranges::equal(dims, row, [](const Dim& a, const Dim& b) { return a == b || !(a.known() && a.size == 1); });
}

}  // namespace

bool broadcasts_scales(const Graph& graph, const Node& node) {
  if (!is_normalization(node) || node.inputs.size() < 2) return false;
  const auto dims_of = [&](int i) -> const std::optional<Dims>& { return graph.value(node.inputs[static_cast<size_t>(i)]).type.dims; };
  if (node.inputs[0] == kNoValue || !dims_of(0)) return false;
  const Dims row(dims_of(0)->begin() + axis_of(node, *dims_of(0)), dims_of(0)->end());
  for (int i = kScale; i < static_cast<int>(node.inputs.size()); ++i)
    if (node.inputs[static_cast<size_t>(i)] != kNoValue && dims_of(i) && !is_row(*dims_of(i), row)) return true;
  return false;
}

void append_with_broadcast_scales(Graph& graph, const Node& node) {
  ContribContext context(graph, node);
  const ValueId x = context.input(0);
  const int axis = axis_of(node, *context.type(x).dims);
  const size_t row = context.type(x).dims->size() - static_cast<size_t>(axis);
  const ValueId shape = context.emit("Shape", {x}, {{"start", int64_t{axis}}});
  const auto spread = [&](ValueId value) { return context.emit("Expand", {value, shape}); };
  const auto fits_row = [&](int i) {
    const ValueId id = context.input(i);
    return id == kNoValue || (context.type(id).dims && context.type(id).dims->size() <= row);
  };
  const bool by_rows = fits_row(kScale) && fits_row(kBias);
  std::vector<ValueId> inputs = {x, spread(by_rows ? context.input(kScale) : context.scalar(1, context.dtype(x)))};
  if (by_rows && context.has_input(kBias)) inputs.push_back(spread(context.input(kBias)));
  const auto y = context.emit_many(node.def->name, inputs, static_cast<int>(node.outputs.size()), node.attributes);
  ValueId scaled = y[0];
  if (!by_rows) scaled = context.emit("Mul", {scaled, context.input(kScale)});
  if (!by_rows && context.has_input(kBias)) scaled = context.emit("Add", {scaled, context.input(kBias)});
  context.set_output(0, scaled);
  for (size_t i = 1; i < y.size(); ++i) context.set_output(static_cast<int>(i), y[i]);
}

}  // namespace tandem
