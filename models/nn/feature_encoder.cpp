#include "models/nn/feature_encoder.h"

#include <limits>

namespace tandem::nn {
namespace {

ValueId ml(NetworkBuilder& builder, const std::string& name, std::string_view op, ValueId input, Attributes attributes) {
  return builder.emit(name).many(op, "ai.onnx.ml", {input}, 1, std::move(attributes))[0];
}

ValueId concat(NetworkBuilder& builder, const std::string& name, std::vector<ValueId> parts) {
  return parts.size() == 1 ? parts[0] : builder.emit(name).op("Concat", std::move(parts), {{"axis", int64_t{1}}});
}

// log(1 + x) as exporters write it; the column's fill is in its own unit, so imputation comes first.
ValueId log1p(NetworkBuilder& builder, const std::string& name, ValueId x) {
  Emitter emit = builder.emit(name + ".log1p");
  return emit.op("Log", {emit.op("Add", {x, emit.scalar(1.0f)})});
}

ValueId encode_numbers(NetworkBuilder& builder, const std::vector<NumericFeature>& features) {
  std::vector<ValueId> columns;
  std::vector<float> offset, scale;
  for (const NumericFeature& feature : features) {
    ValueId x = builder.graph().add_input(feature.name, DType::kF32, {"batch", 1});
    x = ml(builder, feature.name, "Imputer", x,
           {{"imputed_value_floats", std::vector<float>{static_cast<float>(feature.fill)}},
            {"replaced_value_float", std::numeric_limits<float>::quiet_NaN()}});
    columns.push_back(feature.log1p ? log1p(builder, feature.name, x) : x);
    offset.push_back(static_cast<float>(feature.mean));
    scale.push_back(static_cast<float>(1 / feature.deviation));
  }
  return ml(builder, "numbers", "Scaler", concat(builder, "numbers", columns), {{"offset", offset}, {"scale", scale}});
}

ValueId encode_text(NetworkBuilder& builder, const TextFeature& feature) {
  ValueId x = builder.graph().add_input(feature.name, DType::kString, {"batch", 1});
  std::vector<std::string> categories = feature.categories;
  if (feature.missing > 0) {
    // Every text that means "no value" becomes the first of them, which is a category of its own.
    const std::string& missing = feature.missing_texts.front();
    std::vector<std::string> keys = feature.missing_texts, values(keys.size(), missing);
    for (const std::string& category : categories) {
      keys.push_back(category);
      values.push_back(category);
    }
    x = ml(builder, feature.name, "LabelEncoder", x,
           {{"keys_strings", keys}, {"values_strings", values}, {"default_string", std::string("\x01unknown")}});
    categories.push_back(missing);
  }
  const auto width = static_cast<int64_t>(categories.size());
  x = ml(builder, feature.name, "OneHotEncoder", x, {{"cats_strings", categories}, {"zeros", int64_t{1}}});
  Emitter emit = builder.emit(feature.name);
  const ValueId shape = builder.graph().add_constant(feature.name + ".shape", Tensor::of<int64_t>({2}, {0, width}));
  return emit.op("Reshape", {x, shape});
}

}  // namespace

ValueId encode_features(NetworkBuilder& builder, const FeatureSpec& spec) {
  std::vector<ValueId> parts;
  if (!spec.numeric.empty()) parts.push_back(encode_numbers(builder, spec.numeric));
  for (const TextFeature& feature : spec.text) parts.push_back(encode_text(builder, feature));
  require(!parts.empty(), "the data has no feature columns");
  return concat(builder, "features", parts);
}

}  // namespace tandem::nn
