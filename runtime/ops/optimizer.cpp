// Optimizer steps over flat parameter ranges, which replace the states they are given, and the norm that gradients are clipped
// by.
//
//   tandem.Sgd(parameter, momentum?, gradient, lr, scale?, apply?) -> parameter', momentum'
//   tandem.Adam(parameter, m, v, gradient, lr, step, scale?, apply?) -> parameter', m', v'
//   tandem.SumOfSquares(x...) -> f32 scalar
//
// lr and scale are f32 scalars, step an i64 scalar that counts from 1; the gradient is first multiplied by scale (1 if absent:
// what averages and clips). apply is a bool scalar: false leaves everything as it is. Semantics: torch.optim.SGD, Adam and AdamW
// (decoupled = 1).
#include "kernels/api/optimizer.h"

#include <charconv>

#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kSgdAttributes[] = {"momentum", "nesterov", "weight_decay"};
constexpr std::string_view kAdamAttributes[] = {"beta1", "beta2", "decoupled", "epsilon", "weight_decay"};
constexpr Alias kSgdAliases[] = {{0, 0, AliasKind::kMust}, {1, 1, AliasKind::kMust}};
constexpr Alias kAdamAliases[] = {{0, 0, AliasKind::kMust}, {1, 1, AliasKind::kMust}, {2, 2, AliasKind::kMust}};

void require_scalar(const InferenceContext& node, int i, DType type) {
  if (!node.has_input(i)) return;
  node.require_dtype(i, type);
  node.require(!node.has_rank(i) || product(node.dims(i)).size == 1, "lr, step, scale and apply must be scalars (input)", i);
}

// Inputs 0 to `last` are ranges of one type and size; the first ones come out again as they are.
void infer_ranges(InferenceContext& node, int last) {
  require_float(node, 0);
  for (int i = 0; i <= last; ++i) {
    if (!node.has_input(i)) continue;
    node.require_same_dtype(0, i);
    if (node.has_rank(0) && node.has_rank(i))
      node.require(!differ(product(node.dims(0)), product(node.dims(i))), "ranges differ in size (parameter, input, its dims)",
                   to_string(node.dims(0)), i, to_string(node.dims(i)));
    if (i < last && node.has_output(i)) node.set_output_like(i, i);
  }
}

// A float attribute as the decimal number that it was written as: 0.9, not 0.89999998. torch computes its factors in double.
double decimal(const NodeContext& node, std::string_view name, float fallback) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), node.get_float(name, fallback)).ptr;
  double value = 0;
  std::from_chars(text, end, value);
  node.require(value >= 0 && value < 1e9, "attribute is out of range", name, value);
  return value;
}

SgdOptions sgd_options(const NodeContext& node) {
  return {.momentum = decimal(node, "momentum", 0),
          .nesterov = node.get_int("nesterov", 0) != 0,
          .weight_decay = decimal(node, "weight_decay", 0)};
}

AdamOptions adam_options(const NodeContext& node) {
  AdamOptions options = {.beta1 = decimal(node, "beta1", 0.9f),
                         .beta2 = decimal(node, "beta2", 0.999f),
                         .epsilon = decimal(node, "epsilon", 1e-8f),
                         .weight_decay = decimal(node, "weight_decay", 0),
                         .decoupled = node.get_int("decoupled", 0) != 0};
  node.require(options.beta1 < 1 && options.beta2 < 1, "beta1 and beta2 must be below 1", options.beta1, options.beta2);
  return options;
}

void infer_sgd(InferenceContext& node) {
  node.require(node.has_input(2) && node.has_input(3), "gradient (input 2) and lr (input 3) are needed");
  infer_ranges(node, 2);
  require_scalar(node, 3, DType::kF32);
  require_scalar(node, 4, DType::kF32);
  require_scalar(node, 5, DType::kBool);
  const SgdOptions options = sgd_options(node);
  node.require(options.momentum == 0 || (node.has_input(1) && node.has_output(1)), "momentum needs a buffer, in and out",
               options.momentum);
}

void infer_adam(InferenceContext& node) {
  infer_ranges(node, 3);
  require_scalar(node, 4, DType::kF32);
  require_scalar(node, 5, DType::kI64);
  require_scalar(node, 6, DType::kF32);
  require_scalar(node, 7, DType::kBool);
  adam_options(node);
}

