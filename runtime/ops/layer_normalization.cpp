// LayerNormalization (ONNX 17) and tandem.LayerNormalizationGrad(dy, x, scale) -> dx, dscale, dbias.
//
// The axes from `axis` on are one row; Scale and B have their shape. Mean and InvStdDev, outputs 1 and 2, are f32 and keep those
// axes as ones. Statistics are taken in the type of X with sums in vector lanes, so stash_type asks for nothing more (16-bit floats are
// widened before); it must be f32 where Mean or InvStdDev are asked for.
#include "kernels/api/layer_norm.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/row_normalization.h"
#include "runtime/ops/symbolic.h"

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
  require_row(node, 0, 2);
  require_stash_type(node);
  node.set_output_like(0, 0);
  std::optional<Dims> statistics;
  if (node.has_rank(0)) {
    statistics = node.dims(0);
    for (auto i = static_cast<size_t>(axis_of(node, node.rank(0))); i < statistics->size(); ++i) (*statistics)[i] = Dim(1);
  }
  node.set_output(1, DType::kF32, statistics);
  node.set_output(2, DType::kF32, statistics);
}

void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  require_row(node, 1, 2);
  node.set_output_like(0, 1);
  for (int i : {1, 2}) node.set_output(i, node.dtype(2), node.has_rank(2) ? std::optional(node.dims(2)) : std::nullopt);
}

void gradient(GradientContext& node) {
  for (int i = 1; i < node.outputs(); ++i)
    node.require(!node.has_output(i) || node.output_grad(i) == kNoValue, "no gradient is defined through Mean and InvStdDev");
  const Attributes attributes = {{"axis", node.get_int("axis", -1)}, {"epsilon", node.get_float("epsilon", kEpsilon)}};
  const auto grads =
      node.emit_many("LayerNormalizationGrad", {node.output_grad(), node.input(0), node.input(1)}, 3, attributes, "tandem");
  for (int i = 0; i < 3; ++i)
    if (node.wants(i)) node.set_input_grad(i, grads[static_cast<size_t>(i)]);
}

template <auto kernel>
BoundKernel bind(const BindContext& node) {
  const int axis = axis_of(node, node.rank(0));
  const double epsilon = static_cast<double>(node.get_float("epsilon", kEpsilon));
  return {.run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const Shape& x = in[0].shape;
    const LayerNormViews views = {.x = in[0],
                                  .scale = in[1],
                                  .bias = in.size() > 2 ? in[2] : ConstTensorView{},
                                  .y = out[0],
                                  .mean = output_or_null(out, 1),
                                  .inverse = output_or_null(out, 2)};
    kernel(context, views, x.product(0, axis), x.product(axis, x.rank()), epsilon);
  }};
}

// Bytes that a twin's gradient wants.
using Workspace = size_t (*)(const BindContext&, int64_t rows, int64_t length);

size_t cpu_workspace(const BindContext& node, int64_t rows, int64_t length) {
  return cpu::layer_norm_grad_workspace(rows, length, node.dtype(1), node.threads());
}
size_t cuda_workspace(const BindContext& node, int64_t rows, int64_t length) {
  return cuda::layer_norm_grad_workspace(rows, length, node.dtype(1));
}

template <auto kernel, Workspace workspace>
BoundKernel bind_grad(const BindContext& node) {
  const int axis = axis_of(node, node.rank(1));
  const double epsilon = static_cast<double>(node.get_float("epsilon", kEpsilon));
  const Shape& largest = node.shape(1);
  return {.run =
              [=](const KernelContext& context, Inputs in, Outputs out) {
                const Shape& x = in[1].shape;
                const LayerNormGradViews views = {.dy = in[0],
                                                  .x = in[1],
                                                  .scale = in[2],
                                                  .dx = out[0],
                                                  .dscale = output_or_null(out, 1),
                                                  .dbias = output_or_null(out, 2)};
                kernel(context, views, x.product(0, axis), x.product(axis, x.rank()), epsilon);
              },
          .workspace = workspace(node, largest.product(0, axis), largest.product(axis, largest.rank()))};
}

constexpr OpDef layer_normalization_op = {
    .name = "LayerNormalization",
    .since = 1,  // ONNX has it since 17; onnxruntime and what it optimized have it in every version
    .min_inputs = 2,
    .max_inputs = 3,
    .max_outputs = 3,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind<cpu::layer_norm>,
    .cuda = on_cuda(bind<cuda::layer_norm>),
    .aliases = kInPlace,
};

constexpr OpDef layer_normalization_grad_op = {
    .name = "LayerNormalizationGrad",
    .domain = "tandem",
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 3,
    .max_outputs = 3,
    .attributes = kGradAttributes,
    .infer = infer_grad,
    .cpu = bind_grad<cpu::layer_norm_grad, cpu_workspace>,
    .cuda = on_cuda(bind_grad<cuda::layer_norm_grad, cuda_workspace>),
    .aliases = kGradInPlace,
};

constexpr const OpDef* kOps[] = {&layer_normalization_op, &layer_normalization_grad_op};

}  // namespace

extern const OpFamily layer_normalization_ops;
constinit const OpFamily layer_normalization_ops = kOps;

}  // namespace tandem
