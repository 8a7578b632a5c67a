// Arithmetic, comparison and logic on two values with NumPy broadcasting (ONNX opset 7 on).
//
// The gradient of a broadcast operand is summed back to its shape (tandem.ReduceToShape).
#include "kernels/api/elementwise.h"

#include "runtime/ops/dim_algebra.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr Alias kInPlace[] = {{.input = 0, .output = 0}, {.input = 1, .output = 0}};
constexpr std::string_view kFmod[] = {"fmod"};
constexpr int64_t kLargestSize = int64_t{1} << 31;  // whose products do not overflow

void infer_arithmetic(InferenceContext& node) {
  require_arithmetic(node, 0);
  node.require_same_dtype(0, 1);
  node.set_output(0, node.dtype(0), node.broadcast_dims(0, 1));
}
// Of lists of sizes, as exporters compute shapes: all elements are numbers from 0 on or symbols, or nothing is said.
void propagate_sizes(InferenceContext& node, Dim (*combine)(const Dim&, const Dim&)) {
  const auto a = node.content(0), b = node.content(1);
  const auto is_list = [&](int i) { return node.has_rank(i) && node.rank(i) <= 1; };
  if (node.dtype(0) != DType::kI64 || !is_list(0) || !is_list(1) || !a || !b || (a->size() != b->size() && a->size() != 1 && b->size() != 1)) return;
  Dims sizes;
  for (size_t i = 0; i < (a->size() == 1 ? b : a)->size(); ++i) {
    const Dim &x = (*a)[a->size() == 1 ? 0 : i], &y = (*b)[b->size() == 1 ? 0 : i];
    const auto is_size = [](const Dim& dim) { return (dim.known() && dim.size <= kLargestSize) || !dim.symbol.empty(); };
    if (!is_size(x) || !is_size(y)) return;
    sizes.push_back(combine(x, y));
    if (!is_size(sizes.back())) return;
  }
  node.set_content(0, std::move(sizes));
}
void infer_add(InferenceContext& node) {
  infer_arithmetic(node);
  propagate_sizes(node, sum);
}
void infer_sub(InferenceContext& node) {
  infer_arithmetic(node);
  propagate_sizes(node, difference);
}
void infer_mul(InferenceContext& node) {
  infer_arithmetic(node);
  propagate_sizes(node, [](const Dim& x, const Dim& y) { return product(Dims{x, y}); });
}
void infer_div(InferenceContext& node) {
  infer_arithmetic(node);
  propagate_sizes(node, [](const Dim& x, const Dim& y) {
    const Dim exact = x.known() && y.size > 0 ? Dim(x.size / y.size) : quotient(x, y);
    return exact == Dim() && y.size > 0 && never_negative(x) ? floor_quotient(x, y.size) : exact;  // Div rounds towards 0
  });
}
void infer_pow(InferenceContext& node) {
  const DType base = node.dtype(0);
  node.require(is_float(base) || base == DType::kI32 || base == DType::kI64, "the base must be a float, i32 or i64 (type)", name(base));
  require_arithmetic(node, 1);
  node.set_output(0, node.dtype(0), node.broadcast_dims(0, 1));
}
void infer_mod(InferenceContext& node) {
  const int64_t fmod = node.get_int("fmod", 0);
  node.require(fmod == 1 || !is_float(node.dtype(0)), "floating-point operands need fmod = 1", fmod);
  infer_arithmetic(node);
}
// Whether an element of one list of sizes is that of another, if that is certain: no size is negative.
std::optional<bool> sure_equality(const Dim& x, bool x_constant, const Dim& y, bool y_constant) {
  const bool x_number = x_constant || x.known(), y_number = y_constant || y.known();
  if (x_number && y_number) return x.size == y.size;
  if (!x.symbol.empty() && x.symbol == y.symbol) return true;
  const bool apart = (!x.symbol.empty() && y_number && y.size < 0) || (!y.symbol.empty() && x_number && x.size < 0);
  return apart ? std::optional(false) : std::nullopt;
}
// As exporters ask which entries of a shape are -1.
void infer_equal(InferenceContext& node) {
  if (node.dtype(0) != DType::kBool && node.dtype(0) != DType::kString) require_arithmetic(node, 0);
  node.require_same_dtype(0, 1);
  node.set_output(0, DType::kBool, node.broadcast_dims(0, 1));
  const auto a = node.content(0), b = node.content(1);
  const bool lists = node.has_rank(0) && node.rank(0) == 1 && node.has_rank(1) && node.rank(1) == 1;
  if (!lists || !a || !b || a->size() != b->size()) return;
  Dims equal;
  for (size_t i = 0; i < a->size(); ++i) {
    const auto sure = sure_equality((*a)[i], node.constant(0) != nullptr, (*b)[i], node.constant(1) != nullptr);
    if (!sure) return;
    equal.emplace_back(int64_t{*sure});
  }
  node.set_content(0, std::move(equal));
}
void infer_order(InferenceContext& node) {
  require_arithmetic(node, 0);
  node.require_same_dtype(0, 1);
  node.set_output(0, DType::kBool, node.broadcast_dims(0, 1));
}
void infer_logic(InferenceContext& node) {
  node.require_dtype(0, DType::kBool);
  node.require_dtype(1, DType::kBool);
  node.set_output(0, DType::kBool, node.broadcast_dims(0, 1));
}

