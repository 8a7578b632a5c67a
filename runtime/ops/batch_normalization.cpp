// BatchNormalization (ONNX 1 to 15, in the terms of 15) and tandem.BatchNormalizationGrad(dy, x, scale, mean?, var?) -> dx, dscale, dbias.
//
// With training_mode the statistics of the batch are used, and outputs 1 and 2 are the running ones carried on:
// momentum * old + (1 - momentum) * those of the batch, the variance being the population's. The gradient computes them again
// from x when it is given no mean and variance.
#include "kernels/api/batch_norm.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"epsilon", "momentum", "training_mode"};
constexpr std::string_view kGradAttributes[] = {"epsilon"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};
constexpr Alias kGradInPlace[] = {{.input = 0, .output = 0}, {.input = 1, .output = 0}};

constexpr float kEpsilon = 1e-5f, kMomentum = 0.9f;  // the defaults of the specification

bool is_training(const NodeContext& node) { return node.get_int("training_mode", 0) != 0; }

// Inputs first to last are vectors of one value a channel.
void require_channels(const InferenceContext& node, int x, int first, int last) {
  for (int i = first; i <= last; ++i) {
    if (!node.has_input(i)) continue;
    node.require_same_dtype(x, i);
    if (!node.has_rank(i)) continue;
    node.require(node.rank(i) == 1, "scale, B, mean and var must be vectors (input, its dims)", i, to_string(node.dims(i)));
    if (node.has_rank(x))
      node.require(!differ(node.dims(i)[0], node.dims(x)[1]),
                   "scale, B, mean and var need one value a channel (input, its dims, X)", i, to_string(node.dims(i)),
                   to_string(node.dims(x)));
  }
}

void infer(InferenceContext& node) {
  require_float(node, 0);
  node.require(!node.has_rank(0) || node.rank(0) >= 2, "X must have a batch and a channel axis");
  require_channels(node, 0, 1, 4);
  node.require(node.outputs() == 1 || is_training(node), "running statistics come out in training_mode only (outputs)",
               node.outputs());
  node.set_output_like(0, 0);
  node.set_output(1, node.dtype(3), node.has_rank(3) ? std::optional(node.dims(3)) : std::nullopt);
  node.set_output(2, node.dtype(4), node.has_rank(4) ? std::optional(node.dims(4)) : std::nullopt);
}

void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  node.require(!node.has_rank(1) || node.rank(1) >= 2, "X must have a batch and a channel axis");
  require_channels(node, 1, 2, 4);
  node.require(node.has_input(3) == node.has_input(4), "mean and var come together");
  node.set_output_like(0, 1);
  node.set_output(1, node.dtype(2), node.has_rank(2) ? std::optional(node.dims(2)) : std::nullopt);
  node.set_output(2, node.dtype(2), node.has_rank(2) ? std::optional(node.dims(2)) : std::nullopt);
}

void gradient(GradientContext& node) {
  node.require(is_training(node) || (!node.wants(3) && !node.wants(4)), "no gradient is defined for the running statistics");
  std::vector<ValueId> inputs = {node.output_grad(), node.input(0), node.input(1)};
  if (!is_training(node)) inputs.insert(inputs.end(), {node.input(3), node.input(4)});
  const auto grads = node.emit_many("BatchNormalizationGrad", std::move(inputs), 3,
                                    {{"epsilon", node.get_float("epsilon", kEpsilon)}}, "tandem");
  for (int i = 0; i < 3; ++i)
    if (node.wants(i)) node.set_input_grad(i, grads[static_cast<size_t>(i)]);
}

TensorView output_or_null(Outputs out, size_t i) { return out.size() > i ? out[i] : TensorView{}; }

// Binders of both twins: `workspace` says what the kernels want for an x of this shape.
using Workspace = size_t (*)(const BindContext&, int x);

size_t cpu_workspace(const BindContext& node, int x) {
  return cpu::batch_norm_workspace(node.shape(x), node.dtype(x), node.threads());
}
size_t cuda_workspace(const BindContext& node, int x) { return cuda::batch_norm_workspace(node.shape(x)); }

template <auto infer_kernel, auto train_kernel, Workspace workspace>
BoundKernel bind(const BindContext& node) {
  const double epsilon = static_cast<double>(node.get_float("epsilon", kEpsilon));
  const double momentum = static_cast<double>(node.get_float("momentum", kMomentum));
  const bool training = is_training(node);
  return {.run =
              [=](const KernelContext& context, Inputs in, Outputs out) {
                const BatchNormViews views = {.x = in[0], .scale = in[1], .bias = in[2], .mean = in[3], .var = in[4]};
                if (training) {
                  train_kernel(context, views, out[0], output_or_null(out, 1), output_or_null(out, 2), epsilon, momentum);
                } else {
                  infer_kernel(context, views, out[0], epsilon);
                }
              },
          .workspace = workspace(node, 0)};
}

template <auto kernel, Workspace workspace>
BoundKernel bind_grad(const BindContext& node) {
  const double epsilon = static_cast<double>(node.get_float("epsilon", kEpsilon));
  return {.run =
              [=](const KernelContext& context, Inputs in, Outputs out) {
                BatchNormGradViews views = {.dy = in[0],
                                            .x = in[1],
                                            .scale = in[2],
                                            .mean = {},
                                            .var = {},
                                            .dx = out[0],
                                            .dscale = output_or_null(out, 1),
                                            .dbias = output_or_null(out, 2)};
                if (in.size() > 4) {
                  views.mean = in[3];
                  views.var = in[4];
                }
                kernel(context, views, epsilon);
              },
          .workspace = workspace(node, 1)};
}

constexpr OpDef batch_normalization_op = {
    .name = "BatchNormalization",
    .min_inputs = 5,
    .max_inputs = 5,
    .max_outputs = 3,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind<cpu::batch_norm, cpu::batch_norm_train, cpu_workspace>,
    .cuda = on_cuda(bind<cuda::batch_norm, cuda::batch_norm_train, cuda_workspace>),
    .aliases = kInPlace,
};

constexpr OpDef batch_normalization_grad_op = {
    .name = "BatchNormalizationGrad",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 5,
    .min_outputs = 3,
    .max_outputs = 3,
    .attributes = kGradAttributes,
    .infer = infer_grad,
    .cpu = bind_grad<cpu::batch_norm_grad, cpu_workspace>,
    .cuda = on_cuda(bind_grad<cuda::batch_norm_grad, cuda_workspace>),
    .aliases = kGradInPlace,
};

constexpr const OpDef* kOps[] = {&batch_normalization_op, &batch_normalization_grad_op};

}  // namespace

extern const OpFamily batch_normalization_ops;
constinit const OpFamily batch_normalization_ops = kOps;

}  // namespace tandem
