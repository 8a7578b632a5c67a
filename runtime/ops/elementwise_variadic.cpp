// Max, Min, Sum and Mean of one or more values with broadcasting (ONNX opset 8 on; 6 without broadcasting is a part of it).
//
// Inputs are folded from the left. Where several inputs hold the largest (smallest) value, Max (Min) shares the gradient equally.
#include "kernels/api/elementwise.h"
#include "kernels/api/movement.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};

void infer(InferenceContext& node) {
  require_arithmetic(node, 0);
  std::optional<Dims> dims = node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt;
  for (int i = 1; i < node.inputs(); ++i) {
    node.require_same_dtype(0, i);
    dims = node.broadcast_dims(dims, node.has_rank(i) ? std::optional(node.dims(i)) : std::nullopt);
  }
  node.set_output(0, node.dtype(0), std::move(dims));
}
void infer_float(InferenceContext& node) {
  require_f32_or_f64(node, 0);
  infer(node);
}

template <BinaryOp op>
void fold(const KernelContext& context, Inputs in, TensorView y) {
  if (in.size() == 1) return cpu::copy(context, in[0], y);
  cpu::binary(context, op, in[0], in[1], y);
  for (size_t i = 2; i < in.size(); ++i) cpu::binary(context, op, y, in[i], y);
}

template <BinaryOp op>
BoundKernel bind(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { fold<op>(context, in, out[0]); }};
}
BoundKernel bind_mean(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    fold<BinaryOp::kAdd>(context, in, out[0]);
    cpu::scale(context, out[0], out[0], 1.0 / static_cast<double>(in.size()));
  }};
}

void share_with_all(GradientContext& node, ValueId grad) {
  for (int i = 0; i < node.inputs(); ++i)
    if (node.wants(i)) node.set_input_grad(i, node.reduce_to(grad, node.input(i)));
}
void sum_gradient(GradientContext& node) { share_with_all(node, node.output_grad()); }
void mean_gradient(GradientContext& node) {
  const ValueId share = node.scalar(1.0 / node.inputs(), node.type(node.output(0)).dtype);
  share_with_all(node, node.emit("Mul", {node.output_grad(), share}));
}
void extremum_gradient(GradientContext& node) {
  const auto dtype = static_cast<int64_t>(node.type(node.output(0)).dtype);
  std::vector<ValueId> holds;
  for (int i = 0; i < node.inputs(); ++i)
    holds.push_back(node.emit("Cast", {node.emit("Equal", {node.input(i), node.output(0)})}, {{"to", dtype}}));
  const ValueId share = node.emit("Div", {node.output_grad(), node.emit("Sum", holds)});
  for (int i = 0; i < node.inputs(); ++i)
    if (node.wants(i))
      node.set_input_grad(i, node.reduce_to(node.emit("Mul", {share, holds[static_cast<size_t>(i)]}), node.input(i)));
}

constexpr OpDef variadic(std::string_view name, void (*rule)(InferenceContext&), void (*gradient)(GradientContext&),
                         BoundKernel (*cpu)(const BindContext&)) {
  return {
      .name = name, .since = 6, .max_inputs = kVariadic, .infer = rule, .gradient = gradient, .cpu = cpu, .aliases = kInPlace};
}

}  // namespace

extern const OpDef max_op, min_op, sum_op, mean_op;

constinit const OpDef max_op = variadic("Max", infer, extremum_gradient, bind<BinaryOp::kMax>);
constinit const OpDef min_op = variadic("Min", infer, extremum_gradient, bind<BinaryOp::kMin>);
constinit const OpDef sum_op = variadic("Sum", infer_float, sum_gradient, bind<BinaryOp::kAdd>);
constinit const OpDef mean_op = variadic("Mean", infer_float, mean_gradient, bind_mean);

}  // namespace tandem
