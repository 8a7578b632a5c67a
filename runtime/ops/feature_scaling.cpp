// ai.onnx.ml Scaler, Normalizer and Binarizer (all 1): arithmetic on features. Scaler and Normalizer give f32, whatever they
// take.
#include <algorithm>

#include "kernels/api/encoders.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kScalerAttributes[] = {"offset", "scale"};
constexpr std::string_view kNormalizerAttributes[] = {"norm"};
constexpr std::string_view kBinarizerAttributes[] = {"threshold"};
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}};

void require_features(const InferenceContext& node) {
  const DType type = node.dtype(0);
  node.require(type == DType::kF32 || type == DType::kF64 || type == DType::kI64 || type == DType::kI32,
               "input must be f32, f64, i64 or i32", name(type));
  node.require(!node.has_rank(0) || node.rank(0) >= 1, "input must have at least one axis");
}

std::optional<Dims> dims_of(const InferenceContext& node) {
  return node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt;
}

// A list of one value, or of one a feature; `neutral` if absent.
std::vector<float> factors(const NodeContext& node, std::string_view name, float neutral) {
  auto values = node.get_floats(name);
  if (values.empty()) values.push_back(neutral);
  return values;
}

void infer_scaler(InferenceContext& node) {
  require_features(node);
  for (const auto& [attribute, neutral] : {std::pair("offset", 0.0f), std::pair("scale", 1.0f)}) {
    const size_t given = factors(node, attribute, neutral).size();
    if (!node.has_rank(0) || given == 1) continue;
    const Dim& features = node.dims(0)[node.rank(0) > 1 ? 1 : 0];
    node.require(!differ(features, Dim(static_cast<int64_t>(given))),
                 "one value, or one a feature, is needed (attribute, values, input)", attribute, given, to_string(node.dims(0)));
  }
  node.set_output(0, DType::kF32, dims_of(node));
}

FeatureNorm norm_of(const NodeContext& node) {
  const std::string norm = node.get_string("norm", "MAX");
  if (norm == "MAX") return FeatureNorm::kMax;
  if (norm == "L1") return FeatureNorm::kL1;
  node.require(norm == "L2", "norm must be MAX, L1 or L2", norm);
  return FeatureNorm::kL2;
}

void infer_normalizer(InferenceContext& node) {
  require_features(node);
  norm_of(node);
  node.set_output(0, DType::kF32, dims_of(node));
}

void infer_binarizer(InferenceContext& node) {
  require_features(node);
  node.set_output_like(0, 0);
}

template <auto kernel>
BoundKernel bind_scaler(const BindContext& node) {
  return {.run = [offset = factors(node, "offset", 0), scale = factors(node, "scale", 1)](
                     const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], out[0], offset, scale); }};
}
template <auto kernel>
BoundKernel bind_normalizer(const BindContext& node) {
  return {.run = [norm = norm_of(node)](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, in[0], out[0], norm);
  }};
}
template <auto kernel>
BoundKernel bind_binarizer(const BindContext& node) {
  return {.run = [threshold = node.get_float("threshold", 0)](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, in[0], out[0], threshold);
  }};
}

constexpr OpDef scaler_op = {.name = "Scaler",
                             .domain = "ai.onnx.ml",
                             .attributes = kScalerAttributes,
                             .infer = infer_scaler,
                             .cpu = bind_scaler<cpu::scale_features>,
                             .cuda = on_cuda(bind_scaler<cuda::scale_features>)};

constexpr OpDef normalizer_op = {.name = "Normalizer",
                                 .domain = "ai.onnx.ml",
                                 .attributes = kNormalizerAttributes,
                                 .infer = infer_normalizer,
                                 .cpu = bind_normalizer<cpu::normalize_features>,
                                 .cuda = on_cuda(bind_normalizer<cuda::normalize_features>)};

constexpr OpDef binarizer_op = {.name = "Binarizer",
                                .domain = "ai.onnx.ml",
                                .attributes = kBinarizerAttributes,
                                .infer = infer_binarizer,
                                .cpu = bind_binarizer<cpu::binarize>,
                                .cuda = on_cuda(bind_binarizer<cuda::binarize>),
                                .aliases = kInPlace};

constexpr const OpDef* kOps[] = {&scaler_op, &normalizer_op, &binarizer_op};

}  // namespace

extern const OpFamily feature_scaling_ops;
constinit const OpFamily feature_scaling_ops = kOps;

}  // namespace tandem
