// SoftmaxCrossEntropyLoss and NegativeLogLikelihoodLoss (ONNX 12 and 13, which differ in text only), and their gradients
// tandem.SoftmaxCrossEntropyLossGrad and tandem.NegativeLogLikelihoodLossGrad (scores, labels, dloss, weights?).
//
// The fused gradient computes the softmax again from the scores: no log-probabilities are kept between the passes.
#include "kernels/api/cross_entropy.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"ignore_index", "reduction"};
constexpr Alias kGradInPlace[] = {{.input = 0, .output = 0}};

LossOptions options_of(const NodeContext& node) {
  LossOptions options;
  const std::string reduction = node.get_string("reduction", "mean");
  if (reduction == "none")
    options.reduction = LossReduction::kNone;
  else if (reduction == "sum")
    options.reduction = LossReduction::kSum;
  else
    node.require(reduction == "mean", "reduction must be none, mean or sum", reduction);
  if (node.has_attribute("ignore_index")) options.ignore_index = node.get_int("ignore_index", 0);
  return options;
}

// Scores [N, C, d...] are input 0, labels [N, d...] input 1, weights [C] input `weights`. Returns the labels' dims, if known.
std::optional<Dims> check_inputs(const InferenceContext& node, int weights) {
  require_float(node, 0);
  node.require(node.dtype(1) == DType::kI32 || node.dtype(1) == DType::kI64, "labels must be i32 or i64", name(node.dtype(1)));
  if (node.has_input(weights)) {
    node.require_same_dtype(0, weights);
    node.require(!node.has_rank(weights) || node.rank(weights) == 1, "weights must be a vector", to_string(node.dims(weights)));
  }
  if (!node.has_rank(0)) return node.has_rank(1) ? std::optional(node.dims(1)) : std::nullopt;
  const Dims& scores = node.dims(0);
  node.require(scores.size() >= 2, "scores must have a batch and a class axis", to_string(scores));
  Dims expected = scores;
  expected.erase(expected.begin() + 1);
  if (node.has_rank(1)) {
    const Dims& labels = node.dims(1);
    node.require(labels.size() == expected.size(), "labels must have the axes of the scores but the class axis (scores, labels)",
                 to_string(scores), to_string(labels));
    for (size_t i = 0; i < labels.size(); ++i) {
      node.require(!differ(labels[i], expected[i]), "labels do not match the scores (scores, labels)", to_string(scores),
                   to_string(labels));
      expected[i] = better(expected[i], labels[i]);
    }
  }
  if (node.has_input(weights) && node.has_rank(weights))
    node.require(!differ(node.dims(weights)[0], scores[1]), "weights must have one value a class (weights, scores)",
                 to_string(node.dims(weights)), to_string(scores));
  return expected;
}

void infer(InferenceContext& node) {
  const auto labels = check_inputs(node, 2);
  const bool reduces = options_of(node).reduction != LossReduction::kNone;
  node.set_output(0, node.dtype(0), reduces ? std::optional(Dims{}) : labels);
  if (node.has_output(1)) node.set_output_like(1, 0);
}

void infer_grad(InferenceContext& node) {
  check_inputs(node, 3);
  options_of(node);
  node.require_same_dtype(0, 2);
  node.set_output_like(0, 0);
}

ValueId emit_grad(GradientContext& node, std::string_view op, ValueId dloss) {
  std::vector<ValueId> inputs = {node.input(0), node.input(1), dloss};
  if (node.has_input(2)) inputs.push_back(node.input(2));
  return node.emit_internal(op, std::move(inputs), node.node().attributes);
}

void gradient(GradientContext& node) {
  node.require(!node.wants(2), "no gradient is defined for the class weights");
  ValueId total = kNoValue;
  if (node.output_grad() != kNoValue) total = emit_grad(node, "SoftmaxCrossEntropyLossGrad", node.output_grad());
  if (node.has_output(1) && node.output_grad(1) != kNoValue) {
    const ValueId through = node.emit_internal("LogSoftmaxGrad", {node.output(1), node.output_grad(1)}, {{"axis", int64_t{1}}});
    total = total == kNoValue ? through : node.emit("Add", {total, through});
  }
  node.set_input_grad(0, total);
}