// Twins have one signature, so one binder serves both devices. For binary, compare and logic:
template <auto kernel, auto op>
BoundKernel bind(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { kernel(context, op, in[0], in[1], out[0]); }};
}
template <auto kernel>
BoundKernel bind_pow(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], in[1], out[0]); }};
}
template <auto kernel>
BoundKernel bind_mod(const BindContext& node) {
  const BinaryOp op = node.get_int("fmod", 0) ? BinaryOp::kFmod : BinaryOp::kMod;
  return {.run = [op](const KernelContext& context, Inputs in, Outputs out) { kernel(context, op, in[0], in[1], out[0]); }};
}

// Gives input i the gradient `grad()`, summed to the input's shape, if it is wanted.
template <class Grad>
void set_reduced(GradientContext& node, int i, Grad grad) {
  if (node.wants(i)) node.set_input_grad(i, node.reduce_to(grad(), node.input(i)));
}

void add_gradient(GradientContext& node) {
  for (int i = 0; i < 2; ++i) set_reduced(node, i, [&] { return node.output_grad(); });
}
void sub_gradient(GradientContext& node) {
  set_reduced(node, 0, [&] { return node.output_grad(); });
  if (node.wants(1)) node.set_input_grad(1, node.emit("Neg", {node.reduce_to(node.output_grad(), node.input(1))}));
}
void mul_gradient(GradientContext& node) {
  for (int i = 0; i < 2; ++i) set_reduced(node, i, [&] { return node.emit("Mul", {node.output_grad(), node.input(1 - i)}); });
}
// d(a / b) = dy / b, and -(dy / b) * y.
void div_gradient(GradientContext& node) {
  const ValueId quotient = node.emit("Div", {node.output_grad(), node.input(1)});
  set_reduced(node, 0, [&] { return quotient; });
  set_reduced(node, 1, [&] { return node.emit("Neg", {node.emit("Mul", {quotient, node.output(0)})}); });
}
// d(a ^ b) = dy * b * a ^ (b - 1), and dy * y * log(a), taken as 0 where a <= 0.
void pow_gradient(GradientContext& node) {
  const DType dtype = node.type(node.input(0)).dtype;
  const auto scalar = [&](double value) { return node.scalar(value, dtype); };
  ValueId exponent = node.input(1);
  if (node.type(exponent).dtype != dtype) exponent = node.emit("Cast", {exponent}, {{"to", static_cast<int64_t>(dtype)}});
  set_reduced(node, 0, [&] {
    const ValueId power = node.emit("Pow", {node.input(0), node.emit("Sub", {exponent, scalar(1)})});
    return node.emit("Mul", {node.output_grad(), node.emit("Mul", {exponent, power})});
  });
  if (!node.wants(1)) return;
  node.require(node.type(node.input(1)).dtype == dtype, "the exponent's gradient needs operands of one type");
  set_reduced(node, 1, [&] {
    const ValueId slope = node.emit("Mul", {node.output(0), node.emit("Log", {node.input(0)})});
    const ValueId positive = node.emit("Greater", {node.input(0), scalar(0)});
    return node.emit("Mul", {node.output_grad(), node.emit("Where", {positive, slope, scalar(0)})});
  });
}

