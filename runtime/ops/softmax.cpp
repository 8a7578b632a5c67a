// Softmax, LogSoftmax and Hardmax, and the gradients tandem.SoftmaxGrad(y, dy) and tandem.LogSoftmaxGrad(y, dy).
//
// From ONNX 13 on they work along one axis, the last by default. Before, the tensor was seen as a matrix cut at `axis`, 1 by
// default, and worked on row by row; the gradients carry that choice in the attribute `flatten`.
#include "kernels/api/softmax.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"axis"};
constexpr std::string_view kGradAttributes[] = {"axis", "flatten"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};
constexpr Alias kGradInPlace[] = {{.input = 1, .output = 0}, {.input = 0, .output = 0}};

bool flattens(const NodeContext& node) {
  return node.node().def->domain.empty() ? node.node().def->since < 13 : node.get_int("flatten", 0) != 0;
}
int64_t raw_axis(const NodeContext& node) { return node.get_int("axis", flattens(node) ? 1 : -1); }

// An old `axis` may equal the rank: then a row is one element.
int axis_of(const NodeContext& node, int rank) {
  const int64_t axis = raw_axis(node);
  if (flattens(node) && axis == rank) return rank;
  return node.normalized_axis(axis, rank);
}

AxisView view_of(const Shape& shape, int axis, bool flatten) {
  return flatten ? AxisView(Shape{shape.product(0, axis), shape.product(axis, shape.rank())}, 1) : AxisView(shape, axis);
}

void infer(InferenceContext& node) {
  require_float(node, 0);
  if (node.has_rank(0)) axis_of(node, node.rank(0));
  node.set_output_like(0, 0);
}

void infer_grad(InferenceContext& node) {
  node.require_same_dtype(0, 1);
  infer(node);
}

void softmax_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("SoftmaxGrad", {node.output(0), node.output_grad()},
                                            {{"axis", raw_axis(node)}, {"flatten", int64_t{flattens(node)}}}));
}
void log_softmax_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("LogSoftmaxGrad", {node.output(0), node.output_grad()},
                                            {{"axis", raw_axis(node)}, {"flatten", int64_t{flattens(node)}}}));
}

size_t workspace_of(const BindContext& node, int axis, bool flatten) {
  return cpu::softmax_workspace(node.dtype(0), view_of(node.shape(0), axis, flatten), node.threads());
}

// Twins have one signature, so one binder serves both devices.
template <auto kernel>
BoundKernel bind(const BindContext& node) {
  const bool flatten = flattens(node);
  const int axis = axis_of(node, node.rank(0));
  return {.run = [=](const KernelContext& context, Inputs in,
                     Outputs out) { kernel(context, in[0], out[0], view_of(in[0].shape, axis, flatten)); },
          .workspace = workspace_of(node, axis, flatten)};
}

template <auto kernel>
BoundKernel bind_grad(const BindContext& node) {
  const bool flatten = flattens(node);
  const int axis = axis_of(node, node.rank(0));
  return {.run = [=](const KernelContext& context, Inputs in,
                     Outputs out) { kernel(context, in[0], in[1], out[0], view_of(in[0].shape, axis, flatten)); },
          .workspace = workspace_of(node, axis, flatten)};
}

constexpr int kAxisVersion = 13, kLatest = std::numeric_limits<int>::max();

constexpr OpDef softmax(int since, int until) {
  return {.name = "Softmax",
          .since = since,
          .until = until,
          .attributes = kAttributes,
          .infer = infer,
          .gradient = softmax_gradient,
          .cpu = bind<cpu::softmax>,
          .cuda = on_cuda(bind<cuda::softmax>),
          .aliases = kInPlace};
}
constexpr OpDef log_softmax(int since, int until) {
  return {.name = "LogSoftmax",
          .since = since,
          .until = until,
          .attributes = kAttributes,
          .infer = infer,
          .gradient = log_softmax_gradient,
          .cpu = bind<cpu::log_softmax>,
          .cuda = on_cuda(bind<cuda::log_softmax>),
          .aliases = kInPlace};
}
constexpr OpDef hardmax(int since, int until) {
  return {.name = "Hardmax",
          .since = since,
          .until = until,
          .attributes = kAttributes,
          .infer = infer,
          .cpu = bind<cpu::hardmax>,
          .cuda = on_cuda(bind<cuda::hardmax>)};
}

extern const OpDef softmax_grad_op, log_softmax_grad_op;

constexpr OpDef softmax_op_1 = softmax(1, kAxisVersion);
constexpr OpDef softmax_op_13 = softmax(kAxisVersion, kLatest);
constexpr OpDef log_softmax_op_1 = log_softmax(1, kAxisVersion);
constexpr OpDef log_softmax_op_13 = log_softmax(kAxisVersion, kLatest);
constexpr OpDef hardmax_op_1 = hardmax(1, kAxisVersion);
constexpr OpDef hardmax_op_13 = hardmax(kAxisVersion, kLatest);

constexpr OpDef softmax_grad_op = {
    .name = "SoftmaxGrad",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 2,
    .attributes = kGradAttributes,
    .infer = infer_grad,
    .cpu = bind_grad<cpu::softmax_grad>,
    .cuda = on_cuda(bind_grad<cuda::softmax_grad>),
    .aliases = kGradInPlace,
};

constexpr OpDef log_softmax_grad_op = {
    .name = "LogSoftmaxGrad",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 2,
    .attributes = kGradAttributes,
    .infer = infer_grad,
    .cpu = bind_grad<cpu::log_softmax_grad>,
    .cuda = on_cuda(bind_grad<cuda::log_softmax_grad>),
    .aliases = kGradInPlace,
};

constexpr const OpDef* kOps[] = {&softmax_op_1, &softmax_op_13, &log_softmax_op_1, &log_softmax_op_13, &hardmax_op_1,
                                     &hardmax_op_13, &softmax_grad_op, &log_softmax_grad_op};

}  // namespace

extern const OpFamily softmax_ops;
constinit const OpFamily softmax_ops = kOps;

}  // namespace tandem
