// Conv, ConvTranspose, Gemm or MatMul by constant weights, followed by BatchNormalization outside of training: one linear map after the other is
// one.
//
//   (W x + b - mean) * f + B  =  (f W) x + ((b - mean) * f + B),   f = scale / sqrt(var + epsilon), per output channel
//
// The products are formed in double, so that the folded weights are the nearest of their type.
#include "runtime/graph/rewrite.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/channel_map.h"
#include "runtime/passes/pass.h"

namespace tandem {
namespace {

const Tensor* constant_of(const Graph& graph, ValueId id) {
  return id != kNoValue && graph.value(id).kind == ValueKind::kConstant ? &graph.value(id).data : nullptr;
}

Tensor scaled_along(const Tensor& weights, int axis, const std::vector<double>& factor) {
  Tensor scaled = weights.clone();
  const AxisView around(weights.shape(), axis);
  visit_float(weights.dtype(), [&]<class T>() {
    size_t at = 0;
    auto elements = scaled.as<T>();
    for (int64_t o = 0; o < around.outer; ++o)
      for (double f : factor)
        for (int64_t i = 0; i < around.inner; ++i, ++at) elements[at] = static_cast<T>(static_cast<double>(elements[at]) * f);
  });
  return scaled;
}

// (beta * bias) * factor + shift; `bias` null means 0, and must else hold one value for all channels or one each.
std::optional<Tensor> folded_bias(const Tensor* bias, double beta, const ChannelMap& affine, DType dtype) {
  const size_t channels = affine.factor.size();
  const std::vector<double> old = bias ? in_double(*bias) : std::vector<double>{0};
  if (old.size() != 1 && (old.size() != channels || bias->shape()[bias->shape().rank() - 1] != static_cast<int64_t>(channels)))
    return std::nullopt;
  return visit_float(dtype, [&]<class T>() {
    std::vector<T> folded;
    for (size_t c = 0; c < channels; ++c)
      folded.push_back(static_cast<T>(beta * old[old.size() == 1 ? 0 : c] * affine.factor[c] + affine.shift[c]));
    return Tensor::of<T>({static_cast<int64_t>(channels)}, folded);
  });
}

// The linear node with the normalization folded in, making `norm`'s output; none if it does not fit.
std::optional<Node> fold(Graph& graph, const Node& linear, const Node& norm) {
  const NodeContext context(linear);
  const std::string_view op = linear.def->name;
  const Tensor* weights = linear.inputs.size() > 1 ? constant_of(graph, linear.inputs[1]) : nullptr;
  const bool is_conv = op == "Conv", is_gemm = op == "Gemm", is_matmul = op == "MatMul";
  const bool is_transposed = op == "ConvTranspose";  // of one group: its weights name the channels of one
  if (!linear.def->domain.empty() || !(is_conv || is_transposed || is_gemm || is_matmul) || !weights) return std::nullopt;
  if (weights->dtype() != DType::kF32 && weights->dtype() != DType::kF64) return std::nullopt;  // 16 bits would round them again
  const auto& input_dims = graph.value(linear.inputs[0]).type.dims;
  if (is_matmul && !(input_dims && input_dims->size() == 2 && weights->shape().rank() == 2)) return std::nullopt;
  const Tensor* bias = context.has_input(2) ? constant_of(graph, linear.inputs[2]) : nullptr;
  if (context.has_input(2) && !bias) return std::nullopt;

  const int axis = is_conv || context.get_int("transB", 0) != 0 ? 0 : 1;
  const auto affine = map_of_batch_norm(graph, norm, weights->dtype());
  if (!affine || static_cast<int64_t>(affine->factor.size()) != weights->shape()[axis]) return std::nullopt;
  const auto new_bias = folded_bias(bias, context.get_float("beta", 1), *affine, weights->dtype());
  if (!new_bias) return std::nullopt;

  Node folded = linear;
  if (is_matmul) folded.def = &newest_op("Gemm");
  folded.attributes.erase("beta");
  const Tensor new_weights = scaled_along(*weights, axis, affine->factor);
  folded.inputs = {linear.inputs[0], graph.add_constant(graph.value(linear.inputs[1]).name, new_weights),
                   graph.add_constant(linear.name + ".bias", *new_bias)};
  folded.outputs = {norm.outputs[0]};
  return folded;
}

int apply(Graph& graph, PassNotes&) {
  const std::vector<int> producers = graph.producers(), uses = count_uses(graph), state_changes = count_state_changes(graph);
  std::vector<bool> removed(graph.nodes.size());
  int changes = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& norm = graph.nodes[n];
    if (norm.def->name != "BatchNormalization" || !norm.def->domain.empty()) continue;
    const auto x = static_cast<size_t>(norm.inputs[0]);
    if (producers[x] < 0 || uses[x] != 1) continue;
    const auto p = static_cast<size_t>(producers[x]);
    if (state_changes[p] != state_changes[n]) continue;
    auto folded = fold(graph, graph.nodes[p], norm);
    if (!folded) continue;
    removed[p] = true;
    graph.nodes[n] = std::move(*folded);
    ++changes;
  }
  erase_nodes(graph, removed);
  drop_unused_values(graph);
  return changes;
}

}  // namespace

const Pass batch_norm_folding_pass = {"batch_norm_folding", "fold BatchNormalization into the weights before it", apply};

}  // namespace tandem
