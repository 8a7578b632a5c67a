// RMSNormalization (ONNX 23) and tandem.RMSNormalizationGrad(dy, x, scale) -> dx, dscale: layer normalization about 0.
#include "kernels/api/layer_norm.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/row_normalization.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"axis", "epsilon", "stash_type"};
constexpr std::string_view kGradAttributes[] = {"axis", "epsilon"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};
constexpr Alias kGradInPlace[] = {{.input = 0, .output = 0}, {.input = 1, .output = 0}};

constexpr float kEpsilon = 1e-5f;  // the default of the specification

void infer(InferenceContext& node) {
  require_float(node, 0);
  require_row(node, 0, 1);
  require_stash_type(node);
  node.set_output_like(0, 0);
}

void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  require_row(node, 1, 2);
  node.set_output_like(0, 1);
  node.set_output_like(1, 2);
}

void gradient(GradientContext& node) {
  const Attributes attributes = {{"axis", node.get_int("axis", -1)}, {"epsilon", node.get_float("epsilon", kEpsilon)}};
  const auto grads =
      node.emit_many("RMSNormalizationGrad", {node.output_grad(), node.input(0), node.input(1)}, 2, attributes, "tandem");
  for (int i = 0; i < 2; ++i)
    if (node.wants(i)) node.set_input_grad(i, grads[static_cast<size_t>(i)]);
}

BoundKernel bind(const BindContext& node) {
  const int axis = axis_of(node, node.rank(0));
  const double epsilon = static_cast<double>(node.get_float("epsilon", kEpsilon));
  return {.run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const Shape& x = in[0].shape;
    cpu::rms_norm(context, {.x = in[0], .scale = in[1], .bias = {}, .y = out[0], .mean = {}, .inverse = {}}, x.product(0, axis),
                  x.product(axis, x.rank()), epsilon);
  }};
}

BoundKernel bind_grad(const BindContext& node) {
  const int axis = axis_of(node, node.rank(1));
  const double epsilon = static_cast<double>(node.get_float("epsilon", kEpsilon));
  const Shape& largest = node.shape(1);
  return {.run =
              [=](const KernelContext& context, Inputs in, Outputs out) {
                const Shape& x = in[1].shape;
                const LayerNormGradViews views = {
                    .dy = in[0], .x = in[1], .scale = in[2], .dx = out[0], .dscale = output_or_null(out, 1), .dbias = {}};
                cpu::rms_norm_grad(context, views, x.product(0, axis), x.product(axis, x.rank()), epsilon);
              },
          .workspace = cpu::layer_norm_grad_workspace(largest.product(0, axis), largest.product(axis, largest.rank()),
                                                      node.dtype(1), node.threads())};
}

constexpr OpDef rms_normalization_op = {
    .name = "RMSNormalization",
    .since = 23,
    .min_inputs = 2,
    .max_inputs = 2,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind,
    .aliases = kInPlace,
};

constexpr OpDef rms_normalization_grad_op = {
    .name = "RMSNormalizationGrad",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 2,
    .max_outputs = 2,
    .attributes = kGradAttributes,
    .infer = infer_grad,
    .cpu = bind_grad,
    .aliases = kGradInPlace,
};

constexpr const OpDef* kOps[] = {&rms_normalization_op, &rms_normalization_grad_op};

}  // namespace

extern const OpFamily rms_normalization_ops;
constinit const OpFamily rms_normalization_ops = kOps;

}  // namespace tandem
