// FusedMatMul, the GELUs, and biases that were fused with what follows.
#include <algorithm>
#include <numeric>

#include "runtime/onnx/contrib.h"

namespace tandem {
namespace {

constexpr std::string_view kMatMulAttributes[] = {"alpha", "transA", "transB", "transBatchA", "transBatchB"};
constexpr std::string_view kAlpha[] = {"alpha"};
constexpr float kQuickGeluAlpha = 1.702f;

// The operand with its matrix axes, or its first axis and those between, exchanged.
ValueId operand(ContribContext& node, int i, bool matrix, bool batch) {
  const ValueId x = node.input(i);
  if (!matrix && !batch) return x;
  const int rank = node.rank(x);
  node.require(rank >= 2, "a vector cannot be transposed (input)", i);
  std::vector<int64_t> perm(static_cast<size_t>(rank));
  std::iota(perm.begin(), perm.end(), int64_t{0});
  if (batch) std::rotate(perm.begin(), perm.begin() + 1, perm.end() - 1);
  if (matrix) std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return node.transpose(x, perm);
}

void fused_matmul(ContribContext& node) {
  const auto flag = [&](std::string_view name) { return node.get_int(name, 0) != 0; };
  const ValueId a = operand(node, 0, flag("transA"), flag("transBatchA")),
                b = operand(node, 1, flag("transB"), flag("transBatchB"));
  ValueId y = node.emit("MatMul", {a, b});
  if (const float alpha = node.get_float("alpha", 1); alpha != 1)
    y = node.emit("Mul", {y, node.scalar(static_cast<double>(alpha), node.dtype(y))});
  node.set_output(0, y);
}

void gelu(ContribContext& node) { node.set_output(0, node.emit("Gelu", {node.sum({node.input(0), node.input(1)})})); }

void fast_gelu(ContribContext& node) {
  node.set_output(0, node.emit("Gelu", {node.sum({node.input(0), node.input(1)})}, {{"approximate", std::string("tanh")}}));
}

void quick_gelu(ContribContext& node) {
  const ValueId x = node.input(0);
  const double alpha = static_cast<double>(node.get_float("alpha", kQuickGeluAlpha));
  node.set_output(0, node.emit("Mul", {x, node.emit("Sigmoid", {node.emit("Mul", {x, node.scalar(alpha, node.dtype(x))})})}));
}

void bias_add(ContribContext& node) { node.set_output(0, node.sum({node.input(0), node.input(1), node.input(2)})); }

void bias_split_gelu(ContribContext& node) {
  const ValueId x = node.sum({node.input(0), node.input(1)});
  const int64_t columns = node.size(x, -1);
  node.require(columns >= 0 && columns % 2 == 0, "the last axis must be known and even", columns);
  const auto halves = node.split(x, -1, {columns / 2, columns / 2});
  node.set_output(0, node.emit("Mul", {halves[0], node.emit("Gelu", {halves[1]})}));
}

constexpr ContribOp kOps[] = {
    contrib_op("FusedMatMul", 2, 2, 1, kMatMulAttributes, fused_matmul),
    contrib_op("TransposeMatMul", 2, 2, 1, kMatMulAttributes, fused_matmul),  // its older name
    contrib_op("Gelu", 1, 1, 1, {}, gelu),
    contrib_op("BiasGelu", 2, 2, 1, {}, gelu),
    contrib_op("FastGelu", 1, 2, 1, {}, fast_gelu),
    contrib_op("QuickGelu", 1, 1, 1, kAlpha, quick_gelu),
    contrib_op("BiasAdd", 3, 3, 1, {}, bias_add),
    contrib_op("BiasSplitGelu", 2, 2, 1, {}, bias_split_gelu),
};

}  // namespace

constinit const ContribFamily contrib_activation_ops = kOps;

}  // namespace tandem
