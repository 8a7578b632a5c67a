// The functions of one value: y = f(x), with their gradients. ONNX opset 6 on (Sin, Cos 7; Erf, Sign 9; Round 11; Gelu 20).
//
// Simple gradients are emitted as ONNX nodes; where a fused backward saves passes over memory there is an internal op,
// tandem.<Name>Grad(saved, dy), whose `saved` is y if the derivative follows from y and x otherwise.
#include "kernels/api/elementwise.h"

#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};
constexpr Alias kGradInPlace[] = {{.input = 1, .output = 0}, {.input = 0, .output = 0}};
constexpr std::string_view kAlpha[] = {"alpha"}, kAlphaBeta[] = {"alpha", "beta"}, kApproximate[] = {"approximate"};
constexpr std::string_view kInfinities[] = {"detect_negative", "detect_positive"};

void infer_float(InferenceContext& node) {
  require_float(node, 0);
  node.set_output_like(0, 0);
}
void infer_number(InferenceContext& node) {
  require_arithmetic(node, 0);
  node.set_output_like(0, 0);
}
void infer_gradient(InferenceContext& node) {
  node.require_same_dtype(0, 1);
  infer_float(node);
}
void infer_not(InferenceContext& node) {
  node.require_dtype(0, DType::kBool);
  node.set_output_like(0, 0);
}
void infer_float_test(InferenceContext& node) {
  require_float(node, 0);
  node.set_output(0, DType::kBool, node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
}

UnaryParameters parameters_of(const NodeContext& node, std::string_view op) {
  if (op == "HardSigmoid") return {node.get_float("alpha", 0.2f), node.get_float("beta", 0.5f)};
  return {node.get_float("alpha", op == "LeakyRelu" ? 0.01f : 1.0f)};
}
Attributes attributes_of(UnaryParameters p) { return {{"alpha", p.alpha}, {"beta", p.beta}}; }

// Twins have one signature, so one binder serves both devices.
template <auto kernel, UnaryOp op>
BoundKernel bind(const BindContext& node) {
  return {.run = [p = parameters_of(node, node.node().def->name)](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, op, in[0], out[0], p);
  }};
}

template <auto kernel, UnaryGradOp op>
BoundKernel bind_gradient(const BindContext& node) {
  return {.run = [p = UnaryParameters{node.get_float("alpha", 0), node.get_float("beta", 0)}](
                     const KernelContext& context, Inputs in, Outputs out) { kernel(context, op, in[0], in[1], out[0], p); }};
}

bool gelu_by_tanh(const NodeContext& node) {
  const std::string approximate = node.get_string("approximate", "none");
  node.require(approximate == "none" || approximate == "tanh", "approximate must be none or tanh", approximate);
  return approximate == "tanh";
}
void infer_gelu(InferenceContext& node) {
  gelu_by_tanh(node);
  infer_float(node);
}
void infer_gelu_gradient(InferenceContext& node) {
  gelu_by_tanh(node);
  infer_gradient(node);
}
template <auto kernel>
BoundKernel bind_gelu(const BindContext& node) {
  return {.run = [op = gelu_by_tanh(node) ? UnaryOp::kGeluTanh : UnaryOp::kGelu](const KernelContext& context, Inputs in,
                                                                                 Outputs out) {
    kernel(context, op, in[0], out[0], UnaryParameters());
  }};
}
template <auto kernel>
BoundKernel bind_gelu_gradient(const BindContext& node) {
  const UnaryGradOp op = gelu_by_tanh(node) ? UnaryGradOp::kGeluTanh : UnaryGradOp::kGelu;
  return {.run = [op](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, op, in[0], in[1], out[0], UnaryParameters());
  }};
}
template <auto kernel>
BoundKernel bind_predicate(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], out[0]); }};
}
template <auto kernel>
BoundKernel bind_is_inf(const BindContext& node) {
  const bool positive = node.get_int("detect_positive", 1) != 0, negative = node.get_int("detect_negative", 1) != 0;
  return {
      .run = [=](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], out[0], positive, negative); }};
}

