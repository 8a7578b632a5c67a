// Dropout (ONNX 7, 10, 12, 13): for inference, so the output is a view of the input and the mask, if wanted, all true. Training
// rewrites it into tandem.RandomDropout(x, counter) {ratio, seed, site}, whose mask depends on seed, site, counter and element
// alone, so that its gradient is the same op applied to dy.
#include "kernels/api/dropout.h"

#include "kernels/api/movement.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes7[] = {"ratio"};
constexpr std::string_view kAttributes12[] = {"seed"};
constexpr std::string_view kRandomAttributes[] = {"ratio", "seed", "site"};
constexpr Alias kView[] = {{.input = 0, .output = 0, .kind = AliasKind::kView}};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};

constexpr int kInputRatioVersion = 12;  // ratio and training_mode become inputs

void infer(InferenceContext& node) {
  require_float(node, 0);
  if (node.has_input(2)) node.require_dtype(2, DType::kBool);
  node.set_output_like(0, 0);
  node.set_output(1, node.node().def->since >= 10 ? DType::kBool : node.dtype(0),
                  node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
}

void gradient(GradientContext& node) { node.set_input_grad(0, node.output_grad()); }

Tensor one_of(DType dtype) {
  if (dtype == DType::kF16) return Tensor::scalar<F16>(to_f16(1));
  if (dtype == DType::kBF16) return Tensor::scalar<BF16>(to_bf16(1));
  return visit_number_or_bool(dtype, []<class T>() { return Tensor::scalar<T>(T{1}); });
}

template <auto copy, auto fill>
BoundKernel bind(const BindContext& node) {
  const Tensor* training = node.constant(2);
  node.require(training == nullptr || !training->as<bool>()[0],
               "training_mode is true: a graph runs for inference; export it with training_mode false");
  return {.run = [one = node.has_output(1) ? one_of(node.output_dtype(1)) : Tensor()](const KernelContext& context, Inputs in,
                                                                                      Outputs out) {
    copy(context, in[0], out[0]);  // only when folded: in a plan it is the same memory
    if (out.size() > 1 && out[1]) fill(context, one.view(), out[1]);
  }};
}

float ratio_of(const NodeContext& node) {
  const float ratio = node.get_float("ratio", 0.5f);
  node.require(ratio >= 0 && ratio < 1, "ratio must be in [0, 1)", ratio);
  return ratio;
}

void infer_random(InferenceContext& node) {
  require_float(node, 0);
  node.require_dtype(1, DType::kI64);
  ratio_of(node);
  node.set_output_like(0, 0);
}

void random_gradient(GradientContext& node) {
  node.set_input_grad(0, node.emit_internal("RandomDropout", {node.output_grad(), node.input(1)}, node.node().attributes));
}

template <auto kernel>
BoundKernel bind_random(const BindContext& node) {
  const uint64_t key =
      dropout_key(static_cast<uint64_t>(node.get_int("seed", 0)), static_cast<uint64_t>(node.get_int("site", 0)));
  return {.run = [key, ratio = ratio_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, in[0], out[0], ratio, key, in[1]);
  }};
}

constexpr OpDef dropout_op_7 = {.name = "Dropout",
                                .since = 7,
                                .until = 10,
                                .max_outputs = 2,
                                .attributes = kAttributes7,
                                .infer = infer,
                                .gradient = gradient,
                                .cpu = bind<cpu::copy, cpu::fill>,
                                .cuda = on_cuda(bind<cuda::copy, cuda::fill_with>),
                                .aliases = kView};
constexpr OpDef dropout_op_10 = {.name = "Dropout",
                                 .since = 10,
                                 .until = kInputRatioVersion,
                                 .max_outputs = 2,
                                 .attributes = kAttributes7,
                                 .infer = infer,
                                 .gradient = gradient,
                                 .cpu = bind<cpu::copy, cpu::fill>,
                                 .cuda = on_cuda(bind<cuda::copy, cuda::fill_with>),
                                 .aliases = kView};
constexpr OpDef dropout_op_12 = {.name = "Dropout",
                                 .since = kInputRatioVersion,
                                 .max_inputs = 3,
                                 .max_outputs = 2,
                                 .attributes = kAttributes12,
                                 .infer = infer,
                                 .gradient = gradient,
                                 .cpu = bind<cpu::copy, cpu::fill>,
                                 .cuda = on_cuda(bind<cuda::copy, cuda::fill_with>),
                                 .host_inputs = input_set(1, 2),
                                 .aliases = kView};

constexpr OpDef random_dropout_op = {
    .name = "RandomDropout",
    .domain = "tandem",
    .min_inputs = 2,
    .max_inputs = 2,
    .attributes = kRandomAttributes,
    .infer = infer_random,
    .gradient = random_gradient,
    .cpu = bind_random<cpu::random_dropout>,
    .cuda = on_cuda(bind_random<cuda::random_dropout>),
    .aliases = kInPlace,
};

constexpr const OpDef* kOps[] = {&dropout_op_7, &dropout_op_10, &dropout_op_12, &random_dropout_op};

}  // namespace

extern const OpFamily dropout_ops;
constinit const OpFamily dropout_ops = kOps;

}  // namespace tandem
