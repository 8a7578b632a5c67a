// Det (ONNX 11), the determinants of square matrices, and Inverse (onnxruntime's: domain com.microsoft), which its gradient
// needs.
#include "kernels/api/determinant.h"

#include <numeric>

#include "kernels/api/inverse.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

void require_square_matrices(const InferenceContext& node) {
  require_float(node, 0);
  if (!node.has_rank(0)) return;
  const Dims& dims = node.dims(0);
  node.require(dims.size() >= 2 && !differ(dims[dims.size() - 2], dims.back()), "input must be square matrices; its shape",
               to_string(dims));
}

void infer_determinant(InferenceContext& node) {
  require_square_matrices(node);
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  Dims dims = node.dims(0);
  dims.resize(dims.size() - 2);
  node.set_output(0, node.dtype(0), std::move(dims));
}

void infer_inverse(InferenceContext& node) {
  require_square_matrices(node);
  node.set_output_like(0, 0);
}

std::vector<int64_t> last_axes_exchanged(const GradientContext& node) {
  const auto& dims = node.type(node.input(0)).dims;
  node.require(dims.has_value(), "the gradient needs a known rank");
  std::vector<int64_t> perm(dims->size());
  std::iota(perm.begin(), perm.end(), int64_t{0});
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return perm;
}

// det(x) x^-T dy; a singular matrix has none here.
void determinant_gradient(GradientContext& node) {
  const ValueId inverse = node.emit("Inverse", {node.input(0)}, {}, "com.microsoft");
  const ValueId cofactors = node.emit("Transpose", {inverse}, {{"perm", last_axes_exchanged(node)}});
  const ValueId scale = node.emit("Mul", {node.output(0), node.output_grad()});
  node.set_input_grad(0, node.emit("Mul", {cofactors, node.emit("Unsqueeze", {scale, node.ints({-2, -1})})}));
}

// -y^T dy y^T
void inverse_gradient(GradientContext& node) {
  const ValueId y = node.emit("Transpose", {node.output(0)}, {{"perm", last_axes_exchanged(node)}});
  const ValueId product = node.emit("MatMul", {node.emit("MatMul", {y, node.output_grad()}), y});
  node.set_input_grad(0, node.emit("Neg", {product}));
}

BoundKernel bind_determinant(const BindContext& node) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { cpu::determinant(context, in[0], out[0]); },
          .workspace = cpu::determinant_workspace(node.shape(0)[node.rank(0) - 1], node.threads())};
}

BoundKernel bind_inverse(const BindContext& node) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { cpu::inverse(context, in[0], out[0]); },
          .workspace = cpu::inverse_workspace(node.shape(0)[node.rank(0) - 1], node.threads())};
}

constexpr Alias kInPlace[] = {{0, 0}};

constexpr OpDef det_op = {
    .name = "Det", .since = 11, .infer = infer_determinant, .gradient = determinant_gradient, .cpu = bind_determinant};
constexpr OpDef inverse_op = {.name = "Inverse",
                              .domain = "com.microsoft",
                              .infer = infer_inverse,
                              .gradient = inverse_gradient,
                              .cpu = bind_inverse,
                              .aliases = kInPlace};

constexpr const OpDef* kOps[] = {&det_op, &inverse_op};

}  // namespace

extern const OpFamily determinant_ops;
constinit const OpFamily determinant_ops = kOps;

}  // namespace tandem
