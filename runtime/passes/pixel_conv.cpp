#include "runtime/passes/pixel_conv.h"

#include <algorithm>

#include "runtime/graph/contexts.h"

namespace tandem {
namespace {

bool are_all(const std::vector<int64_t>& list, int64_t number) {
  return std::ranges::all_of(list, [&](int64_t one) { return one == number; });
}

const Tensor* constant_of(const Graph& graph, const Node& node, size_t input) {
  if (input >= node.inputs.size() || node.inputs[input] == kNoValue) return nullptr;
  const Value& value = graph.value(node.inputs[input]);
  return value.kind == ValueKind::kConstant && value.type.dtype == DType::kF32 ? &value.data : nullptr;
}

}  // namespace

std::optional<PixelConv> pixel_conv_of(const Graph& graph, const Node& node) {
  if (!node.def->domain.empty() || node.def->name != "ConvTranspose") return std::nullopt;
  const NodeContext context(node);
  const Tensor *w = constant_of(graph, node, 1), *bias = constant_of(graph, node, 2);
  if (!w || (context.has_input(2) && !bias) || w->shape().rank() != 4 || context.get_int("group", 1) != 1) return std::nullopt;
  const int64_t filters = w->shape()[0], channels = w->shape()[1], block = w->shape()[2];
  const std::vector<int64_t> strides = context.get_ints("strides");
  const bool fits = block >= 1 && w->shape()[3] == block && (strides.empty() ? block == 1 : are_all(strides, block)) && w->elements() > 0;
  const bool is_plain = are_all(context.get_ints("pads"), 0) && are_all(context.get_ints("output_padding"), 0) &&
                        (block == 1 || are_all(context.get_ints("dilations"), 1)) && context.get_ints("output_shape").empty();
  const std::string pad = context.get_string("auto_pad", "NOTSET");
  if (!fits || !is_plain || (pad != "NOTSET" && pad != "VALID")) return std::nullopt;
  const int64_t area = block * block;
  PixelConv conv{Tensor(DType::kF32, {area * channels, filters, 1, 1}), {}, block};
  const auto from = w->as<float>();
  const auto to = conv.weights.as<float>();
  for (int64_t f = 0; f < filters; ++f)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t at = 0; at < area; ++at)
        to[static_cast<size_t>((at * channels + c) * filters + f)] = from[static_cast<size_t>((f * channels + c) * area + at)];
  if (!bias) return conv;
  conv.bias = Tensor(DType::kF32, {area * channels});
  for (int64_t at = 0; at < area; ++at) std::ranges::copy(bias->as<float>(), conv.bias.as<float>().begin() + at * channels);
  return conv;
}

}  // namespace tandem
