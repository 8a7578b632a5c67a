// tandem.EmbeddingBag(table, indices, weights?): rows of a table summed bag by bag, which a pass makes of Gather and a reduction on plans for the CPU.
// Attributes: mode ("sum", "mean" or "max"), axis (of indices), keepdims. Its gradients: tandem.EmbeddingBagGrad(dy, table, indices, weights?) and
// tandem.EmbeddingBagWeightsGrad(dy, table, indices), whose result has the shape of the weights: that of indices, then 1.
#include "kernels/api/embedding_bag.h"

#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"mode", "axis", "keepdims"};

EmbeddingBag options_of(const NodeContext& node, int indices_rank) {
  const std::string mode = node.get_string("mode", "sum");
  node.require(mode == "sum" || mode == "mean" || mode == "max", "mode must be sum, mean or max", mode);
  return {.mode = mode == "sum" ? BagMode::kSum : mode == "mean" ? BagMode::kMean : BagMode::kMax,
          .axis = node.normalized_axis(node.get_int("axis", 0), indices_rank)};
}

// Of a table, indices and weights from input `first` on.
void require_operands(InferenceContext& node, int first) {
  node.require_float(first);
  require_index(node, first + 1);
  if (node.has_rank(first)) node.require(node.rank(first) == 2, "the table must be [rows, width]", to_string(node.dims(first)));
  if (!node.has_input(first + 2)) return;
  node.require_same_dtype(first, first + 2);
  node.require(node.get_string("mode", "sum") == "sum", "only sums have weights");
  if (!node.has_rank(first + 1) || !node.has_rank(first + 2)) return;
  Dims wanted = node.dims(first + 1);
  wanted.push_back(Dim(1));
  const Dims& weights = node.dims(first + 2);
  bool fits = weights.size() == wanted.size();
  for (size_t a = 0; fits && a < wanted.size(); ++a) fits = !differ(weights[a], wanted[a]);
  node.require(fits, "weights must have the shape of indices and 1 (indices, weights)", to_string(node.dims(first + 1)), to_string(weights));
}

void infer(InferenceContext& node) {
  require_operands(node, 0);
  if (!node.has_rank(0) || !node.has_rank(1)) return node.set_output(0, node.dtype(0), std::nullopt);
  const auto axis = static_cast<size_t>(options_of(node, node.rank(1)).axis);
  const bool keep = node.get_int("keepdims", 1) != 0;
  Dims dims;
  for (size_t a = 0; a < node.dims(1).size(); ++a) {
    if (a != axis) dims.push_back(node.dims(1)[a]);
    else if (keep) dims.push_back(Dim(1));
  }
  dims.push_back(node.dims(0)[1]);
  node.set_output(0, node.dtype(0), std::move(dims));
}

void infer_grad(InferenceContext& node) {
  require_operands(node, 1);
  node.require_same_dtype(0, 1);
  node.set_output_like(0, 1);
}

void infer_weights_grad(InferenceContext& node) {
  require_operands(node, 1);
  node.require_same_dtype(0, 1);
  if (!node.has_rank(2)) return node.set_output(0, node.dtype(0), std::nullopt);
  Dims dims = node.dims(2);
  dims.push_back(Dim(1));
  node.set_output(0, node.dtype(0), std::move(dims));
}

void gradient(GradientContext& node) {
  const Attributes& attributes = node.node().attributes;
  std::vector<ValueId> inputs = {node.output_grad(), node.input(0), node.input(1)};
  if (node.has_input(2) && node.wants(2)) node.set_input_grad(2, node.emit_internal("EmbeddingBagWeightsGrad", inputs, attributes));
  if (!node.wants(0)) return;
  if (node.has_input(2)) inputs.push_back(node.input(2));
  node.set_input_grad(0, node.emit_internal("EmbeddingBagGrad", std::move(inputs), attributes));
}

ConstTensorView optional_input(Inputs in, size_t i) { return i < in.size() ? in[i] : ConstTensorView{}; }

BoundKernel bind(const BindContext& node) {
  return {.run = [options = options_of(node, node.rank(1))](const KernelContext& context, Inputs in, Outputs out) {
    cpu::embedding_bag(context, in[0], in[1], optional_input(in, 2), options, out[0]);
  }};
}
BoundKernel bind_grad(const BindContext& node) {
  return {.run = [options = options_of(node, node.rank(2))](const KernelContext& context, Inputs in, Outputs out) {
    cpu::embedding_bag_backward(context, in[0], in[1], in[2], optional_input(in, 3), options, out[0]);
  }};
}
BoundKernel bind_weights_grad(const BindContext& node) {
  return {.run = [options = options_of(node, node.rank(2))](const KernelContext& context, Inputs in, Outputs out) {
    cpu::embedding_bag_weights_backward(context, in[0], in[1], in[2], options, out[0]);
  }};
}

constexpr OpDef embedding_bag_op = {
    .name = "EmbeddingBag",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 3,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind,
};
constexpr OpDef embedding_bag_grad_op = {
    .name = "EmbeddingBagGrad",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 4,
    .attributes = kAttributes,
    .infer = infer_grad,
    .cpu = bind_grad,
};
constexpr OpDef embedding_bag_weights_grad_op = {
    .name = "EmbeddingBagWeightsGrad",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 3,
    .attributes = kAttributes,
    .infer = infer_weights_grad,
    .cpu = bind_weights_grad,
};

constexpr const OpDef* kOps[] = {&embedding_bag_op, &embedding_bag_grad_op, &embedding_bag_weights_grad_op};

}  // namespace

extern const OpFamily embedding_bag_ops;
constinit const OpFamily embedding_bag_ops = kOps;

}  // namespace tandem
