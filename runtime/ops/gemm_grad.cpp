// tandem.GemmGrad(A, B, saved) -> (Y, sums): a product of the backward step of a dense layer, with what would else be passes over
// its result or its operand. Made by the pass gradient_fusion.
//
//   Y = slope(saved) * (alpha * op(A) * op(B))        A is [..., K], or a matrix with transA; B is a matrix
//   sums = op(A) summed over K [M], or op(B) [N]      a bias's gradient; A is a matrix then
//
// slope: the activation whose gradient this is, Relu, Sigmoid, Tanh (saved: its output), Gelu, GeluTanh (saved: its input), or
// "". sums: "A", "B" or "". precision: runtime/ops/product_precision.h.
#include "kernels/api/gemm.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/product_precision.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"alpha", "transA", "transB", "slope", "sums", "precision"};

struct Form {
  bool transpose_a, transpose_b, rounded;
  float alpha;
  std::optional<UnaryGradOp> slope;
  std::optional<Operand> summed;
};

std::optional<UnaryGradOp> slope_of(const NodeContext& node) {
  constexpr std::pair<std::string_view, UnaryGradOp> kNames[] = {{"Relu", UnaryGradOp::kRelu},
                                                                 {"Sigmoid", UnaryGradOp::kSigmoid},
                                                                 {"Tanh", UnaryGradOp::kTanh},
                                                                 {"Gelu", UnaryGradOp::kGelu},
                                                                 {"GeluTanh", UnaryGradOp::kGeluTanh}};
  const std::string wanted = node.get_string("slope", "");
  for (const auto& [name, slope] : kNames)
    if (name == wanted) return slope;
  node.require(wanted.empty(), "slope must be Relu, Sigmoid, Tanh, Gelu or GeluTanh", wanted);
  return std::nullopt;
}

Form form_of(const NodeContext& node) {
  const std::string sums = node.get_string("sums", "");
  node.require(sums.empty() || sums == "A" || sums == "B", "sums must be A or B", sums);
  Form form{node.get_int("transA", 0) != 0, node.get_int("transB", 0) != 0, rounds_operands(node), node.get_float("alpha", 1), slope_of(node), {}};
  if (!sums.empty()) form.summed = sums == "A" ? Operand::kA : Operand::kB;
  return form;
}

void infer(InferenceContext& node) {
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  const Form form = form_of(node);
  node.require(form.slope.has_value() == node.has_input(2), "a slope needs what was saved, and the other way round");
  node.require(form.summed.has_value() == node.has_output(1), "sums need an output, and the other way round");
  if (node.has_input(2)) node.require_same_dtype(0, 2);
  node.require(node.has_rank(0) && node.has_rank(1), "A and B must be of known rank");
  const Dims &a = node.dims(0), &b = node.dims(1);
  const bool matrix = a.size() == 2;
  node.require(b.size() == 2 && a.size() >= 2 && (matrix || (!form.transpose_a && !form.summed)),
               "B must be a matrix, and A unless it is neither transposed nor summed", to_string(a), to_string(b));
  const Dim& columns = b[form.transpose_b ? 0 : 1];
  node.require(!differ(form.transpose_a ? a[0] : a.back(), b[form.transpose_b ? 1 : 0]), "A and B do not multiply", to_string(a),
               to_string(b), form.transpose_a, form.transpose_b);
  Dims y = form.transpose_a ? Dims{a[1]} : Dims(a.begin(), a.end() - 1);
  if (form.summed) node.set_output(1, node.dtype(0), Dims{form.summed == Operand::kA ? y[0] : columns});
  y.push_back(columns);
  for (size_t i = 0; node.has_input(2) && node.has_rank(2) && i < y.size(); ++i)
    node.require(node.dims(2).size() == y.size() && !differ(node.dims(2)[i], y[i]), "saved must have the shape of Y",
                 to_string(node.dims(2)), to_string(y));
  node.set_output(0, node.dtype(0), std::move(y));
}

GemmShape shape_of(const Form& form, const Shape& a, const Shape& b) {
  const int64_t rows = a.product(0, a.rank() - 1), last = a[a.rank() - 1];
  return {form.transpose_a ? last : rows, b[form.transpose_b ? 0 : 1], form.transpose_a ? rows : last, form.transpose_a,
          form.transpose_b, form.rounded};
}

// Twins take the same arguments.
template <template <class...> class Args, class T>
BoundKernel bind_as(const Form& form, size_t workspace, auto multiply) {
  const auto run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const GemmShape shape = shape_of(form, in[0].shape, in[1].shape);
    require(in[1].shape[form.transpose_b ? 1 : 0] == shape.k, "[GemmGrad] A and B do not multiply", to_string(in[0].shape),
            to_string(in[1].shape));
    Args<T> args;
    args.a = in[0].as<T>().data();
    args.lda = in[0].shape[in[0].shape.rank() - 1];
    args.b = in[1].as<T>().data();
    args.ldb = in[1].shape[1];
    args.c = out[0].as<T>().data();
    args.ldc = shape.n;
    args.alpha = form.alpha;
    if (form.slope) args.backward.saved = in[2].as<T>().data(), args.backward.slope = *form.slope;
    if (form.summed) args.backward.sums = out[1].as<T>().data(), args.backward.summed = *form.summed;
    multiply(context, shape, args);
  };
  return {.run = run, .workspace = workspace};
}

BoundKernel bind(const BindContext& node) {
  const Form form = form_of(node);
  const GemmShape largest = shape_of(form, node.shape(0), node.shape(1));
  return visit_float(node.dtype(0), [&]<class T>() {
    return bind_as<cpu::GemmArgs, T>(form, cpu::gemm_workspace_bytes<T>(largest, node.threads()),
                                     [](const auto&... arguments) { cpu::gemm<T>(arguments...); });
  });
}

template <class T>
BoundKernel bind_cuda_as(const BindContext& node) {
  const Form form = form_of(node);
  const GemmShape largest = shape_of(form, node.shape(0), node.shape(1));
  return bind_as<cuda::GemmArgs, T>(form, cuda::gemm_workspace_bytes<T>(largest, true),
                                    [](const auto&... arguments) { cuda::gemm<T>(arguments...); });
}

BoundKernel bind_cuda(const BindContext& node) {
  switch (node.dtype(0)) {
    case DType::kF16: return bind_cuda_as<F16>(node);
    case DType::kBF16: return bind_cuda_as<BF16>(node);
    default: return visit_float(node.dtype(0), [&]<class T>() { return bind_cuda_as<T>(node); });
  }
}

double flops(const BindContext& node) {
  const GemmShape shape = shape_of(form_of(node), node.shape(0), node.shape(1));
  return 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n) * static_cast<double>(shape.k);
}

constexpr OpDef gemm_grad_op = {
    .name = "GemmGrad",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 3,
    .max_outputs = 2,
    .attributes = kAttributes,
    .infer = infer,
    .cpu = bind,
    .cuda = on_cuda(bind_cuda),
    .flops = flops,
};

constexpr const OpDef* kOps[] = {&gemm_grad_op};

}  // namespace

extern const OpFamily gemm_grad_ops;
constinit const OpFamily gemm_grad_ops = kOps;

}  // namespace tandem
