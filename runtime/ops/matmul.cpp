// MatMul (ONNX 1 to 13; NumPy's rules; floats and integers), and two internal forms of it: tandem.MatMul, which can read an operand
// transposed, so that gradients need no Transpose; and tandem.FusedMatMul, with a bias of one value a column, a residual of
// the shape of the result and an activation.
#include "kernels/api/gemm.h"
#include "kernels/api/integer_matmul.h"
#include "kernels/api/packed_workspace.h"

#include "runtime/ops/activation.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/matmul_dims.h"
#include "runtime/ops/packed_matrix.h"
#include "runtime/ops/product_precision.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kTransposeAttributes[] = {"transA", "transB"};
constexpr std::string_view kFusedAttributes[] = {"transA",     "transB",           "alpha",
                                                 "activation", "activation_alpha", "activation_beta", "precision"};
constexpr Alias kResidualInPlace[] = {{.input = 3, .output = 0}};

void infer(InferenceContext& node) {
  if (!node.node().def->domain.empty() || !is_integer(node.dtype(0))) require_float(node, 0);
  node.require_same_dtype(0, 1);
  activation_of(node);
  rounds_operands(node);
  auto y = matmul_dims(node, 0, 1, node.get_int("transA", 0) != 0, node.get_int("transB", 0) != 0);
  if (!y) return node.set_output(0, node.dtype(0), std::nullopt);
  if (node.has_input(2)) {
    node.require_same_dtype(0, 2);
    const Dim columns = node.rank(1) > 1 ? y->back() : Dim(1);
    node.require(!node.has_rank(2) || (node.rank(2) == 1 && !differ(node.dims(2)[0], columns)),
                 "bias must have one value a column (bias, columns)", to_string(node.dims(2)), to_string(Dims{columns}));
  }
  if (node.has_input(3)) {
    node.require_same_dtype(0, 3);
    if (node.has_rank(3)) require_shape(node, 3, *y);
  }
  node.set_output(0, node.dtype(0), std::move(y));
}

// [..., columns] seen as [rows, columns]: a view.
ValueId flattened(GradientContext& node, ValueId x) {
  const Dim& columns = node.type(x).dims->back();
  return node.emit("Reshape", {x, node.ints({-1, columns.size})});
}

ValueId unsqueezed(GradientContext& node, ValueId x, int64_t axis) { return node.emit("Unsqueeze", {x, node.ints({axis})}); }

// left * right, each transposed or not.
ValueId product(GradientContext& node, ValueId left, ValueId right, bool transpose_left, bool transpose_right) {
  return node.emit_internal("MatMul", {left, right},
                            {{"transA", static_cast<int64_t>(transpose_left)}, {"transB", static_cast<int64_t>(transpose_right)}});
}

void gradient(GradientContext& node) {
  ValueId a = node.input(0), b = node.input(1), dy = node.output_grad();
  const bool ta = node.get_int("transA", 0) != 0, tb = node.get_int("transB", 0) != 0;
  const size_t rank_a = node.type(a).dims ? node.type(a).dims->size() : 0,
               rank_b = node.type(b).dims ? node.type(b).dims->size() : 0;
  node.require(rank_a > 0 && rank_b > 0, "the gradient needs inputs of known rank");
  if (rank_b == 1) {
    b = unsqueezed(node, b, 1);
    dy = unsqueezed(node, dy, -1);
  }
  if (rank_a == 1) {
    a = unsqueezed(node, a, 0);
    dy = unsqueezed(node, dy, -2);
  }
  if (node.wants(0)) {
    const ValueId da = ta ? product(node, b, dy, tb, true) : product(node, dy, b, false, !tb);
    node.set_input_grad(0, node.reduce_to(da, node.input(0)));
  }
  if (!node.wants(1)) return;
  // A matrix of weights shared by all leading axes: one product over all rows at once, instead of a batch of them to be summed.
  if (rank_b == 2 && rank_a > 2 && !ta && node.type(a).dims->back().known() && node.type(dy).dims->back().known()) {
    a = flattened(node, a);
    dy = flattened(node, dy);
  }
  ValueId db = tb ? product(node, dy, a, true, ta) : product(node, a, dy, !ta, false);
  if (rank_b == 1) db = node.emit("Squeeze", {db, node.ints({-1})});
  node.set_input_grad(1, node.reduce_to(db, node.input(1)));
}

