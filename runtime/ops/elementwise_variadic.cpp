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
  require_float(node, 0);
  infer(node);
}

// The kernels of one device.
struct OnCpu {
  static constexpr auto binary = cpu::binary;
  static constexpr auto copy = cpu::copy;
  static constexpr auto scale = cpu::scale;
};
struct OnCuda {
  static constexpr auto binary = cuda::binary;
  static constexpr auto copy = cuda::copy;
  static constexpr auto scale = cuda::scale;
};

template <class Device, BinaryOp op>
void fold(const KernelContext& context, Inputs in, TensorView y) {
  if (in.size() == 1) return Device::copy(context, in[0], y);
  Device::binary(context, op, in[0], in[1], y);
  for (size_t i = 2; i < in.size(); ++i) Device::binary(context, op, y, in[i], y);
}

template <class Device, BinaryOp op>
BoundKernel bind(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { fold<Device, op>(context, in, out[0]); }};
}
template <class Device>
BoundKernel bind_mean(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    fold<Device, BinaryOp::kAdd>(context, in, out[0]);
    Device::scale(context, out[0], out[0], 1.0 / static_cast<double>(in.size()));
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

using Bind = BoundKernel (*)(const BindContext&);
constexpr OpDef variadic(std::string_view name, void (*rule)(InferenceContext&), void (*gradient)(GradientContext&), Bind cpu,
                         Bind cuda) {
  return {.name = name,
          .since = 6,
          .max_inputs = kVariadic,
          .infer = rule,
          .gradient = gradient,
          .cpu = cpu,
          .cuda = cuda,
          .aliases = kInPlace};
}
template <BinaryOp op>
constexpr OpDef folded(std::string_view name, void (*rule)(InferenceContext&), void (*gradient)(GradientContext&)) {
  return variadic(name, rule, gradient, bind<OnCpu, op>, on_cuda(bind<OnCuda, op>));
}

constexpr OpDef max_op = folded<BinaryOp::kMax>("Max", infer, extremum_gradient);
constexpr OpDef min_op = folded<BinaryOp::kMin>("Min", infer, extremum_gradient);
constexpr OpDef sum_op = folded<BinaryOp::kAdd>("Sum", infer_float, sum_gradient);
constexpr OpDef mean_op = variadic("Mean", infer_float, mean_gradient, bind_mean<OnCpu>, on_cuda(bind_mean<OnCuda>));

constexpr const OpDef* kOps[] = {&max_op, &min_op, &sum_op, &mean_op};

}  // namespace

extern const OpFamily elementwise_variadic_ops;
constinit const OpFamily elementwise_variadic_ops = kOps;

}  // namespace tandem
