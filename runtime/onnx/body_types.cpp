#include "runtime/onnx/body_types.h"

#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

void remove_axis(TensorType& type, int64_t axis) {
  if (!type.dims) return;
  const auto rank = static_cast<int64_t>(type.dims->size());
  if (axis < -rank || axis >= rank) return type.dims.reset();
  type.dims->erase(type.dims->begin() + (axis < 0 ? axis + rank : axis));
}

// Scan-8 has a batch axis before all others; its first input, the lengths, is no input of its body.
void remove_scanned_axes(const Node& node, std::vector<FormalInput>& inputs) {
  const NodeContext context(node);
  if (node.def->since < 9)
    for (FormalInput& input : inputs) remove_axis(input.type, 0);
  const auto slices = std::min(static_cast<size_t>(std::max<int64_t>(context.get_int("num_scan_inputs", 0), 0)), inputs.size());
  const std::vector<int64_t> axes = context.get_ints("scan_input_axes");
  for (size_t i = 0; i < slices; ++i) remove_axis(inputs[inputs.size() - slices + i].type, i < axes.size() ? axes[i] : 0);
}

}  // namespace

std::vector<FormalInput> formal_inputs(const Graph& graph, const Node& node) {
  const bool loop = node.def->name == "Loop", scan = node.def->name == "Scan", map = node.def->name == "SequenceMap";
  if (!loop && !scan && !map) return {};
  std::vector<FormalInput> inputs;
  if (loop) inputs = {{.type = {DType::kI64, Dims()}, .is_counter = true}, {.type = {DType::kBool, Dims()}, .is_counter = true}};
  for (size_t i = loop ? 2 : scan && node.def->since < 9; i < node.inputs.size(); ++i) {
    inputs.push_back({node.inputs[i] == kNoValue ? TensorType() : graph.value(node.inputs[i]).type, loop});
    if (map) inputs.back().type.container = Container::kTensor;
  }
  if (scan) remove_scanned_axes(node, inputs);
  return inputs;
}

TensorType believed_type(TensorType declared, const FormalInput& input) {
  const auto& formal = input.type.dims;
  if (input.is_counter) {
    declared.dims = declared.dims && declared.dims->size() == 1 ? Dims{1} : formal;
    return declared;
  }
  if (formal && declared.dims && formal->size() != declared.dims->size()) declared.dims.reset();
  for (size_t i = 0; declared.dims && i < declared.dims->size(); ++i)
    if (Dim& dim = (*declared.dims)[i]; !formal || !dim.known() || dim != (*formal)[i]) dim = Dim();
  return declared;
}

TensorType believed_type(const FormalInput& input) {
  TensorType type = input.type;
  if (input.varies) type.dims.reset();
  return believed_type(type, input);
}

bool changes_sizes(const Graph& body, const Node& node) {
  if (node.def->name != "Loop") return false;
  const auto differ = [](const Dim& taken, const Dim& made) { return taken.known() && made.known() && taken != made; };
  const size_t own = body.inputs.size() - static_cast<size_t>(body.captured_inputs);
  for (size_t i = 2; i < own && i - 1 < body.outputs.size(); ++i) {
    const auto &taken = body.value(body.inputs[i]).type.dims, &made = body.value(body.outputs[i - 1]).type.dims;
    if (taken && made && (taken->size() != made->size() || !std::ranges::equal(*taken, *made, std::not_fn(differ)))) return true;
  }
  return false;
}

}  // namespace tandem
