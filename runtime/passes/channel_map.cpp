#include "runtime/passes/channel_map.h"

#include <cmath>

#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

const Tensor* constant_of(const Graph& graph, ValueId id) {
  return id != kNoValue && graph.value(id).kind == ValueKind::kConstant ? &graph.value(id).data : nullptr;
}

}  // namespace

std::vector<double> in_double(const Tensor& tensor) {
  return visit_float(tensor.dtype(), [&]<class T>() {
    const auto elements = tensor.as<T>();
    return std::vector<double>(elements.begin(), elements.end());
  });
}

std::optional<ChannelMap> map_of_batch_norm(const Graph& graph, const Node& node, DType dtype) {
  const NodeContext context(node);
  for (int i = 1; i < context.outputs(); ++i)
    if (context.has_output(i)) return std::nullopt;
  if (context.get_int("training_mode", 0) != 0 || context.get_int("spatial", 1) != 1) return std::nullopt;
  std::vector<double> parameters[4];
  for (size_t i = 0; i < 4; ++i) {
    const Tensor* tensor = constant_of(graph, node.inputs[i + 1]);
    if (!tensor || tensor->dtype() != dtype) return std::nullopt;
    parameters[i] = in_double(*tensor);
    if (parameters[i].size() != parameters[0].size()) return std::nullopt;
  }
  const auto& [scale, bias, mean, variance] = parameters;
  const double epsilon = context.get_float("epsilon", 1e-5f);
  ChannelMap map;
  for (size_t c = 0; c < scale.size(); ++c) {
    map.factor.push_back(scale[c] / std::sqrt(variance[c] + epsilon));
    map.shift.push_back(bias[c] - mean[c] * map.factor[c]);
  }
  return map;
}

}  // namespace tandem
