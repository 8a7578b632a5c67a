// What the files of functions of one value share: their attributes, rules, binders and gradients.
//
// Simple gradients are emitted as ONNX nodes; where a fused backward saves passes over memory there is an internal op,
// tandem.<Name>Grad(saved, dy) {alpha, beta}, whose `saved` is y if the derivative follows from y and x otherwise.
#pragma once

#include "kernels/api/elementwise.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem::elementwise {

inline constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};
inline constexpr Alias kGradInPlace[] = {{.input = 1, .output = 0}, {.input = 0, .output = 0}};
inline constexpr std::string_view kAlphaBeta[] = {"alpha", "beta"};

inline void infer_float(InferenceContext& node) {
  require_float(node, 0);
  node.set_output_like(0, 0);
}
inline void infer_number(InferenceContext& node) {
  require_arithmetic(node, 0);
  node.set_output_like(0, 0);
}
inline void infer_gradient(InferenceContext& node) {
  node.require_same_dtype(0, 1);
  infer_float(node);
}

// Under which names, and with which defaults, ONNX has the parameters of the kernel.
struct ParameterNames {
  std::string_view alpha = "alpha";
  float alpha_default = 0;
  std::string_view beta = "beta";
  float beta_default = 0;
};
constexpr ParameterNames names_of(UnaryOp op) {
  switch (op) {
    case UnaryOp::kLeakyRelu: return {"alpha", 0.01f};
    case UnaryOp::kElu:
    case UnaryOp::kCelu:
    case UnaryOp::kSwish:
    case UnaryOp::kThresholdedRelu: return {"alpha", 1};
    case UnaryOp::kHardSigmoid: return {"alpha", 0.2f, "beta", 0.5f};
    case UnaryOp::kSelu: return {"alpha", 1.67326319f, "gamma", 1.05070102f};
    case UnaryOp::kShrink: return {"lambd", 0.5f, "bias", 0};
    default: return {};
  }
}
inline UnaryParameters parameters_of(const NodeContext& node, UnaryOp op) {
  const ParameterNames names = names_of(op);
  return {node.get_float(names.alpha, names.alpha_default), node.get_float(names.beta, names.beta_default)};
}

// Twins have one signature, so one binder serves both devices.
template <auto kernel, UnaryOp op>
BoundKernel bind(const BindContext& node) {
  return {.run = [p = parameters_of(node, op)](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, op, in[0], out[0], p);
  }};
}
template <auto kernel, UnaryGradOp op>
BoundKernel bind_gradient(const BindContext& node) {
  return {.run = [p = UnaryParameters{node.get_float("alpha", 0), node.get_float("beta", 0)}](
                     const KernelContext& context, Inputs in, Outputs out) { kernel(context, op, in[0], in[1], out[0], p); }};
}

// Sets the gradient dy * slope.
inline void set_product(GradientContext& node, ValueId slope) {
  node.set_input_grad(0, node.emit("Mul", {node.output_grad(), slope}));
}
inline ValueId scalar_like_input(GradientContext& node, double value) {
  return node.scalar(value, node.type(node.input(0)).dtype);
}

// Emit tandem.<Name>Grad with the parameters that the op itself has.
template <UnaryOp op>
void fused_gradient(GradientContext& node, ValueId saved) {
  Attributes attributes;
  if (names_of(op).alpha_default != 0) {
    const UnaryParameters p = parameters_of(node, op);
    attributes = {{"alpha", p.alpha}, {"beta", p.beta}};
  }
  const std::string name = std::string(node.node().def->name) + "Grad";
  node.set_input_grad(0, node.emit_internal(name, {saved, node.output_grad()}, std::move(attributes)));
}
template <UnaryOp op>
void gradient_by_input(GradientContext& node) {
  fused_gradient<op>(node, node.input(0));
}
template <UnaryOp op>
void gradient_by_output(GradientContext& node) {
  fused_gradient<op>(node, node.output(0));
}

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

}  // namespace tandem::elementwise
