// tandem.Bf16MatMul(x, w, bias?, residual?): products of bf16, which the pass bf16_storage puts into plans for the CPU.
//
//   y = activation(x w + bias + residual)      x [..., k] bf16; w f32 [k, n] (transB: [n, k]), a constant that is rounded to bf16
//   when it is
//                                              packed; bias f32 [n]; residual f32 or bf16 in the shape of y; y f32 or bf16, by
//                                              `to`
#include "kernels/api/bf16_gemm.h"

#include "runtime/graph/kept_panels.h"
#include "runtime/ops/activation.h"
#include "runtime/ops/bf16_type.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"activation", "activation_alpha", "activation_beta", "to", "transB"};
constexpr Alias kResidualInPlace[] = {{.input = 3, .output = 0}};

void infer(InferenceContext& node) {
  node.require_dtype(0, DType::kBF16);
  for (const int i : {1, 2})
    if (node.has_input(i)) node.require_dtype(i, DType::kF32);
  require_short(node, 3);
  activation_of(node);
  const bool transposed = node.get_int("transB", 0) != 0;
  if (!node.has_rank(0) || !node.has_rank(1)) return node.set_output(0, stored_type(node), std::nullopt);
  Dims y = node.dims(0);
  node.require(!y.empty() && node.rank(1) == 2, "x needs an axis, w two (x, w)", to_string(y), to_string(node.dims(1)));
  const Dims& w = node.dims(1);
  node.require(!differ(y.back(), w[transposed ? 1 : 0]), "inputs do not multiply", to_string(y), to_string(w));
  y.back() = w[transposed ? 0 : 1];
  if (node.has_input(2) && node.has_rank(2)) require_shape(node, 2, {y.back()});
  if (node.has_input(3) && node.has_rank(3)) require_shape(node, 3, y);
  node.set_output(0, stored_type(node), std::move(y));
}

cpu::PackedBf16 packed_weights(const BindContext& node) {
  node.require(node.is_constant(1), "the weights must be a constant");
  const bool transposed = node.get_int("transB", 0) != 0;
  return kept_or_packed<cpu::PackedBf16>(node, 1, transposed ? "bf16 matrix^T" : "bf16 matrix",
                                         [&](ConstTensorView weights) { return cpu::pack_bf16(weights, transposed); });
}
uint32_t pack(const BindContext& node) {
  packed_weights(node);
  return input_set(1);
}

BoundKernel bind(const BindContext& node) {
  const cpu::PackedBf16 weights = packed_weights(node);
  const Activation activation = activation_of(node);
  const Shape& x = node.shape(0);
  const auto run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const cpu::Bf16Epilogue epilogue = {.bias = in.size() > 2 ? in[2] : ConstTensorView{},
                                        .residual = in.size() > 3 ? in[3] : ConstTensorView{},
                                        .activation = activation};
    cpu::bf16_gemm(context, in[0], weights, out[0], epilogue);
  };
  return {.run = run, .workspace = cpu::bf16_gemm_workspace(x.product(0, x.rank() - 1), weights.k(), weights.n())};
}

double flops(const BindContext& node) {
  const Shape& x = node.shape(0);
  return 2.0 * static_cast<double>(node.output_shape(0).elements()) * static_cast<double>(x[x.rank() - 1]);
}

constexpr OpDef matmul_op = {.name = "Bf16MatMul",
                             .domain = "tandem",
                             .min_inputs = 2,
                             .max_inputs = 4,
                             .attributes = kAttributes,
                             .infer = infer,
                             .cpu = bind,
                             .pack = pack,
                             .elements = Elements::kConverted,
                             .aliases = kResidualInPlace,
                             .flops = flops};

constexpr const OpDef* kOps[] = {&matmul_op};

}  // namespace

extern const OpFamily bf16_matmul_ops;
constinit const OpFamily bf16_matmul_ops = kOps;

}  // namespace tandem
