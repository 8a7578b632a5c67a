// RotaryEmbedding (ONNX 23). Its gradient turns back: the same op with -sin. tandem.RotateHalves(x, cos, sin) and RotatePairs are what a pass
// makes of it on plans for the CPU where a network wrote it out.
#include "kernels/api/rotary.h"

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"interleaved", "num_heads", "rotary_embedding_dim"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};

RotaryOptions options_of(const NodeContext& node) {
  const RotaryOptions options = {.heads = node.get_int("num_heads", 0),
                                 .rotated = node.get_int("rotary_embedding_dim", 0),
                                 .interleaved = node.get_int("interleaved", 0) != 0};
  node.require(options.rotated >= 0 && options.rotated % 2 == 0, "rotary_embedding_dim must be even", options.rotated);
  return options;
}

void infer(InferenceContext& node) {
  const RotaryOptions options = options_of(node);
  require_float(node, 0);
  node.require_same_dtype(0, 1);
  node.require_same_dtype(0, 2);
  if (node.has_input(3)) node.require_dtype(3, DType::kI64);
  if (node.has_rank(0)) {
    const int rank = node.rank(0);
    node.require(rank == 3 || rank == 4, "X must have rank 3 or 4", to_string(node.dims(0)));
    node.require(rank == 4 || options.heads > 0, "an X of rank 3 needs num_heads");
  }
  node.set_output_like(0, 0);
}

void gradient(GradientContext& node) {
  node.require(!node.wants(1) && !node.wants(2), "no gradient is defined to cos_cache and sin_cache");
  std::vector<ValueId> inputs = {node.output_grad(), node.input(1), node.emit("Neg", {node.input(2)})};
  if (node.has_input(3)) inputs.push_back(node.input(3));
  if (node.wants(0)) node.set_input_grad(0, node.emit("RotaryEmbedding", inputs, node.node().attributes));
}

BoundKernel bind(const BindContext& node) {
  const RotaryOptions options = options_of(node);
  return {.run = [=](const KernelContext& context, Inputs in, Outputs out) {
    const ConstTensorView positions = in.size() > 3 ? in[3] : ConstTensorView{};
    cpu::rotary_embedding(context, {.x = in[0], .cos = in[1], .sin = in[2], .positions = positions, .y = out[0]}, options);
  }};
}

constexpr OpDef rotary_embedding_op = {
    .name = "RotaryEmbedding",
    .since = 23,
    .min_inputs = 3,
    .max_inputs = 4,
    .attributes = kAttributes,
    .infer = infer,
    .gradient = gradient,
    .cpu = bind,
    .aliases = kInPlace,
};

void infer_rotation(InferenceContext& node) {
  for (int i = 0; i < 3; ++i) node.require_dtype(i, DType::kF32);
  node.set_output_like(0, 0);
  for (int i = 0; i < 3; ++i)
    if (!node.has_rank(i)) return;
  const Dims &x = node.dims(0), &angles = node.dims(1);
  node.require(!x.empty() && !angles.empty() && angles.size() <= x.size() && angles.size() == node.dims(2).size(),
               "cos and sin must have one rank, at most that of x", to_string(x), to_string(angles), to_string(node.dims(2)));
  node.require(!x.back().known() || x.back().size % 2 == 0, "the last axis must have two halves (its size)", x.back().size);
  for (size_t a = 0; a < angles.size(); ++a) {
    const Dim &own = angles[a], &whole = x[x.size() - angles.size() + a];
    const bool broadcasts = own.size == 1 && a + 1 < angles.size();
    node.require(!differ(own, node.dims(2)[a]) && (broadcasts || !differ(own, whole)), "cos and sin must broadcast to x (x, cos, sin)",
                 to_string(x), to_string(angles), to_string(node.dims(2)));
  }
}

template <auto rotate>
BoundKernel bind_rotation(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    rotate(context, {.x = in[0], .cos = in[1], .sin = in[2], .positions = {}, .y = out[0]});
  }};
}

constexpr OpDef rotation(std::string_view name, BoundKernel (*cpu)(const BindContext&)) {
  return {.name = name, .domain = "tandem", .min_inputs = 3, .max_inputs = 3, .infer = infer_rotation, .cpu = cpu, .aliases = kInPlace};
}
constexpr OpDef rotate_halves_op = rotation("RotateHalves", bind_rotation<cpu::rotate_halves>);
constexpr OpDef rotate_pairs_op = rotation("RotatePairs", bind_rotation<cpu::rotate_pairs>);

constexpr const OpDef* kOps[] = {&rotary_embedding_op, &rotate_halves_op, &rotate_pairs_op};

}  // namespace

extern const OpFamily rotary_embedding_ops;
constinit const OpFamily rotary_embedding_ops = kOps;

}  // namespace tandem
