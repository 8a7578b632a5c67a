// RandomUniform, RandomNormal, their Like forms (ONNX 1), Multinomial (7) and Bernoulli (15). 22 added bf16.
//
// A node with a seed draws the same numbers in every process: those of its first run, of its second, and so on. Without one it
// takes a key from the system when the plan is made.
#include "kernels/api/random.h"

#include "runtime/graph/contexts.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/random_source.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kUniform[] = {"dtype", "high", "low", "seed", "shape"},
                           kNormal[] = {"dtype", "mean", "scale", "seed", "shape"};
constexpr std::string_view kUniformLike[] = {"dtype", "high", "low", "seed"}, kNormalLike[] = {"dtype", "mean", "scale", "seed"};
constexpr std::string_view kBernoulli[] = {"dtype", "seed"}, kMultinomial[] = {"dtype", "sample_size", "seed"};

DType float_dtype(const NodeContext& node, DType otherwise) {
  const DType dtype = dtype_attribute(node, "dtype", otherwise);
  node.require(is_float(dtype), "dtype must be f32, f64, f16 or bf16", name(dtype));
  return dtype;
}

void infer_of_shape(InferenceContext& node) {
  node.require(node.has_attribute("shape"), "the attribute shape is missing");
  Dims dims;
  for (int64_t size : node.get_ints("shape")) {
    node.require(size >= 0, "a dimension is negative", size);
    dims.push_back(Dim(size));
  }
  node.set_output(0, float_dtype(node, DType::kF32), std::move(dims));
}
std::optional<Dims> dims_of_input(const InferenceContext& node) {
  return node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt;
}
void infer_like(InferenceContext& node) {
  const DType own = node.dtype(0);
  node.set_output(0, float_dtype(node, is_float(own) ? own : DType::kF32), dims_of_input(node));
}
void infer_bernoulli(InferenceContext& node) {
  require_float(node, 0);
  node.set_output(0, dtype_attribute(node, "dtype", node.dtype(0)), dims_of_input(node));
}
void infer_multinomial(InferenceContext& node) {
  require_float(node, 0);
  node.require(!node.has_rank(0) || node.rank(0) == 2, "input must be [batch, classes]", node.has_rank(0) ? node.rank(0) : 0);
  const DType dtype = dtype_attribute(node, "dtype", DType::kI32);
  node.require(dtype == DType::kI32 || dtype == DType::kI64, "dtype must be i32 or i64", name(dtype));
  const int64_t samples = node.get_int("sample_size", 1);
  node.require(samples >= 1, "sample_size must be at least 1", samples);
  node.set_output(0, dtype, Dims{node.has_rank(0) ? node.dims(0)[0] : Dim(), Dim(samples)});
}

BoundKernel bind_uniform(const BindContext& node) {
  const double low = static_cast<double>(node.get_float("low", 0)), high = static_cast<double>(node.get_float("high", 1));
  return {.run = [=, source = RandomSource(node)](const KernelContext& context, Inputs, Outputs out) {
    cpu::random_uniform(context, source.next(), low, high, out[0]);
  }};
}
BoundKernel bind_normal(const BindContext& node) {
  const double mean = static_cast<double>(node.get_float("mean", 0)), scale = static_cast<double>(node.get_float("scale", 1));
  return {.run = [=, source = RandomSource(node)](const KernelContext& context, Inputs, Outputs out) {
    cpu::random_normal(context, source.next(), mean, scale, out[0]);
  }};
}
// Bernoulli and Multinomial.
template <auto kernel>
BoundKernel bind_draw(const BindContext& node) {
  return {.run = [source = RandomSource(node)](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, source.next(), in[0], out[0]);
  }};
}

using Bind = BoundKernel (*)(const BindContext&);
constexpr OpDef of_shape(std::string_view name, std::span<const std::string_view> attributes, Bind bind) {
  return {.name = name,
          .min_inputs = 0,
          .max_inputs = 0,
          .attributes = attributes,
          .infer = infer_of_shape,
          .cpu = bind,
          .stateful = true};
}
constexpr OpDef like(std::string_view name, std::span<const std::string_view> attributes, Bind bind) {
  return {
      .name = name, .attributes = attributes, .infer = infer_like, .cpu = bind, .shape_inputs = input_set(0), .stateful = true};
}

constexpr OpDef random_uniform_op = of_shape("RandomUniform", kUniform, bind_uniform);
constexpr OpDef random_normal_op = of_shape("RandomNormal", kNormal, bind_normal);
constexpr OpDef random_uniform_like_op = like("RandomUniformLike", kUniformLike, bind_uniform);
constexpr OpDef random_normal_like_op = like("RandomNormalLike", kNormalLike, bind_normal);
constexpr OpDef bernoulli_op = {.name = "Bernoulli",
                                .since = 15,
                                .attributes = kBernoulli,
                                .infer = infer_bernoulli,
                                .cpu = bind_draw<cpu::bernoulli>,
                                .stateful = true};
constexpr OpDef multinomial_op = {.name = "Multinomial",
                                  .since = 7,
                                  .attributes = kMultinomial,
                                  .infer = infer_multinomial,
                                  .cpu = bind_draw<cpu::multinomial>,
                                  .stateful = true};

constexpr const OpDef* kOps[] = {&random_uniform_op,     &random_normal_op, &random_uniform_like_op,
                                 &random_normal_like_op, &bernoulli_op,     &multinomial_op};

}  // namespace

extern const OpFamily random_ops;
constinit const OpFamily random_ops = kOps;

}  // namespace tandem