void infer_sum_of_squares(InferenceContext& node) {
  for (int i = 0; i < node.inputs(); ++i) require_float(node, i);
  node.set_output(0, DType::kF32, Dims{});
}

ConstTensorView optional(Inputs in, size_t i) { return i < in.size() ? in[i] : ConstTensorView{}; }

template <auto kernel>
BoundKernel bind_sgd(const BindContext& node) {
  return {.run = [options = sgd_options(node)](const KernelContext& context, Inputs in, Outputs out) {
    const SgdViews views = {.parameter = in[0],
                            .momentum = in[1],
                            .gradient = in[2],
                            .lr = in[3],
                            .scale = optional(in, 4),
                            .apply = optional(in, 5),
                            .new_parameter = out[0],
                            .new_momentum = out.size() > 1 ? out[1] : TensorView{}};
    kernel(context, views, options);
  }};
}

template <auto kernel>
BoundKernel bind_adam(const BindContext& node) {
  return {.run = [options = adam_options(node)](const KernelContext& context, Inputs in, Outputs out) {
    const AdamViews views = {.parameter = in[0],
                             .m = in[1],
                             .v = in[2],
                             .gradient = in[3],
                             .lr = in[4],
                             .scale = optional(in, 6),
                             .apply = optional(in, 7),
                             .step = in[5],
                             .new_parameter = out[0],
                             .new_m = out[1],
                             .new_v = out[2]};
    kernel(context, views, options);
  }};
}

template <auto kernel, auto workspace>
BoundKernel bind_sum_of_squares(const BindContext& node) {
  int64_t elements = 0;
  for (int i = 0; i < node.inputs(); ++i) elements = checked_add(elements, node.shape(i).elements());
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in, out[0]); },
          .workspace = workspace(elements, node.inputs())};
}

constexpr double kSgdFlops = 6, kAdamFlops = 16;  // an element
double sgd_flops(const BindContext& node) { return kSgdFlops * static_cast<double>(node.shape(0).elements()); }
double adam_flops(const BindContext& node) { return kAdamFlops * static_cast<double>(node.shape(0).elements()); }
double sum_of_squares_flops(const BindContext& node) {
  double elements = 0;
  for (int i = 0; i < node.inputs(); ++i) elements += static_cast<double>(node.shape(i).elements());
  return 2 * elements;
}

constexpr OpDef sgd_op = {
    .name = "Sgd",
    .domain = "tandem",
    .min_inputs = 1,  // the second may be absent, so the shape rule checks the others
    .max_inputs = 6,
    .max_outputs = 2,
    .attributes = kSgdAttributes,
    .infer = infer_sgd,
    .cpu = bind_sgd<cpu::sgd>,
    .cuda = on_cuda(bind_sgd<cuda::sgd>),
    .aliases = kSgdAliases,
    .flops = sgd_flops,
};

constexpr OpDef adam_op = {
    .name = "Adam",
    .domain = "tandem",
    .min_inputs = 6,
    .max_inputs = 8,
    .min_outputs = 3,
    .max_outputs = 3,
    .attributes = kAdamAttributes,
    .infer = infer_adam,
    .cpu = bind_adam<cpu::adam>,
    .cuda = on_cuda(bind_adam<cuda::adam>),
    .aliases = kAdamAliases,
    .flops = adam_flops,
};

constexpr OpDef sum_of_squares_op = {
    .name = "SumOfSquares",
    .domain = "tandem",
    .max_inputs = kVariadic,
    .infer = infer_sum_of_squares,
    .cpu = bind_sum_of_squares<cpu::sum_of_squares, cpu::sum_of_squares_workspace>,
    .cuda = on_cuda(bind_sum_of_squares<cuda::sum_of_squares, cuda::sum_of_squares_workspace>),
    .flops = sum_of_squares_flops,
};

constexpr const OpDef* kOps[] = {&sgd_op, &adam_op, &sum_of_squares_op};

}  // namespace

extern const OpFamily optimizer_ops;
constinit const OpFamily optimizer_ops = kOps;

}  // namespace tandem
