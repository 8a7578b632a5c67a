// Trigonometric and hyperbolic functions and their inverses (ONNX 7 and 9 on; 22 added bf16).
#include "runtime/ops/elementwise_unary.h"

namespace tandem {
namespace {

using namespace elementwise;

void sin_gradient(GradientContext& node) { set_product(node, node.emit("Cos", {node.input(0)})); }
void cos_gradient(GradientContext& node) { set_product(node, node.emit("Neg", {node.emit("Sin", {node.input(0)})})); }
void sinh_gradient(GradientContext& node) { set_product(node, node.emit("Cosh", {node.input(0)})); }
void cosh_gradient(GradientContext& node) { set_product(node, node.emit("Sinh", {node.input(0)})); }

ValueId square(GradientContext& node, ValueId x) { return node.emit("Mul", {x, x}); }
// 1 + x^2, 1 - x^2 and x^2 - 1, of which the derivatives below are made.
ValueId one_plus_square(GradientContext& node, ValueId x) {
  return node.emit("Add", {square(node, x), scalar_like_input(node, 1)});
}
ValueId one_minus_square(GradientContext& node) {
  return node.emit("Sub", {scalar_like_input(node, 1), square(node, node.input(0))});
}
ValueId square_minus_one(GradientContext& node) {
  return node.emit("Sub", {square(node, node.input(0)), scalar_like_input(node, 1)});
}
void set_quotient(GradientContext& node, ValueId divisor) {
  node.set_input_grad(0, node.emit("Div", {node.output_grad(), divisor}));
}

void tan_gradient(GradientContext& node) { set_product(node, one_plus_square(node, node.output(0))); }
void atan_gradient(GradientContext& node) { set_quotient(node, one_plus_square(node, node.input(0))); }
void atanh_gradient(GradientContext& node) { set_quotient(node, one_minus_square(node)); }
void asin_gradient(GradientContext& node) { set_quotient(node, node.emit("Sqrt", {one_minus_square(node)})); }
void acos_gradient(GradientContext& node) { set_quotient(node, node.emit("Neg", {node.emit("Sqrt", {one_minus_square(node)})})); }
void asinh_gradient(GradientContext& node) { set_quotient(node, node.emit("Sqrt", {one_plus_square(node, node.input(0))})); }
void acosh_gradient(GradientContext& node) { set_quotient(node, node.emit("Sqrt", {square_minus_one(node)})); }

constexpr OpDef sin_op = unary<UnaryOp::kSin>("Sin", 7, infer_float, sin_gradient);
constexpr OpDef cos_op = unary<UnaryOp::kCos>("Cos", 7, infer_float, cos_gradient);
constexpr OpDef tan_op = unary<UnaryOp::kTan>("Tan", 7, infer_float, tan_gradient);
constexpr OpDef asin_op = unary<UnaryOp::kAsin>("Asin", 7, infer_float, asin_gradient);
constexpr OpDef acos_op = unary<UnaryOp::kAcos>("Acos", 7, infer_float, acos_gradient);
constexpr OpDef atan_op = unary<UnaryOp::kAtan>("Atan", 7, infer_float, atan_gradient);
constexpr OpDef sinh_op = unary<UnaryOp::kSinh>("Sinh", 9, infer_float, sinh_gradient);
constexpr OpDef cosh_op = unary<UnaryOp::kCosh>("Cosh", 9, infer_float, cosh_gradient);
constexpr OpDef asinh_op = unary<UnaryOp::kAsinh>("Asinh", 9, infer_float, asinh_gradient);
constexpr OpDef acosh_op = unary<UnaryOp::kAcosh>("Acosh", 9, infer_float, acosh_gradient);
constexpr OpDef atanh_op = unary<UnaryOp::kAtanh>("Atanh", 9, infer_float, atanh_gradient);

constexpr const OpDef* kOps[] = {&sin_op,  &cos_op,  &tan_op,   &asin_op,  &acos_op, &atan_op,
                                 &sinh_op, &cosh_op, &asinh_op, &acosh_op, &atanh_op};

}  // namespace

extern const OpFamily trigonometry_ops;
constinit const OpFamily trigonometry_ops = kOps;

}  // namespace tandem