MatmulOptions options_of(const BindContext& node) {
  return {.transpose_a = node.get_int("transA", 0) != 0,
          .transpose_b = node.get_int("transB", 0) != 0,
          .rounded = rounds_operands(node),
          .alpha = node.get_float("alpha", 1),
          .activation = activation_of(node)};
}

MatmulOptions with_operands(MatmulOptions options, Inputs in) {
  if (in.size() > 2) options.bias = in[2];
  if (in.size() > 3) options.addend = in[3];
  return options;
}

// A matrix of weights for all products; none if it is packed in every run.
cpu::PackedMatrix packed_b(const BindContext& node) {
  const bool fits = node.is_constant(1) && node.rank(1) == 2 && !is_integer(node.dtype(0)) && node.get_int("transA", 0) == 0 && !rounds_operands(node);
  return fits ? packed_matrix(node, 1, node.get_int("transB", 0) != 0) : cpu::PackedMatrix();
}
uint32_t pack(const BindContext& node) { return packed_b(node) ? input_set(1) : 0; }

BoundKernel bind(const BindContext& node) {
  if (is_integer(node.dtype(0)))
    return {.run = [](const KernelContext& context, Inputs in,
                      Outputs out) { cpu::integer_matmul(context, in[0], in[1], false, false, out[0]); }};
  const MatmulOptions options = options_of(node);
  BoundKernel bound;
  if (const cpu::PackedMatrix packed = packed_b(node)) {
    bound.workspace =
        cpu::matmul_workspace_with_packed_b(node.dtype(0), node.shape(0), node.shape(1), options.transpose_b, node.threads());
    bound.run = [=](const KernelContext& context, Inputs in, Outputs out) {
      cpu::matmul(context, in[0], packed, out[0], with_operands(options, in));
    };
  } else {
    bound.workspace = cpu::matmul_workspace_bytes(node.dtype(0), node.shape(0), node.shape(1), options.transpose_a, options.transpose_b,
                                                  node.threads(), cpu::chosen_isa(), options.rounded);
    bound.run = [=](const KernelContext& context, Inputs in, Outputs out) {
      cpu::matmul(context, in[0], in[1], out[0], with_operands(options, in));
    };
  }
  return bound;
}

BoundKernel bind_cuda(const BindContext& node) {
  const MatmulOptions options = options_of(node);
  return {.run = [=](const KernelContext& context, Inputs in,
                     Outputs out) { cuda::matmul(context, in[0], in[1], out[0], with_operands(options, in)); },
          .workspace = cuda::matmul_workspace_bytes(node.dtype(0), node.shape(0), node.shape(1), options.transpose_a,
                                                    options.transpose_b)};
}

double flops(const BindContext& node) {
  const Shape& a = node.shape(0);
  const bool transposed = node.get_int("transA", 0) != 0;
  return 2.0 * static_cast<double>(node.output_shape(0).elements()) * static_cast<double>(a[a.rank() - (transposed ? 2 : 1)]);
}

constexpr OpDef matmul_op = {
    .name = "MatMul",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind,
    .cuda = on_cuda(bind_cuda),
    .pack = pack,
    .flops = flops,
};

constexpr OpDef internal_matmul_op = {
    .name = "MatMul",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 2,
    .attributes = kTransposeAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind,
    .cuda = on_cuda(bind_cuda),
    .pack = pack,
    .flops = flops,
};

constexpr OpDef fused_matmul_op = {
    .name = "FusedMatMul",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 4,
    .attributes = kFusedAttributes,
    .infer = infer,
    .cpu = bind,
    .cuda = on_cuda(bind_cuda),
    .pack = pack,
    .aliases = kResidualInPlace,
    .flops = flops,
};

constexpr const OpDef* kOps[] = {&matmul_op, &internal_matmul_op, &fused_matmul_op};

}  // namespace

extern const OpFamily matmul_ops;
constinit const OpFamily matmul_ops = kOps;

}  // namespace tandem
