// Arithmetic functions of one value, rounding and predicates. ONNX opset 6 on (Erf, Sign 9; Round 11; BitwiseNot 18).
#include "runtime/ops/elementwise_unary.h"

#include <algorithm>

#include "runtime/ops/dim_algebra.h"

namespace tandem {
namespace {

using namespace elementwise;

constexpr std::string_view kInfinities[] = {"detect_negative", "detect_positive"};

void infer_integer(InferenceContext& node) {
  node.require(is_integer(node.dtype(0)), "input must be an integer (type)", name(node.dtype(0)));
  node.set_output_like(0, 0);
}
// Of a size: where a slice begins that is counted from the end.
void infer_neg(InferenceContext& node) {
  infer_number(node);
  const auto content = node.content(0);
  if (node.dtype(0) != DType::kI64 || !content || std::ranges::any_of(*content, [](const Dim& dim) { return dim.symbol.empty(); })) return;
  Dims negated;
  for (const Dim& dim : *content) negated.push_back(difference(Dim(int64_t{0}), dim));
  node.set_content(0, std::move(negated));
}
void infer_not(InferenceContext& node) {
  node.require_dtype(0, DType::kBool);
  node.set_output_like(0, 0);
}
void infer_float_test(InferenceContext& node) {
  const DType type = node.dtype(0);
  node.require(is_float(type) || (type >= DType::kF8E4M3FN && type <= DType::kF8E5M2FNUZ), "input must be of a floating type (type)", name(type));
  node.set_output(0, DType::kBool, node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
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

// Of what is flat between its steps.
void zero_gradient(GradientContext& node) { set_product(node, scalar_like_input(node, 0)); }
void abs_gradient(GradientContext& node) { set_product(node, node.emit("Sign", {node.input(0)})); }
void neg_gradient(GradientContext& node) { node.set_input_grad(0, node.emit("Neg", {node.output_grad()})); }
void exp_gradient(GradientContext& node) { set_product(node, node.output(0)); }
void log_gradient(GradientContext& node) { node.set_input_grad(0, node.emit("Div", {node.output_grad(), node.input(0)})); }
void sqrt_gradient(GradientContext& node) {
  const ValueId half = node.emit("Mul", {node.output_grad(), scalar_like_input(node, 0.5)});
  node.set_input_grad(0, node.emit("Div", {half, node.output(0)}));
}
void reciprocal_gradient(GradientContext& node) {
  const ValueId square = node.emit("Mul", {node.output(0), node.output(0)});
  node.set_input_grad(0, node.emit("Neg", {node.emit("Mul", {node.output_grad(), square})}));
}

using Bind = BoundKernel (*)(const BindContext&);
constexpr OpDef predicate(std::string_view name, int since, Rule infer, Bind cpu, Bind cuda,
                          std::span<const std::string_view> attributes = {}) {
  return {.name = name, .since = since, .attributes = attributes, .infer = infer, .cpu = cpu, .cuda = cuda};
}

constexpr OpDef abs_op = unary<UnaryOp::kAbs>("Abs", 6, infer_number, abs_gradient);
constexpr OpDef neg_op = unary<UnaryOp::kNeg>("Neg", 6, infer_neg, neg_gradient);
constexpr OpDef exp_op = unary<UnaryOp::kExp>("Exp", 6, infer_float, exp_gradient);
constexpr OpDef log_op = unary<UnaryOp::kLog>("Log", 6, infer_float, log_gradient);
constexpr OpDef sqrt_op = unary<UnaryOp::kSqrt>("Sqrt", 6, infer_float, sqrt_gradient);
constexpr OpDef reciprocal_op = unary<UnaryOp::kReciprocal>("Reciprocal", 6, infer_float, reciprocal_gradient);
constexpr OpDef erf_op = unary<UnaryOp::kErf>("Erf", 9, infer_float, gradient_by_input<UnaryOp::kErf>);
constexpr OpDef floor_op = unary<UnaryOp::kFloor>("Floor", 6, infer_float, zero_gradient);
constexpr OpDef ceil_op = unary<UnaryOp::kCeil>("Ceil", 6, infer_float, zero_gradient);
constexpr OpDef round_op = unary<UnaryOp::kRound>("Round", 11, infer_float, zero_gradient);
constexpr OpDef sign_op = unary<UnaryOp::kSign>("Sign", 9, infer_number, zero_gradient);
constexpr OpDef bitwise_not_op = unary<UnaryOp::kBitNot>("BitwiseNot", 18, infer_integer, nullptr);
constexpr OpDef erf_grad_op = unary_grad<UnaryGradOp::kErf>("ErfGrad");

constexpr OpDef not_op =
    predicate("Not", 1, infer_not, bind_predicate<cpu::logical_not>, on_cuda(bind_predicate<cuda::logical_not>));
constexpr OpDef is_nan_op =
    predicate("IsNaN", 9, infer_float_test, bind_predicate<cpu::is_nan>, on_cuda(bind_predicate<cuda::is_nan>));
constexpr OpDef is_inf_op =
    predicate("IsInf", 10, infer_float_test, bind_is_inf<cpu::is_inf>, on_cuda(bind_is_inf<cuda::is_inf>), kInfinities);

constexpr const OpDef* kOps[] = {&abs_op,   &neg_op,   &exp_op,  &log_op,         &sqrt_op,     &reciprocal_op, &erf_op,    &floor_op,
                                 &ceil_op,  &round_op, &sign_op, &bitwise_not_op, &erf_grad_op, &not_op,        &is_nan_op, &is_inf_op};

}  // namespace

extern const OpFamily elementwise_unary_ops;
constinit const OpFamily elementwise_unary_ops = kOps;

}  // namespace tandem
