// Gemm (ONNX 7 to 13, and 1 but for an attribute that the importer takes out; floats and integers) and tandem.FusedGemm, which applies an
// activation as well.
//
//   Y = activation(alpha * op(A) * op(B) + beta * C + residual)      C broadcasts to [M, N]
//
// The residual, input 3 of FusedGemm, has the shape of Y; beside it C is one value a column, beta = 1. Y may take over its memory.
// A constant B is packed when the plan is made.
#include "kernels/api/gemm.h"
#include "kernels/api/integer_matmul.h"
#include "kernels/api/packed_workspace.h"

#include "runtime/ops/activation.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/packed_matrix.h"
#include "runtime/ops/product_precision.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"alpha", "beta", "transA", "transB"};
constexpr std::string_view kFusedAttributes[] = {"alpha",      "beta",             "transA",         "transB",
                                                 "activation", "activation_alpha", "activation_beta", "precision"};
constexpr Alias kResidualInPlace[] = {{.input = 3, .output = 0}};

bool is_wide_integer(DType t) { return t == DType::kI32 || t == DType::kI64 || t == DType::kU32 || t == DType::kU64; }

void check_residual(const InferenceContext& node, const Dims& product) {
  node.require_same_dtype(0, 3);
  node.require(!node.has_input(2) || (node.get_float("beta", 1) == 1 && (!node.has_rank(2) || node.rank(2) == 1)),
               "beside a residual C must be one value a column, and beta 1");
  if (node.has_rank(3)) require_shape(node, 3, product);
}

void infer(InferenceContext& node) {
  if (!node.node().def->domain.empty() || !is_wide_integer(node.dtype(0))) require_float(node, 0);
  node.require_same_dtype(0, 1);
  if (node.has_input(2)) node.require_same_dtype(0, 2);
  activation_of(node);
  rounds_operands(node);
  Dim rows, columns;
  if (node.has_rank(0) && node.has_rank(1)) {
    const Dims &a = node.dims(0), &b = node.dims(1);
    node.require(a.size() == 2 && b.size() == 2, "A and B must be matrices", to_string(a), to_string(b));
    const size_t ta = node.get_int("transA", 0) != 0, tb = node.get_int("transB", 0) != 0;
    node.require(!differ(a[1 - ta], b[tb]), "A and B do not multiply (A, B, transA, transB)", to_string(a), to_string(b), ta, tb);
    rows = a[ta];
    columns = b[1 - tb];
  }
  if (node.has_input(2) && node.has_rank(2)) {
    const Dims& c = node.dims(2);
    const Dims product = {rows, columns};
    node.require(c.size() <= 2, "C must have at most 2 axes", to_string(c));
    for (size_t i = 0; i < c.size(); ++i)
      node.require(c[i].size == 1 || !differ(c[i], product[2 - c.size() + i]), "C does not broadcast to the product (C, product)",
                   to_string(c), to_string(product));
  }
  if (node.has_input(3)) check_residual(node, {rows, columns});
  node.set_output(0, node.dtype(0), Dims{rows, columns});
}

void gradient(GradientContext& node) {
  const int64_t ta = node.get_int("transA", 0) != 0, tb = node.get_int("transB", 0) != 0;
  const float alpha = node.get_float("alpha", 1), beta = node.get_float("beta", 1);
  const ValueId a = node.input(0), b = node.input(1), dy = node.output_grad();
  const auto product = [&](ValueId left, ValueId right, int64_t trans_left, int64_t trans_right) {
    return node.emit("Gemm", {left, right}, {{"alpha", alpha}, {"transA", trans_left}, {"transB", trans_right}});
  };
  if (node.wants(0)) node.set_input_grad(0, ta ? product(b, dy, tb, 1) : product(dy, b, 0, 1 - tb));
  if (node.wants(1)) node.set_input_grad(1, tb ? product(dy, a, 1, ta) : product(a, dy, 1 - ta, 0));
  if (node.wants(2)) {
    const ValueId dc = node.reduce_to(dy, node.input(2));
    node.set_input_grad(2, beta == 1 ? dc : node.emit("Mul", {dc, node.scalar(beta, node.type(dy).dtype)}));
  }
}