void nll_gradient(GradientContext& node) {
  node.require(!node.wants(2), "no gradient is defined for the class weights");
  node.set_input_grad(0, emit_grad(node, "NegativeLogLikelihoodLossGrad", node.output_grad()));
}

LossViews views_of(Inputs in, size_t weights) {
  return {.scores = in[0], .labels = in[1], .weights = in.size() > weights ? in[weights] : ConstTensorView{}};
}

// Binders of both twins: `workspace` says what its kernel wants.
using Workspace = size_t (*)(const BindContext&);

size_t cpu_workspace(const BindContext& node) {
  return cpu::cross_entropy_workspace(node.shape(0), node.dtype(0), node.threads());
}
size_t cuda_workspace(const BindContext& node) { return cuda::cross_entropy_workspace(node.shape(0)); }

template <auto kernel, Workspace workspace>
BoundKernel bind(const BindContext& node) {
  return {.run =
              [options = options_of(node)](const KernelContext& context, Inputs in, Outputs out) {
                kernel(context, views_of(in, 2), out[0], out.size() > 1 ? out[1] : TensorView{}, options);
              },
          .workspace = workspace(node)};
}

template <auto kernel, Workspace workspace>
BoundKernel bind_nll(const BindContext& node) {
  return {.run = [options = options_of(node)](const KernelContext& context, Inputs in,
                                              Outputs out) { kernel(context, views_of(in, 2), out[0], options); },
          .workspace = workspace(node)};
}

template <auto kernel, Workspace workspace>
BoundKernel bind_grad(const BindContext& node) {
  return {.run = [options = options_of(node)](const KernelContext& context, Inputs in,
                                              Outputs out) { kernel(context, views_of(in, 3), in[2], out[0], options); },
          .workspace = workspace(node)};
}

constexpr OpDef softmax_cross_entropy_op = {
    .name = "SoftmaxCrossEntropyLoss",
    .since = 12,
    .min_inputs = 2,
    .max_inputs = 3,
    .max_outputs = 2,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind<cpu::softmax_cross_entropy, cpu_workspace>,
    .cuda = on_cuda(bind<cuda::softmax_cross_entropy, cuda_workspace>),
};

constexpr OpDef softmax_cross_entropy_grad_op = {
    .name = "SoftmaxCrossEntropyLossGrad",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 4,
    .attributes = kAttributes,
    .infer = infer_grad,
    .cpu = bind_grad<cpu::softmax_cross_entropy_grad, cpu_workspace>,
    .cuda = on_cuda(bind_grad<cuda::softmax_cross_entropy_grad, cuda_workspace>),
    .aliases = kGradInPlace,
};

constexpr OpDef nll_loss_op = {
    .name = "NegativeLogLikelihoodLoss",
    .since = 12,
    .min_inputs = 2,
    .max_inputs = 3,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = nll_gradient,
    .cpu = bind_nll<cpu::negative_log_likelihood, cpu_workspace>,
    .cuda = on_cuda(bind_nll<cuda::negative_log_likelihood, cuda_workspace>),
};

constexpr OpDef nll_loss_grad_op = {
    .name = "NegativeLogLikelihoodLossGrad",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 4,
    .attributes = kAttributes,
    .infer = infer_grad,
    .cpu = bind_grad<cpu::negative_log_likelihood_grad, cpu_workspace>,
    .cuda = on_cuda(bind_grad<cuda::negative_log_likelihood_grad, cuda_workspace>),
};

constexpr const OpDef* kOps[] = {&softmax_cross_entropy_op, &softmax_cross_entropy_grad_op, &nll_loss_op, &nll_loss_grad_op};

}  // namespace

extern const OpFamily cross_entropy_ops;
constinit const OpFamily cross_entropy_ops = kOps;

}  // namespace tandem
