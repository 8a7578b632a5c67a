// Dropout. For inference, which ONNX 7 and 10 always are, the output is the input and the mask, if wanted, all true. A node drops if
// is_test is 0 (ONNX 1 and 6) or its input training_mode is true (12 on). Training rewrites it into tandem.RandomDropout(x, counter)
// {ratio, seed, site}, whose mask depends on seed, site, counter and element alone, so that its gradient is the same op applied to dy.
#include "kernels/api/dropout.h"

#include "kernels/api/movement.h"
#include "kernels/api/random.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/random_source.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes6[] = {"is_test", "ratio"};
constexpr std::string_view kAttributes7[] = {"ratio"};
constexpr std::string_view kAttributes12[] = {"seed"};
constexpr std::string_view kRandomAttributes[] = {"ratio", "seed", "site"};
constexpr Alias kView[] = {{.input = 0, .output = 0, .kind = AliasKind::kView}};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};

constexpr int kInferenceVersion = 7;    // is_test is gone
constexpr int kInputRatioVersion = 12;  // ratio and training_mode become inputs

void infer(InferenceContext& node) {
  require_float(node, 0);
  if (node.has_input(2)) node.require_dtype(2, DType::kBool);
  for (int i : {1, 2})
    if (const auto shape = node.has_input(i) && node.has_rank(i) ? fixed_shape(node.dims(i)) : std::nullopt)
      node.require(shape->elements() == 1, "ratio and training_mode must be one value each (input, shape)", i, to_string(*shape));
  node.set_output_like(0, 0);
  node.set_output(1, node.node().def->since >= 10 ? DType::kBool : node.dtype(0),
                  node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
}

bool takes_inputs(const NodeContext& node) { return node.node().def->since >= kInputRatioVersion; }

// Whether the node drops: by its input training_mode, or before opset 7 unless is_test says no. What the graph computes may be true.
bool may_drop(GradientContext& node) {
  if (!takes_inputs(node)) return node.node().def->since < kInferenceVersion && !node.get_int("is_test", 0);
  if (!node.has_input(2)) return false;
  const Value& mode = node.graph().value(node.input(2));
  return mode.kind != ValueKind::kConstant || mode.data.as<bool>()[0];
}

// What passed passes, scaled alike; the mask is an output then.
void gradient(GradientContext& node) {
  if (!may_drop(node)) return node.set_input_grad(0, node.output_grad());
  node.require(takes_inputs(node) && node.has_output(1), "the gradient of a node that drops needs its output mask");
  const DType dtype = node.type(node.input(0)).dtype;
  ValueId ratio = node.has_input(1) ? node.input(1) : node.scalar(0.5, dtype);
  if (node.type(ratio).dtype != dtype) ratio = node.emit("Cast", {ratio}, {{"to", static_cast<int64_t>(dtype)}});
  const ValueId scaled = node.emit("Div", {node.output_grad(), node.emit("Sub", {node.scalar(1, dtype), ratio})});
  node.set_input_grad(0, node.emit("Where", {node.output(1), scaled, node.scalar(0, dtype)}));
}

Tensor one_of(DType dtype) {
  if (dtype == DType::kF16) return Tensor::scalar<F16>(to_f16(1));
  if (dtype == DType::kBF16) return Tensor::scalar<BF16>(to_bf16(1));
  return visit_number_or_bool(dtype, []<class T>() { return Tensor::scalar<T>(T{1}); });
}

// For inference: all passes.
template <auto copy, auto fill>
BoundKernel bind(const BindContext& node) {
  return {.run = [one = node.has_output(1) ? one_of(node.output_dtype(1)) : Tensor()](const KernelContext& context, Inputs in,
                                                                                      Outputs out) {
    copy(context, in[0], out[0]);  // nothing where it is the same memory
    if (out.size() > 1 && out[1]) fill(context, one.view(), out[1]);
  }};
}

template <auto copy, auto fill>
BoundKernel bind_without_drawing(const BindContext& node) {
  const Tensor* training = node.constant(2);
  node.require(training == nullptr || !training->as<bool>()[0], "training_mode is true: random numbers are drawn on the CPU only");
  return bind<copy, fill>(node);
}

double checked_ratio(double ratio) {
  require(ratio >= 0 && ratio < 1, "[Dropout] ratio must be in [0, 1)", ratio);
  return ratio;
}

// The mode is looked at in each run: an input since opset 12.
BoundKernel bind_by_mode(const BindContext& node) {
  const bool drops = node.node().def->since < kInferenceVersion && !node.get_int("is_test", 0);
  const double ratio = static_cast<double>(node.get_float("ratio", 0.5f));
  return {.run = [drops, ratio, source = RandomSource(node), infer = bind<cpu::copy, cpu::fill>(node)](const KernelContext& context,
                                                                                                     Inputs in, Outputs out) {
    const bool given = in.size() > 1 && in[1], has_mode = in.size() > 2 && in[2];
    require((!given || in[1].elements() == 1) && (!has_mode || in[2].elements() == 1), "ratio and training_mode must be one value each");
    if (!(has_mode ? in[2].as<bool>()[0] : drops)) return infer.run(context, in, out);
    const double now = given ? visit_float(in[1].dtype, [&]<class T>() { return static_cast<double>(in[1].as<T>()[0]); }) : ratio;
    cpu::dropout(context, source.next(), checked_ratio(now), in[0], out[0], out.size() > 1 ? out[1] : TensorView{});
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

constexpr OpDef dropout_op_6 = {.name = "Dropout",
                                .until = kInferenceVersion,
                                .max_outputs = 2,
                                .attributes = kAttributes6,
                                .infer = infer,
                                .gradient = gradient,
                                .cpu = bind_by_mode,
                                .aliases = kInPlace};
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
                                 .cpu = bind_by_mode,
                                 .cuda = on_cuda(bind_without_drawing<cuda::copy, cuda::fill_with>),
                                 .host_inputs = input_set(1, 2),
                                 .aliases = kInPlace};

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

constexpr const OpDef* kOps[] = {&dropout_op_6, &dropout_op_7, &dropout_op_10, &dropout_op_12, &random_dropout_op};

}  // namespace

extern const OpFamily dropout_ops;
constinit const OpFamily dropout_ops = kOps;

}  // namespace tandem
