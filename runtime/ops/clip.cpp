// Clip: the bounds are attributes (ONNX 6) or optional scalar inputs (11 on). Gradient: tandem.ClipGrad(x, dy, min?, max?), which
// lets dy through where min <= x <= max.
#include "kernels/api/elementwise.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kBounds[] = {"min", "max"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};
constexpr Alias kGradInPlace[] = {{.input = 1, .output = 0}, {.input = 0, .output = 0}};

void require_bounds(InferenceContext& node, int first) {
  for (int i = first; i < first + 2; ++i) {
    if (!node.has_input(i)) continue;
    node.require_same_dtype(0, i);
    if (node.has_rank(i))
      node.require(product(node.dims(i)).size == 1, "a bound must be a scalar; its shape", to_string(node.dims(i)));
  }
}

void infer(InferenceContext& node) {
  require_arithmetic(node, 0);
  require_bounds(node, 1);
  node.set_output_like(0, 0);
}

void infer_grad(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  require_bounds(node, 2);
  node.set_output_like(0, 0);
}

// The bounds of versions before 11; an infinity bounds nothing.
constexpr float kInfinity = std::numeric_limits<float>::infinity();
double low_of(const NodeContext& node) { return static_cast<double>(node.get_float("min", -kInfinity)); }
double high_of(const NodeContext& node) { return static_cast<double>(node.get_float("max", kInfinity)); }

ConstTensorView input_or_null(Inputs in, size_t i) { return i < in.size() ? in[i] : ConstTensorView{}; }

// Twins have one signature, so one binder serves both devices.
using ClipBetween = void (*)(const KernelContext&, ConstTensorView, double, double, TensorView);
using Clip = void (*)(const KernelContext&, ConstTensorView, ConstTensorView, ConstTensorView, TensorView);

template <ClipBetween kernel>
BoundKernel bind_attributes(const BindContext& node) {
  return {.run = [low = low_of(node), high = high_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, in[0], low, high, out[0]);
  }};
}
template <Clip kernel>
BoundKernel bind(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, in[0], input_or_null(in, 1), input_or_null(in, 2), out[0]);
  }};
}
template <auto kernel>
BoundKernel bind_grad(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, in[0], in[1], input_or_null(in, 2), input_or_null(in, 3), out[0]);
  }};
}

void gradient_of_attributes(GradientContext& node) {
  const DType dtype = node.type(node.input(0)).dtype;
  const auto bound = [&](std::string_view name) {
    return node.has_attribute(name) ? node.scalar(static_cast<double>(node.get_float(name, 0)), dtype) : kNoValue;
  };
  node.set_input_grad(0, node.emit_internal("ClipGrad", {node.input(0), node.output_grad(), bound("min"), bound("max")}));
}
void gradient(GradientContext& node) {
  const auto bound = [&](int i) { return node.has_input(i) ? node.input(i) : kNoValue; };
  if (node.wants(0))
    node.set_input_grad(0, node.emit_internal("ClipGrad", {node.input(0), node.output_grad(), bound(1), bound(2)}));
}

void infer_attributes(InferenceContext& node) {
  require_float(node, 0);
  node.set_output_like(0, 0);
}

constexpr OpDef clip_op_6 = {.name = "Clip",
                             .since = 6,
                             .until = 11,
                             .attributes = kBounds,
                             .infer = infer_attributes,
                             .gradient = gradient_of_attributes,
                             .cpu = bind_attributes<cpu::clip>,
                             .cuda = on_cuda(bind_attributes<cuda::clip>),
                             .aliases = kInPlace};
constexpr OpDef clip_op_11 = {.name = "Clip",
                              .since = 11,
                              .max_inputs = 3,
                              .infer = infer,
                              .gradient = gradient,
                              .cpu = bind<cpu::clip>,
                              .cuda = on_cuda(bind<cuda::clip>),
                              .aliases = kInPlace};
constexpr OpDef clip_grad_op = {.name = "ClipGrad",
                                .domain = "tandem",
                                .min_inputs = 2,
                                .max_inputs = 4,
                                .infer = infer_grad,
                                .cpu = bind_grad<cpu::clip_backward>,
                                .cuda = on_cuda(bind_grad<cuda::clip_backward>),
                                .aliases = kGradInPlace};

constexpr const OpDef* kOps[] = {&clip_op_6, &clip_op_11, &clip_grad_op};

}  // namespace

extern const OpFamily clip_ops;
constinit const OpFamily clip_ops = kOps;

}  // namespace tandem