void abs_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit("Mul", {node.output_grad(), node.emit("Sign", {node.input(0)})}));
}
void neg_gradient(GradientContext& node) { node.set_input_grad(0, node.emit("Neg", {node.output_grad()})); }
void exp_gradient(GradientContext& node) { node.set_input_grad(0, node.emit("Mul", {node.output_grad(), node.output(0)})); }
void log_gradient(GradientContext& node) { node.set_input_grad(0, node.emit("Div", {node.output_grad(), node.input(0)})); }
void sqrt_gradient(GradientContext& node) {
  const ValueId half = node.emit("Mul", {node.output_grad(), node.scalar(0.5, node.type(node.output(0)).dtype)});
  node.set_input_grad(0, node.emit("Div", {half, node.output(0)}));
}
void reciprocal_gradient(GradientContext& node) {
  const ValueId square = node.emit("Mul", {node.output(0), node.output(0)});
  node.set_input_grad(0, node.emit("Neg", {node.emit("Mul", {node.output_grad(), square})}));
}
void sin_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit("Mul", {node.output_grad(), node.emit("Cos", {node.input(0)})}));
}
void cos_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit("Neg", {node.emit("Mul", {node.output_grad(), node.emit("Sin", {node.input(0)})})}));
}

enum class Saved { kInput, kOutput };
// Emits tandem.<Name>Grad with the parameters that the op itself has.
template <Saved saved>
void fused_gradient(GradientContext& node) {
  const std::string_view op = node.node().def->name;
  Attributes attributes;
  if (op == "Gelu") attributes = {{"approximate", node.get_string("approximate", "none")}};
  if (op == "LeakyRelu" || op == "Elu" || op == "HardSigmoid") attributes = attributes_of(parameters_of(node, op));
  const ValueId from = saved == Saved::kInput ? node.input(0) : node.output(0);
  node.set_input_grad(0, node.emit_internal(std::string(op) + "Grad", {from, node.output_grad()}, std::move(attributes)));
}
constexpr auto by_input = fused_gradient<Saved::kInput>, by_output = fused_gradient<Saved::kOutput>;

using Rule = void (*)(InferenceContext&);
using Gradient = void (*)(GradientContext&);

template <UnaryOp op>
constexpr OpDef unary(std::string_view name, int since, Rule infer, Gradient gradient,
                      std::span<const std::string_view> attributes = {}) {
  return {.name = name,
          .since = since,
          .attributes = attributes,
          .infer = infer,
          .gradient = gradient,
          .cpu = bind<cpu::unary, op>,
          .cuda = on_cuda(bind<cuda::unary, op>),
          .aliases = kInPlace};
}
template <UnaryGradOp op>
constexpr OpDef unary_grad(std::string_view name) {
  return {.name = name,
          .domain = "tandem",
          .min_inputs = 2,
          .max_inputs = 2,
          .attributes = kAlphaBeta,
          .infer = infer_gradient,
          .cpu = bind_gradient<cpu::unary_backward, op>,
          .cuda = on_cuda(bind_gradient<cuda::unary_backward, op>),
          .aliases = kGradInPlace};
}
using Bind = BoundKernel (*)(const BindContext&);
constexpr OpDef predicate(std::string_view name, int since, Rule infer, Bind cpu, Bind cuda,
                          std::span<const std::string_view> attributes = {}) {
  return {.name = name, .since = since, .attributes = attributes, .infer = infer, .cpu = cpu, .cuda = cuda};
}