// y = a - trunc(a / b) * b: dy, and -dy * (a - y) / b.
void mod_gradient(GradientContext& node) {
  set_reduced(node, 0, [&] { return node.output_grad(); });
  set_reduced(node, 1, [&] {
    const ValueId times = node.emit("Div", {node.emit("Sub", {node.output(0), node.input(0)}), node.input(1)});
    return node.emit("Mul", {node.output_grad(), times});
  });
}

using Rule = void (*)(InferenceContext&);
using Gradient = void (*)(GradientContext&);
template <BinaryOp op>
constexpr OpDef binary(std::string_view name, int since, Rule infer, Gradient gradient) {
  return {.name = name,
          .since = since,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer,
          .gradient = gradient,
          .cpu = bind<cpu::binary, op>,
          .cuda = on_cuda(bind<cuda::binary, op>),
          .aliases = kInPlace};
}
// Comparisons answer with another type, so there is nothing to take over.
template <CompareOp op>
constexpr OpDef comparison(std::string_view name, int since, Rule infer) {
  return {.name = name,
          .since = since,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer,
          .cpu = bind<cpu::compare, op>,
          .cuda = on_cuda(bind<cuda::compare, op>)};
}
template <LogicOp op>
constexpr OpDef logic(std::string_view name) {
  return {.name = name,
          .since = 7,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer_logic,
          .cpu = bind<cpu::logic, op>,
          .cuda = on_cuda(bind<cuda::logic, op>),
          .aliases = kInPlace};
}

constexpr OpDef add_op = binary<BinaryOp::kAdd>("Add", 7, infer_add, add_gradient);
constexpr OpDef sub_op = binary<BinaryOp::kSub>("Sub", 7, infer_sub, sub_gradient);
constexpr OpDef mul_op = binary<BinaryOp::kMul>("Mul", 7, infer_mul, mul_gradient);
constexpr OpDef div_op = binary<BinaryOp::kDiv>("Div", 7, infer_div, div_gradient);
constexpr OpDef pow_op = {.name = "Pow",
                          .since = 7,
                          .min_inputs = 2,
                          .max_inputs = 2,
                          .infer = infer_pow,
                          .gradient = pow_gradient,
                          .cpu = bind_pow<cpu::pow>,
                          .cuda = on_cuda(bind_pow<cuda::pow>)};
constexpr OpDef mod_op = {.name = "Mod",
                          .since = 10,
                          .min_inputs = 2,
                          .max_inputs = 2,
                          .attributes = kFmod,
                          .infer = infer_mod,
                          .gradient = mod_gradient,
                          .cpu = bind_mod<cpu::binary>,
                          .cuda = on_cuda(bind_mod<cuda::binary>),
                          .aliases = kInPlace};
constexpr OpDef equal_op = comparison<CompareOp::kEqual>("Equal", 7, infer_equal);
constexpr OpDef less_op = comparison<CompareOp::kLess>("Less", 7, infer_order);
constexpr OpDef less_or_equal_op = comparison<CompareOp::kLessOrEqual>("LessOrEqual", 12, infer_order);
constexpr OpDef greater_op = comparison<CompareOp::kGreater>("Greater", 7, infer_order);
constexpr OpDef greater_or_equal_op = comparison<CompareOp::kGreaterOrEqual>("GreaterOrEqual", 12, infer_order);
constexpr OpDef and_op = logic<LogicOp::kAnd>("And");
constexpr OpDef or_op = logic<LogicOp::kOr>("Or");
constexpr OpDef xor_op = logic<LogicOp::kXor>("Xor");

constexpr const OpDef* kOps[] = {&add_op, &sub_op, &mul_op, &div_op, &pow_op, &mod_op, &equal_op, &less_op, &less_or_equal_op,
                                     &greater_op, &greater_or_equal_op, &and_op, &or_op, &xor_op};

}  // namespace

extern const OpFamily elementwise_binary_ops;
constinit const OpFamily elementwise_binary_ops = kOps;

}  // namespace tandem
