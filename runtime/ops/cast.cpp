// Cast (ONNX 6 to 25) and CastLike (15 to 25) between all element types; BitCast (26) keeps the bits. `saturate` (19) is for
// float8, `round_mode` (24) for float8e8m0. CastLike only looks at the type of its second input.
#include "kernels/api/cast.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/movement.h"
#include "runtime/graph/contexts.h"
#include "runtime/graph/evaluate_context.h"
#include "runtime/ops/gradient_context.h"

namespace tandem {
namespace {

constexpr std::string_view kCast[] = {"to", "saturate", "round_mode"}, kCastLike[] = {"saturate", "round_mode"}, kTo[] = {"to"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};

NarrowRules rules_of(const NodeContext& node) {
  const std::string mode = node.get_string("round_mode", "up");
  node.require(mode == "up" || mode == "down" || mode == "nearest", "round_mode must be up, down or nearest", mode);
  return {.saturate = node.get_int("saturate", 1) != 0,
          .round = mode == "up"     ? RoundExponent::kUp
                   : mode == "down" ? RoundExponent::kDown
                                    : RoundExponent::kNearest};
}

DType target_of(const NodeContext& node) {
  const int64_t to = node.get_int("to", 0);
  const bool known = to > 0 && to <= static_cast<int64_t>(DType::kI2) && size_of(static_cast<DType>(to)) > 0;
  node.require(known, "attribute `to` names no element type that there is", to);
  return static_cast<DType>(to);
}

void infer(InferenceContext& node, DType target) {
  rules_of(node);
  node.require_tensor(0);
  node.set_output(0, target, node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
  if (is_integer(node.dtype(0)) && is_integer(target))
    if (auto content = node.content(0)) node.set_content(0, *content);
}
void infer_cast(InferenceContext& node) { infer(node, target_of(node)); }
void infer_cast_like(InferenceContext& node) { infer(node, node.dtype(1)); }
void infer_bit_cast(InferenceContext& node) {
  const DType from = node.dtype(0), to = target_of(node);
  node.require(bits_of(from) == bits_of(to) && bits_of(from) > 0, "the types must have as many bits (from, to)", name(from),
               name(to));
  node.set_output(0, to, node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
}

void cast_gradient(GradientContext& node) {
  const DType from = node.type(node.input(0)).dtype;
  if (!is_float(from) || !is_float(node.type(node.output(0)).dtype)) return;  // constant almost everywhere: no gradient flows
  node.set_input_grad(0, node.emit("Cast", {node.output_grad()}, {{"to", static_cast<int64_t>(from)}}));
}

BoundKernel bind_on_cpu(const BindContext& node) {
  const NarrowRules rules = rules_of(node);
  if (node.dtype(0) == node.output_dtype(0))
    return {.run = [](const KernelContext& context, Inputs in, Outputs out) { cpu::copy(context, in[0], out[0]); }};
  if (node.dtype(0) == DType::kString)
    return {.run = [rules](const KernelContext& context, Inputs in, Outputs out) {
      cpu::parse_numbers(context, in[0], out[0], rules);
    }};
  return {.run = [rules](const KernelContext& context, Inputs in, Outputs out) { cpu::cast(context, in[0], out[0], rules); }};
}
BoundKernel bind_on_cuda(const BindContext& node) {
  if (node.dtype(0) == node.output_dtype(0))
    return {.run = [](const KernelContext& context, Inputs in, Outputs out) { cuda::copy(context, in[0], out[0]); }};
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { cuda::cast(context, in[0], out[0]); }};
}

// To text, which the op makes itself.
void evaluate(EvaluateContext& node) {
  const Tensor& x = node.tensor(0);
  if (x.dtype() == DType::kString) return node.set_output(0, x);
  const std::vector<std::string> texts = cpu::format_numbers(x.view());
  node.set_output(0, Tensor::strings(x.shape(), std::span<const std::string>(texts)));
}

// A byte that becomes a bool must be 0 or 1.
template <auto copy, auto cast>
BoundKernel bind_bit_cast(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    if (out[0].dtype == DType::kBool && in[0].dtype != DType::kBool)
      cast(context, {in[0].data, DType::kU8, in[0].shape}, out[0]);
    else
      copy(context, in[0], out[0]);
  }};
}
void cpu_cast(const KernelContext& context, ConstTensorView x, TensorView y) { cpu::cast(context, x, y, {}); }

constexpr OpDef cast_op = {.name = "Cast",
                           .since = 6,
                           .attributes = kCast,
                           .infer = infer_cast,
                           .gradient = cast_gradient,
                           .cpu = bind_on_cpu,
                           .cuda = on_cuda(bind_on_cuda),
                           .evaluate = evaluate,
                           .elements = Elements::kConverted};
constexpr OpDef cast_like_op = {.name = "CastLike",
                                .since = 15,
                                .min_inputs = 2,
                                .max_inputs = 2,
                                .attributes = kCastLike,
                                .infer = infer_cast_like,
                                .gradient = cast_gradient,
                                .cpu = bind_on_cpu,
                                .cuda = on_cuda(bind_on_cuda),
                                .evaluate = evaluate,
                                .shape_inputs = input_set(1),
                                .elements = Elements::kConverted};
constexpr OpDef bit_cast_op = {.name = "BitCast",
                               .since = 26,
                               .attributes = kTo,
                               .infer = infer_bit_cast,
                               .cpu = bind_bit_cast<cpu::copy, cpu_cast>,
                               .cuda = on_cuda(bind_bit_cast<cuda::copy, cuda::cast>),
                               .elements = Elements::kMoved,
                               .aliases = kInPlace};

constexpr const OpDef* kOps[] = {&cast_op, &cast_like_op, &bit_cast_op};

}  // namespace

extern const OpFamily cast_ops;
constinit const OpFamily cast_ops = kOps;

}  // namespace tandem
