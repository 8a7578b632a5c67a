// ai.onnx.ml FeatureVectorizer (1): columns of any number type side by side in one f32 matrix, each cut or zero-filled to its
// inputdimensions (its own width if the attribute is absent); and ArrayFeatureExtractor (1): columns picked by index.
#include "kernels/api/encoders.h"

#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kVectorizerAttributes[] = {"inputdimensions"};

// A vector is one row; axes from 1 on count as columns.
Dim rows_of(const Dims& dims) { return dims.size() == 1 ? Dim(1) : dims[0]; }
Dim width_of(const Dims& dims) { return dims.size() == 1 ? dims[0] : product(std::span(dims).subspan(1)); }

std::vector<int64_t> widths_of(const NodeContext& node) {
  auto widths = node.get_ints("inputdimensions");
  node.require(widths.empty() || static_cast<int>(widths.size()) == node.inputs(),
               "inputdimensions needs one width an input (widths, inputs)", widths.size(), node.inputs());
  for (int64_t width : widths) node.require(width >= 0, "inputdimensions must not be negative", width);
  return widths;
}

void infer_vectorizer(InferenceContext& node) {
  const auto widths = widths_of(node);
  Dim rows;
  Dims columns;
  for (int i = 0; i < node.inputs(); ++i) {
    node.require_number(i);
    if (node.has_rank(i)) {
      node.require(node.rank(i) >= 1, "input must have at least one axis (index)", i);
      const Dim these = rows_of(node.dims(i));
      node.require(!differ(rows, these), "inputs differ in their number of rows (input, rows, rows before)", i, these.size,
                   rows.size);
      rows = better(rows, these);
    }
    columns.push_back(!widths.empty() ? Dim(widths[static_cast<size_t>(i)]) : node.has_rank(i) ? width_of(node.dims(i)) : Dim());
  }
  int64_t total = 0;
  for (const Dim& width : columns) total = width.known() && total >= 0 ? checked_add(total, width.size, "columns") : -1;
  node.set_output(0, DType::kF32, Dims{rows, total >= 0 ? Dim(total) : Dim()});
}

template <auto kernel>
BoundKernel bind_vectorizer(const BindContext& node) {
  return {.run = [widths = widths_of(node)](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in, out[0], widths); }};
}

void infer_extractor(InferenceContext& node) {
  node.require_dtype(1, DType::kI64);
  std::optional<Dims> y;
  if (node.has_rank(0)) {
    node.require(node.rank(0) >= 1, "input must have at least one axis");
    const Dims& x = node.dims(0);
    y = x.size() == 1 ? Dims{Dim(1)} : Dims(x.begin(), x.end() - 1);
    y->push_back(node.has_rank(1) ? product(node.dims(1)) : Dim());
  }
  node.set_output(0, node.dtype(0), std::move(y));
}

template <auto kernel>
BoundKernel bind_extractor(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { kernel(context, in[0], in[1], out[0]); }};
}

constexpr OpDef feature_vectorizer_op = {
    .name = "FeatureVectorizer",
    .domain = "ai.onnx.ml",
    .max_inputs = kVariadic,
    .attributes = kVectorizerAttributes,
    .infer = infer_vectorizer,
    .cpu = bind_vectorizer<cpu::vectorize_features>,
    .cuda = on_cuda(bind_vectorizer<cuda::vectorize_features>),
};

constexpr OpDef array_feature_extractor_op = {
    .name = "ArrayFeatureExtractor",
    .domain = "ai.onnx.ml",
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer_extractor,
    .cpu = bind_extractor<cpu::extract_features>,
    .cuda = on_cuda(bind_extractor<cuda::extract_features>),
};

constexpr const OpDef* kOps[] = {&feature_vectorizer_op, &array_feature_extractor_op};

}  // namespace

extern const OpFamily feature_vectorizer_ops;
constinit const OpFamily feature_vectorizer_ops = kOps;

}  // namespace tandem
