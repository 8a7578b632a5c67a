// Activation functions of networks. ONNX opset 1 and 6 on; Shrink 9, Celu 12, HardSwish 14, Mish 18, Gelu 20, Swish 24. ThresholdedRelu is
// ONNX's from 10 on, and was onnxruntime's, under the same name, from 1 on.
#include "runtime/ops/elementwise_unary.h"

namespace tandem {
namespace {

using namespace elementwise;

constexpr std::string_view kAlpha[] = {"alpha"}, kAlphaGamma[] = {"alpha", "gamma"}, kApproximate[] = {"approximate"};
constexpr std::string_view kBiasLambda[] = {"bias", "lambd"};

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
void gelu_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("GeluGrad", {node.input(0), node.output_grad()},
                                            {{"approximate", node.get_string("approximate", "none")}}));
}

// Selu is gamma times an Elu.
void selu_gradient(GradientContext& node) {
  const UnaryParameters p = parameters_of(node, UnaryOp::kSelu);
  const ValueId slope = node.emit_internal("EluGrad", {node.input(0), node.output_grad()}, {{"alpha", p.alpha}});
  node.set_input_grad(0, node.emit("Mul", {slope, scalar_like_input(node, static_cast<double>(p.beta))}));
}
// exp(min(0, x) / alpha), for an alpha above 0
void celu_gradient(GradientContext& node) {
  const UnaryParameters p = parameters_of(node, UnaryOp::kCelu);
  const ValueId below = node.emit("Min", {node.input(0), scalar_like_input(node, 0)});
  set_product(node, node.emit("Exp", {node.emit("Div", {below, scalar_like_input(node, static_cast<double>(p.alpha))})}));
}
// 1 / (1 + |x|)^2
void softsign_gradient(GradientContext& node) {
  const ValueId base = node.emit("Add", {node.emit("Abs", {node.input(0)}), scalar_like_input(node, 1)});
  node.set_input_grad(0, node.emit("Div", {node.output_grad(), node.emit("Mul", {base, base})}));
}
// dy where `value` is above the function's alpha, else 0.
void gradient_above_alpha(GradientContext& node, ValueId value, UnaryOp op) {
  const ValueId alpha = scalar_like_input(node, static_cast<double>(parameters_of(node, op).alpha));
  const ValueId above = node.emit("Greater", {value, alpha});
  node.set_input_grad(0, node.emit("Where", {above, node.output_grad(), scalar_like_input(node, 0)}));
}
void thresholded_relu_gradient(GradientContext& node) { gradient_above_alpha(node, node.input(0), UnaryOp::kThresholdedRelu); }
void shrink_gradient(GradientContext& node) { gradient_above_alpha(node, node.emit("Abs", {node.input(0)}), UnaryOp::kShrink); }

template <UnaryOp op>
constexpr auto by_input = gradient_by_input<op>;
template <UnaryOp op>
constexpr auto by_output = gradient_by_output<op>;

constexpr OpDef relu_op = unary<UnaryOp::kRelu>("Relu", 6, infer_number, by_output<UnaryOp::kRelu>);
constexpr OpDef leaky_relu_op = unary<UnaryOp::kLeakyRelu>("LeakyRelu", 6, infer_float, by_input<UnaryOp::kLeakyRelu>, kAlpha);
constexpr OpDef thresholded_relu_op =
    unary<UnaryOp::kThresholdedRelu>("ThresholdedRelu", 1, infer_float, thresholded_relu_gradient, kAlpha);
constexpr OpDef elu_op = unary<UnaryOp::kElu>("Elu", 6, infer_float, by_input<UnaryOp::kElu>, kAlpha);
constexpr OpDef selu_op = unary<UnaryOp::kSelu>("Selu", 6, infer_float, selu_gradient, kAlphaGamma);
constexpr OpDef celu_op = unary<UnaryOp::kCelu>("Celu", 12, infer_float, celu_gradient, kAlpha);
constexpr OpDef sigmoid_op = unary<UnaryOp::kSigmoid>("Sigmoid", 6, infer_float, by_output<UnaryOp::kSigmoid>);
constexpr OpDef hard_sigmoid_op =
    unary<UnaryOp::kHardSigmoid>("HardSigmoid", 6, infer_float, by_output<UnaryOp::kHardSigmoid>, kAlphaBeta);
