// ai.onnx.ml Imputer (1): replaces one value, NaN by default for floats in practice, by the imputed value of its feature.
#include "kernels/api/encoders.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"imputed_value_floats", "imputed_value_int64s", "replaced_value_float",
                                            "replaced_value_int64"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};

// The attribute values, as tensors of x's type.
struct Values {
  Tensor replaced, imputed;
};

template <class T, class Given>
Values values_as(Given replaced, const std::vector<Given>& imputed) {
  std::vector<T> converted(imputed.begin(), imputed.end());
  return {Tensor::scalar<T>(static_cast<T>(replaced)), Tensor::of<T>({static_cast<int64_t>(converted.size())}, converted)};
}

Values values_of(const NodeContext& node, DType type) {
  const float replaced_float = node.get_float("replaced_value_float", 0);
  const int64_t replaced_int = node.get_int("replaced_value_int64", 0);
  const auto floats = node.get_floats("imputed_value_floats");
  const auto ints = node.get_ints("imputed_value_int64s");
  const bool is_real = is_float(type);
  node.require(is_real ? !floats.empty() : !ints.empty(), "imputed values of the input's type are missing (type)", name(type));
  if (type == DType::kF32) return values_as<float>(replaced_float, floats);
  if (type == DType::kF64) return values_as<double>(replaced_float, floats);
  if (type == DType::kI32) return values_as<int32_t>(replaced_int, ints);
  return values_as<int64_t>(replaced_int, ints);
}

void infer(InferenceContext& node) {
  const DType type = node.dtype(0);
  node.require(type == DType::kF32 || type == DType::kF64 || type == DType::kI64 || type == DType::kI32,
               "input must be f32, f64, i64 or i32", name(type));
  const int64_t imputed = values_of(node, type).imputed.elements();
  if (node.has_rank(0)) {
    node.require(node.rank(0) >= 1, "input must have at least one axis");
    const Dim& features = node.dims(0)[node.rank(0) > 1 ? 1 : 0];
    node.require(imputed == 1 || !differ(features, Dim(imputed)),
                 "one imputed value, or one a feature, is needed (values, input)", imputed, to_string(node.dims(0)));
  }
  node.set_output_like(0, 0);
}

template <auto kernel>
BoundKernel bind(const BindContext& node) {
  return {.run = [values = values_of(node, node.dtype(0))](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, in[0], out[0], values.replaced.view(), values.imputed.view());
  }};
}

constexpr OpDef imputer_op = {
    .name = "Imputer",
    .domain = "ai.onnx.ml",
    .attributes = kAttributes,
    .infer = infer,
    .cpu = bind<cpu::impute>,
    .cuda = on_cuda(bind<cuda::impute>),
    .aliases = kInPlace,
};

constexpr const OpDef* kOps[] = {&imputer_op};

}  // namespace

extern const OpFamily imputer_ops;
constinit const OpFamily imputer_ops = kOps;

}  // namespace tandem