// How C reaches the kernel: as a matrix, as one row for all, or expanded to one value a row in the workspace.
template <class T>
void set_addend(cpu::GemmArgs<T>& args, const GemmShape& shape, ConstTensorView c, T beta, T* row_bias) {
  const T* data = c.as<T>().data();
  const int rank = c.shape.rank();
  const int64_t rows = rank == 2 ? c.shape[0] : 1, columns = rank >= 1 ? c.shape[rank - 1] : 1;
  if (columns == shape.n && (rows == shape.m || rows == 1)) {
    if (rows == 1 && beta == 1) {
      args.bias = data;
    } else {
      args.addend = data;
      args.ld_addend = rows == 1 ? 0 : shape.n;
      args.beta = beta;
    }
    return;
  }
  for (int64_t i = 0; i < shape.m; ++i) row_bias[i] = beta * data[rows == 1 ? 0 : i];
  args.bias = row_bias;
  args.bias_axis = BiasAxis::kRow;
}

// Beside it C is a bias.
template <class Args>
void set_residual(Args& args, const GemmShape& shape, ConstTensorView residual) {
  ensure(!args.addend, "C and the residual of a product are both matrices");
  args.addend = residual.as<std::remove_cvref_t<decltype(*args.addend)>>().data();
  args.ld_addend = shape.n;
  args.beta = 1;
}

cpu::PackedMatrix packed_b(const BindContext& node) {
  if (!node.is_constant(1) || is_wide_integer(node.dtype(0)) || rounds_operands(node)) return {};
  return packed_matrix(node, 1, node.get_int("transB", 0) != 0);
}
uint32_t pack(const BindContext& node) { return packed_b(node) ? input_set(1) : 0; }

template <class T>
BoundKernel bind_as(const BindContext& node) {
  const bool ta = node.get_int("transA", 0) != 0, tb = node.get_int("transB", 0) != 0;
  const Shape a = node.shape(0), y = node.output_shape(0);
  const bool rounded = rounds_operands(node);
  const GemmShape largest{y[0], y[1], a[ta ? 0 : 1], ta, tb, rounded};
  const size_t bias_bytes = static_cast<size_t>(round_up(y[0] * static_cast<int64_t>(sizeof(T)), 64));
  const cpu::PackedMatrix packed = packed_b(node);
  const T alpha = static_cast<T>(node.get_float("alpha", 1)), beta = static_cast<T>(node.get_float("beta", 1));
  const Activation activation = activation_of(node);
  BoundKernel bound;
  bound.workspace = bias_bytes + (packed ? cpu::gemm_workspace_with_packed_b<T>(largest, node.threads())
                                         : cpu::gemm_workspace_bytes<T>(largest, node.threads()));
  bound.run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const GemmShape shape{out[0].shape[0], out[0].shape[1], in[0].shape[ta ? 0 : 1], ta, tb, rounded};
    require(in[1].shape[tb ? 1 : 0] == shape.k, "[Gemm] A and B do not multiply", to_string(in[0].shape), to_string(in[1].shape));
    cpu::GemmArgs<T> args;
    args.a = in[0].as<T>().data();
    args.lda = in[0].shape[1];
    args.b = in[1].as<T>().data();
    args.ldb = in[1].shape[1];
    args.packed_b = packed ? &packed : nullptr;
    args.c = out[0].as<T>().data();
    args.ldc = shape.n;
    args.alpha = alpha;
    args.activation = activation;
    if (in.size() > 2 && in[2]) set_addend(args, shape, in[2], beta, reinterpret_cast<T*>(context.workspace.data()));
    if (in.size() > 3) set_residual(args, shape, in[3]);
    KernelContext inner = context;
    inner.workspace = context.workspace.subspan(bias_bytes);
    cpu::gemm(inner, shape, args);
  };
  return bound;
}

