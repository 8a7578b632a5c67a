// The optimizers of ai.onnx.preview.training: Adagrad, Adam, Momentum. Inputs R (learning rate), T (steps taken), then for n
// tensors X1..Xn, their gradients G1..Gn and each state's n tensors; outputs the new X1..Xn and states.
#include "kernels/api/training_update.h"

#include "runtime/graph/contexts.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kDomain = "ai.onnx.preview.training";
constexpr std::string_view kAdagrad[] = {"decay_factor", "epsilon", "norm_coefficient"};
constexpr std::string_view kMomentum[] = {"alpha", "beta", "mode", "norm_coefficient"};
constexpr std::string_view kAdam[] = {"alpha", "beta", "epsilon", "norm_coefficient", "norm_coefficient_post"};
constexpr int kFirst = 2;  // input 0 is R, input 1 is T

double number(const NodeContext& node, std::string_view name, float fallback) {
  return static_cast<double>(node.get_float(name, fallback));
}

AdagradUpdate options_of(const NodeContext& node, AdagradUpdate) {
  return {.epsilon = number(node, "epsilon", 1e-6f),
          .norm_coefficient = number(node, "norm_coefficient", 0),
          .decay_factor = number(node, "decay_factor", 0)};
}
MomentumUpdate options_of(const NodeContext& node, MomentumUpdate) {
  for (std::string_view name : kMomentum) node.require(node.has_attribute(name), "an attribute is missing", name);
  const std::string mode = node.get_string("mode", "");
  node.require(mode == "standard" || mode == "nesterov", "mode must be standard or nesterov", mode);
  return {.alpha = number(node, "alpha", 0),
          .beta = number(node, "beta", 0),
          .norm_coefficient = number(node, "norm_coefficient", 0),
          .nesterov = mode == "nesterov"};
}
AdamUpdate options_of(const NodeContext& node, AdamUpdate) {
  return {.alpha = number(node, "alpha", 0.9f),
          .beta = number(node, "beta", 0.999f),
          .epsilon = number(node, "epsilon", 1e-6f),
          .norm_coefficient = number(node, "norm_coefficient", 0),
          .norm_coefficient_post = number(node, "norm_coefficient_post", 0)};
}

template <class Update>
constexpr int kStates = std::is_same_v<Update, AdamUpdate> ? 2 : 1;

// Input i of tensor k: 0 for X, 1 for G, then the states.
int input_of(int i, int k, int tensors) { return kFirst + i * tensors + k; }

template <class Update>
void infer(InferenceContext& node) {
  options_of(node, Update());
  require_float(node, 0);
  node.require_dtype(1, DType::kI64);
  const int groups = 2 + kStates<Update>, tensors = (node.inputs() - kFirst) / groups;
  node.require((node.inputs() - kFirst) % groups == 0 && node.outputs() == tensors * (groups - 1),
               "the tensors to optimize, their gradients and states must come in equal numbers (inputs, outputs)", node.inputs(),
               node.outputs());
  for (int k = 0; k < tensors; ++k) {
    const int x = input_of(0, k, tensors);
    require_float(node, x);
    for (int i = 1; i < groups; ++i) {
      const int other = input_of(i, k, tensors);
      node.require_same_dtype(x, other);
      if (!node.has_rank(x) || !node.has_rank(other)) continue;
      const Dims &a = node.dims(x), &b = node.dims(other);
      node.require(a.size() == b.size() && std::ranges::equal(a, b, [](const Dim& m, const Dim& n) { return !differ(m, n); }),
                   "a gradient or state has another shape than its tensor (input, its shape, the tensor's)", other, to_string(b),
                   to_string(a));
    }
    for (int o = 0; o < groups - 1; ++o) node.set_output_like(o * tensors + k, x);
  }
}

template <class Update>
BoundKernel bind(const BindContext& node) {
  const int tensors = (node.inputs() - kFirst) / (2 + kStates<Update>);
  return {.run = [tensors, update = options_of(node, Update())](const KernelContext& context, Inputs in, Outputs out) {
    require(in[0].elements() == 1 && in[1].elements() == 1, "[Adagrad, Adam, Momentum] R and T must be scalars");
    Update now = update;
    now.rate = visit_float(in[0].dtype, [&]<class T>() { return static_cast<double>(in[0].as<T>()[0]); });
    now.step = in[1].as<int64_t>()[0];
    for (int k = 0; k < tensors; ++k) {
      const auto from = [&](int i) { return in[static_cast<size_t>(input_of(i, k, tensors))]; };
      const auto to = [&](int o) { return out[static_cast<size_t>(o * tensors + k)]; };
      if constexpr (kStates<Update> == 2)
        cpu::training_update(context, now, from(0), from(1), from(2), from(3), to(0), to(1), to(2));
      else
        cpu::training_update(context, now, from(0), from(1), from(2), to(0), to(1));
    }
  }};
}

template <class Update>
constexpr OpDef optimizer(std::string_view name, std::span<const std::string_view> attributes) {
  return {.name = name,
          .domain = kDomain,
          .min_inputs = kFirst + 2 + kStates<Update>,
          .max_inputs = kVariadic,
          .min_outputs = 1 + kStates<Update>,
          .max_outputs = kVariadic,
          .attributes = attributes,
          .infer = infer<Update>,
          .cpu = bind<Update>};
}

constexpr OpDef adagrad_op = optimizer<AdagradUpdate>("Adagrad", kAdagrad);
constexpr OpDef momentum_op = optimizer<MomentumUpdate>("Momentum", kMomentum);
constexpr OpDef adam_op = optimizer<AdamUpdate>("Adam", kAdam);

constexpr const OpDef* kOps[] = {&adagrad_op, &momentum_op, &adam_op};

}  // namespace

extern const OpFamily training_update_ops;
constinit const OpFamily training_update_ops = kOps;

}  // namespace tandem
