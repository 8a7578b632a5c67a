// CausalConvWithState (ONNX 27).
#include "kernels/api/causal_conv.h"

#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"activation"};

bool has_silu(const NodeContext& node) {
  const std::string activation = node.get_string("activation", "none");
  node.require(activation == "none" || activation == "silu" || activation == "swish", "activation must be none, silu or swish",
               activation);
  return activation != "none";
}

void require_dims(const InferenceContext& node, int i, const Dims& expected) {
  if (!node.has_input(i)) return;
  node.require_same_dtype(0, i);
  if (!node.has_rank(i)) return;
  const Dims& dims = node.dims(i);
  bool fits = dims.size() == expected.size();
  for (size_t a = 0; fits && a < dims.size(); ++a) fits = !differ(dims[a], expected[a]);
  node.require(fits, "input has another shape than input and weight ask for (input, its dims, expected)", i, to_string(dims),
               to_string(expected));
}

void infer(InferenceContext& node) {
  require_float(node, 0);
  has_silu(node);
  const Dims x = node.has_rank(0) ? node.dims(0) : Dims(3);
  node.require(x.size() == 3, "input must be [batch, channels, length]", to_string(x));
  const Dim taps = node.has_rank(1) && node.rank(1) == 3 ? node.dims(1)[2] : Dim();
  node.require(!taps.known() || taps.size >= 1, "weight must have at least one tap");
  const Dims state = {x[0], x[1], taps.known() ? Dim(taps.size - 1) : Dim()};
  require_dims(node, 1, {x[1], Dim(int64_t{1}), taps});
  require_dims(node, 2, {x[1]});
  require_dims(node, 3, state);
  node.set_output_type(0, node.type(0));
  node.set_output(1, node.dtype(0), state);
}

BoundKernel bind(const BindContext& node) {
  return {.run = [silu = has_silu(node)](const KernelContext& context, Inputs in, Outputs out) {
    const auto input = [&](size_t i) { return in.size() > i ? in[i] : ConstTensorView{}; };
    cpu::causal_conv(context,
                     {.x = in[0],
                      .w = in[1],
                      .bias = input(2),
                      .past = input(3),
                      .y = out[0],
                      .present = out.size() > 1 ? out[1] : TensorView{}},
                     silu);
  }};
}

constexpr OpDef causal_conv_op = {.name = "CausalConvWithState",
                                  .since = 27,
                                  .min_inputs = 2,
                                  .max_inputs = 4,
                                  .min_outputs = 1,
                                  .max_outputs = 2,
                                  .attributes = kAttributes,
                                  .infer = infer,
                                  .cpu = bind};

constexpr const OpDef* kOps[] = {&causal_conv_op};

}  // namespace

extern const OpFamily causal_conv_ops;
constinit const OpFamily causal_conv_ops = kOps;

}  // namespace tandem
