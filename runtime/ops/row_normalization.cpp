// LayerNormalization (ONNX 17), RMSNormalization (ONNX 23: layer normalization about 0, without a bias) and their gradients
// tandem.LayerNormalizationGrad(dy, x, scale) -> dx, dscale, dbias and tandem.RMSNormalizationGrad(dy, x, scale) -> dx, dscale.
//
// The axes from `axis` on are one row; Scale and B have their shape. Mean and InvStdDev, outputs 1 and 2 of the former, are f32 and keep
// those axes as ones. Statistics are taken in the type of X with sums in vector lanes, so stash_type asks for nothing more (16-bit floats are
// widened before); it must be f32 where Mean or InvStdDev are asked for.
#include "kernels/api/layer_norm.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"axis", "epsilon", "stash_type"};
constexpr std::string_view kGradAttributes[] = {"axis", "epsilon"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};
constexpr Alias kGradInPlace[] = {{.input = 0, .output = 0}, {.input = 1, .output = 0}};

int axis_of(const NodeContext& node, int rank) { return node.normalized_axis(node.get_int("axis", -1), rank); }
float epsilon_of(const NodeContext& node) { return node.get_float("epsilon", 1e-5f); }  // the default of the specification

// Scale or B must have the shape of a row of x.
void require_row(const InferenceContext& node, int x, int i) {
  if (!node.has_input(i)) return;
  node.require_same_dtype(x, i);
  if (!node.has_rank(x) || !node.has_rank(i)) return;
  const Dims& dims = node.dims(x);
  const Dims row(dims.begin() + axis_of(node, node.rank(x)), dims.end());
  bool same = row.size() == node.dims(i).size();
  for (size_t k = 0; same && k < row.size(); ++k) same = !differ(row[k], node.dims(i)[k]);
  node.require(same, "Scale and B must have the shape of the normalized axes (input, its dims, those of X from axis on)", i,
               to_string(node.dims(i)), to_string(row));
}

// Any float type will do: sums are at least as precise as f32. But outputs 1 and 2 are f32.
void require_stash_type(const NodeContext& node) {
  constexpr int64_t kF32 = 1, kF16 = 10, kF64 = 11, kBF16 = 16;
  const int64_t stash = node.get_int("stash_type", kF32);
  const bool statistics = node.has_output(1) || node.has_output(2);
  const bool known = stash == kF32 || (!statistics && (stash == kF16 || stash == kF64 || stash == kBF16));
  node.require(known, "stash_type must be a float type, and f32 (1) if Mean or InvStdDev are asked for", stash);
}

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
  for (int i : {1, 2})
    if (node.has_output(i)) node.set_output(i, DType::kF32, statistics);
}

void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  require_row(node, 1, 2);
  node.set_output_like(0, 1);
  for (int i = 1; i < node.outputs(); ++i) node.set_output(i, node.dtype(2), node.has_rank(2) ? std::optional(node.dims(2)) : std::nullopt);
}

void gradient(GradientContext& node) {
  for (int i = 1; i < node.outputs(); ++i)
    node.require(!node.has_output(i) || node.output_grad(i) == kNoValue, "no gradient is defined through Mean and InvStdDev");
  const bool about_zero = node.node().def->name == "RMSNormalization";
  const auto grads = node.emit_many(about_zero ? "RMSNormalizationGrad" : "LayerNormalizationGrad",
                                    {node.output_grad(), node.input(0), node.input(1)}, about_zero ? 2 : 3,
                                    {{"axis", node.get_int("axis", -1)}, {"epsilon", epsilon_of(node)}}, "tandem");
  for (size_t i = 0; i < grads.size(); ++i)
    if (node.wants(static_cast<int>(i))) node.set_input_grad(static_cast<int>(i), grads[i]);
}

TensorView output_or_null(Outputs out, size_t i) { return out.size() > i ? out[i] : TensorView{}; }

template <auto kernel>
BoundKernel bind(const BindContext& node) {
  const int axis = axis_of(node, node.rank(0));
  const double epsilon = static_cast<double>(epsilon_of(node));
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
  const double epsilon = static_cast<double>(epsilon_of(node));
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

constexpr OpDef rms_normalization_op = {
    .name = "RMSNormalization",
    .since = 23,
    .min_inputs = 2,
    .max_inputs = 2,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind<cpu::rms_norm>,
    .cuda = on_cuda(bind<cuda::rms_norm>),
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
    .cpu = bind_grad<cpu::rms_norm_grad, cpu_workspace>,
    .cuda = on_cuda(bind_grad<cuda::rms_norm_grad, cuda_workspace>),
    .aliases = kGradInPlace,
};

constexpr const OpDef* kOps[] = {&layer_normalization_op, &layer_normalization_grad_op, &rms_normalization_op, &rms_normalization_grad_op};

}  // namespace

extern const OpFamily row_normalization_ops;
constinit const OpFamily row_normalization_ops = kOps;

}  // namespace tandem
