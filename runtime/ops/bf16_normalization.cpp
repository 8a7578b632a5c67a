// tandem.Bf16LayerNormalization(x, scale, bias?) and tandem.Bf16RMSNormalization(x, scale): as LayerNormalization and
// RMSNormalization, of x in bf16 or f32, with scale and bias in f32 and y in f32 or bf16, by `to`. Statistics are f32. For plans
// of the CPU, by the pass bf16_storage.
#include "kernels/api/bf16_rows.h"

#include "runtime/ops/bf16_type.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"axis", "epsilon", "to"};

int axis_of(const NodeContext& node, int rank) { return node.normalized_axis(node.get_int("axis", -1), rank); }

void infer(InferenceContext& node) {
  require_short(node, 0);
  for (const int i : {1, 2})
    if (node.has_input(i)) node.require_dtype(i, DType::kF32);
  if (!node.has_rank(0)) return node.set_output(0, stored_type(node), std::nullopt);
  const Dims row(node.dims(0).begin() + axis_of(node, node.rank(0)), node.dims(0).end());
  for (const int i : {1, 2})
    if (node.has_input(i) && node.has_rank(i)) require_shape(node, i, row);
  node.set_output(0, stored_type(node), node.dims(0));
}

template <bool about_zero>
BoundKernel bind(const BindContext& node) {
  const int axis = axis_of(node, node.rank(0));
  const auto epsilon = static_cast<double>(node.get_float("epsilon", 1e-5f));
  const Shape& largest = node.shape(0);
  const auto run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const Shape& x = in[0].shape;
    const cpu::Bf16RowNorm views = {in[0], in[1], in.size() > 2 ? in[2] : ConstTensorView{}, out[0], about_zero};
    cpu::bf16_row_norm(context, views, x.product(0, axis), x.product(axis, x.rank()), epsilon);
  };
  return {.run = run, .workspace = cpu::bf16_row_norm_workspace(largest.product(axis, largest.rank()), node.threads())};
}

constexpr OpDef layer_norm_op = {.name = "Bf16LayerNormalization",
                                 .domain = "tandem",
                                 .min_inputs = 2,
                                 .max_inputs = 3,
                                 .attributes = kAttributes,
                                 .infer = infer,
                                 .cpu = bind<false>,
                                 .elements = Elements::kConverted};

constexpr OpDef rms_norm_op = {.name = "Bf16RMSNormalization",
                               .domain = "tandem",
                               .min_inputs = 2,
                               .max_inputs = 2,
                               .attributes = kAttributes,
                               .infer = infer,
                               .cpu = bind<true>,
                               .elements = Elements::kConverted};

constexpr const OpDef* kOps[] = {&layer_norm_op, &rms_norm_op};

}  // namespace

extern const OpFamily bf16_normalization_ops;
constinit const OpFamily bf16_normalization_ops = kOps;

}  // namespace tandem