constexpr OpDef abs_op = unary<UnaryOp::kAbs>("Abs", 6, infer_number, abs_gradient);
constexpr OpDef neg_op = unary<UnaryOp::kNeg>("Neg", 6, infer_number, neg_gradient);
constexpr OpDef exp_op = unary<UnaryOp::kExp>("Exp", 6, infer_float, exp_gradient);
constexpr OpDef log_op = unary<UnaryOp::kLog>("Log", 6, infer_float, log_gradient);
constexpr OpDef sqrt_op = unary<UnaryOp::kSqrt>("Sqrt", 6, infer_float, sqrt_gradient);
constexpr OpDef reciprocal_op = unary<UnaryOp::kReciprocal>("Reciprocal", 6, infer_float, reciprocal_gradient);
constexpr OpDef relu_op = unary<UnaryOp::kRelu>("Relu", 6, infer_number, by_output);
constexpr OpDef leaky_relu_op = unary<UnaryOp::kLeakyRelu>("LeakyRelu", 6, infer_float, by_input, kAlpha);
constexpr OpDef elu_op = unary<UnaryOp::kElu>("Elu", 6, infer_float, by_input, kAlpha);
constexpr OpDef sigmoid_op = unary<UnaryOp::kSigmoid>("Sigmoid", 6, infer_float, by_output);
constexpr OpDef hard_sigmoid_op = unary<UnaryOp::kHardSigmoid>("HardSigmoid", 6, infer_float, by_output, kAlphaBeta);
constexpr OpDef tanh_op = unary<UnaryOp::kTanh>("Tanh", 6, infer_float, by_output);
constexpr OpDef erf_op = unary<UnaryOp::kErf>("Erf", 9, infer_float, by_input);
constexpr OpDef softplus_op = unary<UnaryOp::kSoftplus>("Softplus", 1, infer_float, by_input);
constexpr OpDef sin_op = unary<UnaryOp::kSin>("Sin", 7, infer_float, sin_gradient);
constexpr OpDef cos_op = unary<UnaryOp::kCos>("Cos", 7, infer_float, cos_gradient);
constexpr OpDef floor_op = unary<UnaryOp::kFloor>("Floor", 6, infer_float, nullptr);
constexpr OpDef ceil_op = unary<UnaryOp::kCeil>("Ceil", 6, infer_float, nullptr);
constexpr OpDef round_op = unary<UnaryOp::kRound>("Round", 11, infer_float, nullptr);
constexpr OpDef sign_op = unary<UnaryOp::kSign>("Sign", 9, infer_number, nullptr);
constexpr OpDef gelu_op = {.name = "Gelu",
                           .since = 20,
                           .attributes = kApproximate,
                           .infer = infer_gelu,
                           .gradient = by_input,
                           .cpu = bind_gelu<cpu::unary>,
                           .cuda = on_cuda(bind_gelu<cuda::unary>),
                           .aliases = kInPlace};

constexpr OpDef not_op =
    predicate("Not", 1, infer_not, bind_predicate<cpu::logical_not>, on_cuda(bind_predicate<cuda::logical_not>));
constexpr OpDef is_nan_op =
    predicate("IsNaN", 9, infer_float_test, bind_predicate<cpu::is_nan>, on_cuda(bind_predicate<cuda::is_nan>));
constexpr OpDef is_inf_op =
    predicate("IsInf", 10, infer_float_test, bind_is_inf<cpu::is_inf>, on_cuda(bind_is_inf<cuda::is_inf>), kInfinities);

constexpr OpDef relu_grad_op = unary_grad<UnaryGradOp::kRelu>("ReluGrad");
constexpr OpDef sigmoid_grad_op = unary_grad<UnaryGradOp::kSigmoid>("SigmoidGrad");
constexpr OpDef tanh_grad_op = unary_grad<UnaryGradOp::kTanh>("TanhGrad");
constexpr OpDef hard_sigmoid_grad_op = unary_grad<UnaryGradOp::kHardSigmoid>("HardSigmoidGrad");
constexpr OpDef leaky_relu_grad_op = unary_grad<UnaryGradOp::kLeakyRelu>("LeakyReluGrad");
constexpr OpDef elu_grad_op = unary_grad<UnaryGradOp::kElu>("EluGrad");
constexpr OpDef erf_grad_op = unary_grad<UnaryGradOp::kErf>("ErfGrad");
constexpr OpDef softplus_grad_op = unary_grad<UnaryGradOp::kSoftplus>("SoftplusGrad");
constexpr OpDef gelu_grad_op = {.name = "GeluGrad",
                                .domain = "tandem",
                                .min_inputs = 2,
                                .max_inputs = 2,
                                .attributes = kApproximate,
                                .infer = infer_gelu_gradient,
                                .cpu = bind_gelu_gradient<cpu::unary_backward>,
                                .cuda = on_cuda(bind_gelu_gradient<cuda::unary_backward>),
                                .aliases = kGradInPlace};

constexpr const OpDef* kOps[] = {&abs_op, &neg_op, &exp_op, &log_op, &sqrt_op, &reciprocal_op, &relu_op, &leaky_relu_op,
                                     &elu_op, &sigmoid_op, &hard_sigmoid_op, &tanh_op, &erf_op, &softplus_op, &sin_op,
                                     &cos_op, &floor_op, &ceil_op, &round_op, &sign_op, &gelu_op, &not_op, &is_nan_op,
                                     &is_inf_op, &relu_grad_op, &sigmoid_grad_op, &tanh_grad_op, &hard_sigmoid_grad_op,
                                     &leaky_relu_grad_op, &elu_grad_op, &erf_grad_op, &softplus_grad_op, &gelu_grad_op};

}  // namespace

extern const OpFamily elementwise_unary_ops;
constinit const OpFamily elementwise_unary_ops = kOps;

}  // namespace tandem
