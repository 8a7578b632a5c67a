// LpNormalization (ONNX 1): x / |x| along an axis, 0 where the norm is 0; and MeanVarianceNormalization (9): (x - mean) /
// (deviation + 1e-9) over axes. Both are reductions followed by broadcast arithmetic.
#include <algorithm>
#include <cmath>

#include "kernels/api/elementwise.h"
#include "kernels/api/reduce.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/index_list.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kLpAttributes[] = {"axis", "p"}, kMvnAttributes[] = {"axes"};
constexpr double kLeastDeviation = 1e-9;

// A tensor of x's shape with the reduced axes as 1s, in `memory`.
TensorView kept_view(ConstTensorView x, AxisMask axes, std::byte* memory) {
  Shape shape;
  for (int i = 0; i < x.shape.rank(); ++i) shape.push_back(axes >> i & 1 ? 1 : x.shape[i]);
  return {memory, x.dtype, shape};
}
size_t kept_bytes(const BindContext& node, AxisMask axes) {
  const Shape& shape = node.shape(0);
  int64_t elements = 1;
  for (int i = 0; i < shape.rank(); ++i)
    if (!(axes >> i & 1)) elements *= shape[i];
  return static_cast<size_t>(elements) * size_of(node.dtype(0));
}

ReduceOp norm_of(const NodeContext& node) {
  const int64_t p = node.get_int("p", 2);
  node.require(p == 1 || p == 2, "p must be 1 or 2", p);
  return p == 1 ? ReduceOp::kL1 : ReduceOp::kL2;
}

void infer_lp(InferenceContext& node) {
  require_float(node, 0);
  norm_of(node);
  if (node.has_rank(0)) node.normalized_axis(node.get_int("axis", -1), node.rank(0));
  node.set_output_like(0, 0);
}

BoundKernel bind_lp(const BindContext& node) {
  const AxisMask axis = AxisMask{1} << node.normalized_axis(node.get_int("axis", -1), node.rank(0));
  return {.run =
              [axis, op = norm_of(node)](const KernelContext& context, Inputs in, Outputs out) {
                const TensorView norm = kept_view(in[0], axis, context.workspace.data());
                cpu::reduce(context, op, in[0], norm, axis);
                visit_float(norm.dtype, [&]<class T>() { std::ranges::replace(norm.as<T>(), T{0}, T{1}); });
                cpu::binary(context, BinaryOp::kDiv, in[0], norm, out[0]);
              },
          .workspace = kept_bytes(node, axis)};
}

// (dy - d|x|/dx * sum(dy * y)) / |x|, and d|x|/dx is y for p = 2, the sign of x for p = 1.
void lp_gradient(GradientContext& node) {
  const bool euclidean = norm_of(node) == ReduceOp::kL2;
  const ValueId x = node.input(0), y = node.output(0), dy = node.output_grad(), axis = node.ints({node.get_int("axis", -1)});
  const ValueId norm = node.emit(euclidean ? "ReduceL2" : "ReduceL1", {x, axis});
  const ValueId along = node.emit("ReduceSum", {node.emit("Mul", {dy, y}), axis});
  const ValueId slope = euclidean ? y : node.emit("Sign", {x});
  node.set_input_grad(0, node.emit("Div", {node.emit("Sub", {dy, node.emit("Mul", {slope, along})}), norm}));
}

AxisMask mvn_axes(const NodeContext& node, int rank) {
  const std::vector<int64_t> axes = node.has_attribute("axes") ? node.get_ints("axes") : std::vector<int64_t>{0, 2, 3};
  return axis_mask(node, axes, rank);
}

void infer_mvn(InferenceContext& node) {
  require_float(node, 0);
  if (node.has_rank(0)) mvn_axes(node, node.rank(0));
  node.set_output_like(0, 0);
}

BoundKernel bind_mvn(const BindContext& node) {
  const AxisMask axes = mvn_axes(node, node.rank(0));
  return {.run =
              [axes](const KernelContext& context, Inputs in, Outputs out) {
                const TensorView statistic = kept_view(in[0], axes, context.workspace.data()), y = out[0];
                cpu::reduce(context, ReduceOp::kMean, in[0], statistic, axes);
                cpu::binary(context, BinaryOp::kSub, in[0], statistic, y);
                cpu::reduce(context, ReduceOp::kL2, y, statistic, axes);
                visit_float(statistic.dtype, [&]<class T>() {
                  const double count = static_cast<double>(y.elements()) / static_cast<double>(statistic.elements());
                  for (T& norm : statistic.as<T>())
                    norm = static_cast<T>(static_cast<double>(norm) / std::sqrt(count) + kLeastDeviation);
                });
                cpu::binary(context, BinaryOp::kDiv, y, statistic, y);
              },
          .workspace = kept_bytes(node, axes)};
}

// With c = x - mean(x), s = sqrt(mean(c^2)), d = s + 1e-9: dy reaches c directly (1 / d) and through s, and x less its mean.
void mvn_gradient(GradientContext& node) {
  const ValueId x = node.input(0), dy = node.output_grad();
  const ValueId axes = node.ints(node.has_attribute("axes") ? node.get_ints("axes") : std::vector<int64_t>{0, 2, 3});
  const auto mean = [&](ValueId value) { return node.emit("ReduceMean", {value, axes}); };
  const auto product = [&](ValueId a, ValueId b) { return node.emit("Mul", {a, b}); };
  const ValueId centred = node.emit("Sub", {x, mean(x)}), deviation = node.emit("Sqrt", {mean(product(centred, centred))});
  const ValueId divisor = node.emit("Add", {deviation, node.scalar(kLeastDeviation, node.type(x).dtype)});
  const ValueId share = node.emit("Div", {mean(product(dy, centred)), product(product(divisor, divisor), deviation)});
  const ValueId grad = node.emit("Sub", {node.emit("Div", {dy, divisor}), product(centred, share)});
  node.set_input_grad(0, node.emit("Sub", {grad, mean(grad)}));
}

constexpr OpDef lp_normalization_op = {
    .name = "LpNormalization", .attributes = kLpAttributes, .infer = infer_lp, .gradient = lp_gradient, .cpu = bind_lp};
constexpr OpDef mean_variance_normalization_op = {.name = "MeanVarianceNormalization",
                                                  .since = 9,
                                                  .attributes = kMvnAttributes,
                                                  .infer = infer_mvn,
                                                  .gradient = mvn_gradient,
                                                  .cpu = bind_mvn};

constexpr const OpDef* kOps[] = {&lp_normalization_op, &mean_variance_normalization_op};

}  // namespace

extern const OpFamily axis_normalization_ops;
constinit const OpFamily axis_normalization_ops = kOps;

}  // namespace tandem
