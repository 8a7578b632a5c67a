// LRN (ONNX 1, 13: only element types changed) and its gradient tandem.LRNGrad(dy, x).
#include "kernels/api/lrn.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"alpha", "beta", "bias", "size"};

LrnOptions options_of(const NodeContext& node) {
  LrnOptions options;
  options.size = node.get_int("size", 0);
  node.require(options.size >= 1 && options.size <= (int64_t{1} << 31), "size must be positive", options.size);
  options.alpha = static_cast<double>(node.get_float("alpha", 1e-4f));
  options.beta = static_cast<double>(node.get_float("beta", 0.75f));
  options.bias = static_cast<double>(node.get_float("bias", 1));
  return options;
}

void infer(InferenceContext& node) {
  require_float(node, 0);
  options_of(node);
  for (int i = 0; i < node.inputs(); ++i)
    node.require(!node.has_rank(i) || node.rank(i) >= 2, "X must have a batch and a channel axis");
  if (node.inputs() > 1) node.require_same_dtype(0, 1);
  node.set_output_like(0, 0);
}

void gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("LRNGrad", {node.output_grad(), node.input(0)}, node.node().attributes));
}

BoundKernel bind(const BindContext& node) {
  return {.run = [options = options_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    cpu::lrn(context, in[0], options, out[0]);
  }};
}
BoundKernel bind_grad(const BindContext& node) {
  return {.run = [options = options_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    cpu::lrn_grad(context, in[0], in[1], options, out[0]);
  }};
}

constexpr OpDef lrn_op = {.name = "LRN", .attributes = kAttributes, .infer = infer, .gradient = gradient, .cpu = bind};
constexpr OpDef lrn_grad_op = {.name = "LRNGrad",
                               .domain = "tandem",
                               .min_inputs = 2,
                               .max_inputs = 2,
                               .attributes = kAttributes,
                               .infer = infer,
                               .cpu = bind_grad};

constexpr const OpDef* kOps[] = {&lrn_op, &lrn_grad_op};

}  // namespace

extern const OpFamily lrn_ops;
constinit const OpFamily lrn_ops = kOps;

}  // namespace tandem