constexpr OpDef hard_swish_op = unary<UnaryOp::kHardSwish>("HardSwish", 14, infer_float, by_input<UnaryOp::kHardSwish>);
constexpr OpDef swish_op = unary<UnaryOp::kSwish>("Swish", 24, infer_float, by_input<UnaryOp::kSwish>, kAlpha);
constexpr OpDef mish_op = unary<UnaryOp::kMish>("Mish", 18, infer_float, by_input<UnaryOp::kMish>);
constexpr OpDef tanh_op = unary<UnaryOp::kTanh>("Tanh", 6, infer_float, by_output<UnaryOp::kTanh>);
constexpr OpDef softplus_op = unary<UnaryOp::kSoftplus>("Softplus", 1, infer_float, by_input<UnaryOp::kSoftplus>);
constexpr OpDef softsign_op = unary<UnaryOp::kSoftsign>("Softsign", 1, infer_float, softsign_gradient);
constexpr OpDef shrink_op = unary<UnaryOp::kShrink>("Shrink", 9, infer_number, shrink_gradient, kBiasLambda);
constexpr OpDef gelu_op = {.name = "Gelu",
                           .since = 20,
                           .attributes = kApproximate,
                           .infer = infer_gelu,
                           .gradient = gelu_gradient,
                           .cpu = bind_gelu<cpu::unary>,
                           .cuda = on_cuda(bind_gelu<cuda::unary>),
                           .aliases = kInPlace};

constexpr OpDef relu_grad_op = unary_grad<UnaryGradOp::kRelu>("ReluGrad");
constexpr OpDef leaky_relu_grad_op = unary_grad<UnaryGradOp::kLeakyRelu>("LeakyReluGrad");
constexpr OpDef elu_grad_op = unary_grad<UnaryGradOp::kElu>("EluGrad");
constexpr OpDef sigmoid_grad_op = unary_grad<UnaryGradOp::kSigmoid>("SigmoidGrad");
constexpr OpDef hard_sigmoid_grad_op = unary_grad<UnaryGradOp::kHardSigmoid>("HardSigmoidGrad");
constexpr OpDef hard_swish_grad_op = unary_grad<UnaryGradOp::kHardSwish>("HardSwishGrad");
constexpr OpDef swish_grad_op = unary_grad<UnaryGradOp::kSwish>("SwishGrad");
constexpr OpDef mish_grad_op = unary_grad<UnaryGradOp::kMish>("MishGrad");
constexpr OpDef tanh_grad_op = unary_grad<UnaryGradOp::kTanh>("TanhGrad");
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

constexpr const OpDef* kOps[] = {&relu_op,
                                 &leaky_relu_op,
                                 &thresholded_relu_op,
                                 &elu_op,
                                 &selu_op,
                                 &celu_op,
                                 &sigmoid_op,
                                 &hard_sigmoid_op,
                                 &hard_swish_op,
                                 &swish_op,
                                 &mish_op,
                                 &tanh_op,
                                 &softplus_op,
                                 &softsign_op,
                                 &shrink_op,
                                 &gelu_op,
                                 &relu_grad_op,
                                 &leaky_relu_grad_op,
                                 &elu_grad_op,
                                 &sigmoid_grad_op,
                                 &hard_sigmoid_grad_op,
                                 &hard_swish_grad_op,
                                 &swish_grad_op,
                                 &mish_grad_op,
                                 &tanh_grad_op,
                                 &softplus_grad_op,
                                 &gelu_grad_op};

}  // namespace

extern const OpFamily activations_ops;
constinit const OpFamily activations_ops = kOps;

}  // namespace tandem