BoundKernel bind_integers(const BindContext& node) {
  const bool ta = node.get_int("transA", 0) != 0, tb = node.get_int("transB", 0) != 0;
  const double alpha = static_cast<double>(node.get_float("alpha", 1)), beta = static_cast<double>(node.get_float("beta", 1));
  return {.run = [=](const KernelContext& context, Inputs in, Outputs out) {
    cpu::integer_matmul(context, in[0], in[1], ta, tb, out[0]);
    const ConstTensorView c = in.size() > 2 ? in[2] : ConstTensorView{};
    if (c || alpha != 1) cpu::integer_addend(context, alpha, beta, c, out[0]);
  }};
}

BoundKernel bind(const BindContext& node) {
  if (is_wide_integer(node.dtype(0))) return bind_integers(node);
  return visit_float(node.dtype(0), [&]<class T>() { return bind_as<T>(node); });
}

// The CUDA kernel takes a C of any form, so nothing is expanded; weights are read as they are.
template <class T>
void set_addend(cuda::GemmArgs<T>& args, const GemmShape& shape, ConstTensorView c, float beta) {
  const T* data = c.as<T>().data();
  const int rank = c.shape.rank();
  const int64_t rows = rank == 2 ? c.shape[0] : 1, columns = rank >= 1 ? c.shape[rank - 1] : 1;
  if (beta == 1 && rows == 1 && columns == shape.n) {
    args.bias = data;
    return;
  }
  args.addend = data;
  args.ld_addend = rows == 1 ? 0 : columns;
  args.addend_step = columns == 1 ? 0 : 1;
  args.beta = beta;
}

template <class T>
BoundKernel bind_cuda_as(const BindContext& node) {
  const bool ta = node.get_int("transA", 0) != 0, tb = node.get_int("transB", 0) != 0;
  const float alpha = node.get_float("alpha", 1), beta = node.get_float("beta", 1);
  const Activation activation = activation_of(node);
  const auto shape_of = [=](const Shape& a, const Shape& y) { return GemmShape{y[0], y[1], a[ta ? 0 : 1], ta, tb}; };
  const auto run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const GemmShape shape = shape_of(in[0].shape, out[0].shape);
    require(in[1].shape[tb ? 1 : 0] == shape.k, "[Gemm] A and B do not multiply", to_string(in[0].shape), to_string(in[1].shape));
    cuda::GemmArgs<T> args;
    args.a = in[0].as<T>().data();
    args.lda = in[0].shape[1];
    args.b = in[1].as<T>().data();
    args.ldb = in[1].shape[1];
    args.c = out[0].as<T>().data();
    args.ldc = shape.n;
    args.alpha = alpha;
    args.activation = activation;
    if (in.size() > 2 && in[2]) set_addend(args, shape, in[2], beta);
    if (in.size() > 3) set_residual(args, shape, in[3]);
    cuda::gemm(context, shape, args);
  };
  return {.run = run, .workspace = cuda::gemm_workspace_bytes<T>(shape_of(node.shape(0), node.output_shape(0)))};
}

BoundKernel bind_cuda(const BindContext& node) {
  switch (node.dtype(0)) {
    case DType::kF16: return bind_cuda_as<F16>(node);
    case DType::kBF16: return bind_cuda_as<BF16>(node);
    default: return visit_float(node.dtype(0), [&]<class T>() { return bind_cuda_as<T>(node); });
  }
}

double flops(const BindContext& node) {
  const Shape& y = node.output_shape(0);
  return 2.0 * static_cast<double>(y.elements()) * static_cast<double>(node.shape(0)[node.get_int("transA", 0) != 0 ? 0 : 1]);
}

constexpr OpDef gemm_op = {
    .name = "Gemm",
    .min_inputs = 2,
    .max_inputs = 3,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind,
    .cuda = on_cuda(bind_cuda),
    .pack = pack,
    .flops = flops,
};

constexpr OpDef fused_gemm_op = {
    .name = "FusedGemm",
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

constexpr const OpDef* kOps[] = {&gemm_op, &fused_gemm_op};

}  // namespace

extern const OpFamily gemm_ops;
constinit const OpFamily gemm_ops = kOps;

}  // namespace tandem
