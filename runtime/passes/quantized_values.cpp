#include "runtime/passes/quantized_values.h"

#include <algorithm>
#include <cmath>

#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

bool is_byte(DType t) { return t == DType::kU8 || t == DType::kI8; }

// Constants that say what integers stand for.
std::optional<QuantizedForm> form_of(const Graph& graph, const Node& node, ValueId integers, const TensorType& shape) {
  const NodeContext context(node);
  const Value& scale = graph.value(node.inputs[1]);
  if (context.get_int("block_size", 0) != 0 || scale.kind != ValueKind::kConstant || scale.data.dtype() != DType::kF32)
    return std::nullopt;
  const auto is_sound = [](float s) { return s > 0 && std::isfinite(s); };
  if (!std::ranges::all_of(scale.data.as<float>(), is_sound)) return std::nullopt;
  QuantizedForm form = {integers, node.inputs[1], context.has_input(2) ? node.inputs[2] : kNoValue};
  if (form.zero != kNoValue) {
    const Value& zero = graph.value(form.zero);
    if (zero.kind != ValueKind::kConstant || zero.data.elements() != scale.data.elements()) return std::nullopt;
  }
  if (scale.data.elements() == 1 && scale.data.shape().rank() <= 1) return form;
  if (scale.data.shape().rank() != 1 || !shape.dims) return std::nullopt;
  const auto rank = static_cast<int64_t>(shape.dims->size());
  const int64_t axis = context.get_int("axis", 1), along = axis < 0 ? axis + rank : axis;
  if (along < 0 || along >= rank) return std::nullopt;
  form.axis = static_cast<int>(along);
  return form;
}

bool same_content(const Graph& graph, ValueId a, ValueId b) {
  return a == b || identical(graph.value(a).data.reshaped({graph.value(a).data.elements()}),
                             graph.value(b).data.reshaped({graph.value(b).data.elements()}));
}

}  // namespace

std::optional<QuantizedForm> dequantized_form(const Graph& graph, const Node& node, bool is_bias) {
  if (!PatternGraph::is(node, "DequantizeLinear")) return std::nullopt;
  const TensorType& type = graph.value(node.inputs[0]).type;
  const bool fits = is_bias ? type.dtype == DType::kI32 : is_byte(type.dtype);
  const bool is_state = graph.value(node.inputs[0]).kind == ValueKind::kState;
  if (!fits || is_state || graph.value(node.outputs[0]).type.dtype != DType::kF32) return std::nullopt;
  return form_of(graph, node, node.inputs[0], type);
}

std::optional<QuantizedForm> quantized_form(const Graph& graph, const Node& node) {
  if (!PatternGraph::is(node, "QuantizeLinear")) return std::nullopt;
  const int64_t precision = NodeContext(node).get_int("precision", 0);
  const TensorType& x = graph.value(node.inputs[0]).type;
  if (x.dtype != DType::kF32 || !is_byte(graph.value(node.outputs[0]).type.dtype) ||
      (precision != 0 && precision != static_cast<int64_t>(DType::kF32)))
    return std::nullopt;
  const auto form = form_of(graph, node, node.outputs[0], x);
  return form && form->per_tensor() ? form : std::nullopt;
}

int64_t zero_number(const Graph& graph, const QuantizedForm& form) {
  if (form.zero == kNoValue) return 0;
  const Tensor& zero = graph.value(form.zero).data;
  return zero.dtype() == DType::kI8 ? int64_t{zero.as<int8_t>()[0]} : int64_t{zero.as<uint8_t>()[0]};
}

bool same_numbers(const Graph& graph, const QuantizedForm& a, const QuantizedForm& b) {
  return a.per_tensor() && b.per_tensor() && graph.value(a.integers).type.dtype == graph.value(b.integers).type.dtype &&
         same_content(graph, a.scale, b.scale) && zero_number(graph, a) == zero_number(graph, b);
}

ValueId zero_or_new(PatternGraph& pattern, const QuantizedForm& form) {
  if (form.zero != kNoValue) return form.zero;
  const DType type = pattern.type(form.integers).dtype;
  return pattern.add_constant("zero_point", type == DType::kI8 ? Tensor::scalar<int8_t>(0) : Tensor::scalar<uint8_t>(0));
}

}  // namespace tandem
