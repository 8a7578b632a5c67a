#include "runtime/onnx/quantization_scales.h"

#include <algorithm>
#include <cmath>

#include "kernels/api/convert.h"
#include "kernels/base/dtype_families.h"
#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

// A scale among the inputs of an op, and the input whose numbers it scales; -1: the result, which is divided by it.
struct Scale {
  std::string_view op;
  int input, scaled;
};
constexpr Scale kScales[] = {{"QuantizeLinear", 1, -1}, {"DequantizeLinear", 1, 0}, {"QLinearConv", 1, 0},
                             {"QLinearConv", 4, 3},     {"QLinearConv", 6, -1},     {"QLinearMatMul", 1, 0},
                             {"QLinearMatMul", 4, 3},   {"QLinearMatMul", 6, -1}};

template <class T>
bool all_scale(std::span<const T> values, bool may_be_zero) {
  return std::ranges::all_of(values, [&](T value) {
    const double scale = convert<double>(value);
    return std::isfinite(scale) && (may_be_zero ? scale >= 0 : scale > 0);
  });
}

}  // namespace

void check_scales(const Graph& graph, const Node& node) {
  if (!node.def->domain.empty()) return;
  for (const Scale& scale : kScales) {
    const NodeContext context(node);
    if (scale.op != node.def->name || !context.has_input(scale.input)) continue;
    const auto constant = [&](int i) { return graph.value(node.inputs[static_cast<size_t>(i)]).kind == ValueKind::kConstant; };
    const Tensor& content = graph.value(node.inputs[static_cast<size_t>(scale.input)]).data;
    const DType type = content ? content.dtype() : DType::kUndefined;
    if (!constant(scale.input) || !(is_float(type) || type == DType::kI32)) continue;
    const bool may_be_zero = scale.scaled >= 0 && constant(scale.scaled);
    const bool fits = visit_convertible(type, [&]<class T>() { return all_scale(content.as<T>(), may_be_zero); });
    context.require(
        fits,
        may_be_zero ? "a scale must be a finite number from 0 on (input)" : "a scale must be a finite number above 0 (input)",
        scale.input);
  }
}

}  // namespace tandem
