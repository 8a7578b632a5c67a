// The encoders of raw columns (ai.onnx.ml) on small tables whose answers can be read off.
#include <limits>

#include "runtime/ops/all_ops.h"
#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

using Texts = std::vector<std::string>;
using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

void add(Cases& cases, const std::string& op, const std::string& what, Tensor input, Attributes attributes, Tensor expected,
         int opset = 0) {
  cases.push_back({.op = "ai.onnx.ml." + op,
                   .what = what,
                   .inputs = {std::move(input)},
                   .attributes = std::move(attributes),
                   .opset = opset,
                   .reference = fixed(std::move(expected)),
                   .round_trip = opset <= kOnnxMlOpset});
}

void add_arithmetic(Cases& cases) {
  const Tensor gaps = f32({2, 3}, {1, kNan, 3, kNan, 5, kNan});
  add(cases, "Imputer", "by feature", gaps, {{"replaced_value_float", kNan}, {"imputed_value_floats", Floats{10, 20, 30}}},
      f32({2, 3}, {1, 20, 3, 10, 5, 30}));
  add(cases, "Imputer", "by one value", gaps, {{"replaced_value_float", kNan}, {"imputed_value_floats", Floats{7}}},
      f32({2, 3}, {1, 7, 3, 7, 5, 7}));
  add(cases, "Imputer", "f64", as(DType::kF64, gaps), {{"replaced_value_float", kNan}, {"imputed_value_floats", Floats{7}}},
      f32({2, 3}, {1, 7, 3, 7, 5, 7}));
  add(cases, "Imputer", "integers", i64({2, 2}, {-1, 4, 5, -1}),
      {{"replaced_value_int64", int64_t{-1}}, {"imputed_value_int64s", Ints{8, 9}}}, i64({2, 2}, {8, 4, 5, 9}));
  const Tensor x = i64({2, 2}, {10, 20, 30, 40});
  for (DType type : {DType::kF32, DType::kF64, DType::kI64, DType::kI32}) {
    add(cases, "Scaler", "by feature", as(type, x), {{"offset", Floats{10, 20}}, {"scale", Floats{0.5f, 2}}},
        f32({2, 2}, {0, 0, 10, 40}));
    add(cases, "Normalizer", "max", as(type, x), {{"norm", std::string("MAX")}}, f32({2, 2}, {0.5f, 1, 0.75f, 1}));
  }
  add(cases, "Scaler", "by one value", x, {{"offset", Floats{10}}, {"scale", Floats{0.1f}}}, f32({2, 2}, {0, 1, 2, 3}));
  add(cases, "Normalizer", "l1", f32({3, 2}, {3, -4, 0, 0, 1, 1}), {{"norm", std::string("L1")}},
      f32({3, 2}, {3.0f / 7, -4.0f / 7, 0, 0, 0.5f, 0.5f}));
  add(cases, "Normalizer", "l2", f32({3, 2}, {3, -4, 0, 0, 0, 5}), {{"norm", std::string("L2")}},
      f32({3, 2}, {0.6f, -0.8f, 0, 0, 0, 1}));
  add(cases, "Normalizer", "a vector", f32({2}, {3, -4}), {{"norm", std::string("L2")}}, f32({2}, {0.6f, -0.8f}));
  add(cases, "Binarizer", "strict", f32({3}, {0.5f, 0.6f, -1}), {{"threshold", 0.5f}}, f32({3}, {0, 1, 0}));
}

void add_categories(Cases& cases) {
  const Tensor colours = strings({2, 2}, {"blue", "red", "pink", ""});
  add(cases, "OneHotEncoder", "text", colours, {{"cats_strings", Texts{"red", "green", "blue"}}},
      f32({2, 2, 3}, {0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}));
  for (DType type : {DType::kI64, DType::kI32, DType::kF32, DType::kF64})
    add(cases, "OneHotEncoder", "numbers", as(type, i64({3}, {-7, 5, 6})), {{"cats_int64s", Ints{5, -7}}},
        f32({3, 2}, {0, 1, 1, 0, 0, 0}));
  add(cases, "OneHotEncoder", "all known", strings({2}, {"b", "a"}), {{"cats_strings", Texts{"a", "b"}}, {"zeros", int64_t{0}}},
      f32({2, 2}, {0, 1, 1, 0}));
  for (const std::string op : {"LabelEncoder", "CategoryMapper"}) {
    Attributes to_int = {{"default_int64", int64_t{-5}}}, to_text = {{"default_string", std::string("?")}};
    for (Attributes* attributes : {&to_int, &to_text}) {
      (*attributes)[op == "LabelEncoder" ? "classes_strings" : "cats_strings"] = Texts{"a", "b"};
      if (op == "CategoryMapper") (*attributes)["cats_int64s"] = Ints{0, 1};
    }
    add(cases, op, "text to integer", strings({3}, {"b", "c", "a"}), to_int, i64({3}, {1, -5, 0}), 1);
    add(cases, op, "integer to text", i64({3}, {1, 2, 0}), to_text, strings({3}, {"b", "?", "a"}), 1);
  }
}

void add_label_encoder(Cases& cases, int opset) {
  const auto both = [&](const std::string& what, Tensor input, Attributes attributes, Tensor expected) {
    add(cases, "LabelEncoder", what, std::move(input), std::move(attributes), std::move(expected), opset);
  };
  both("text to integer", strings({2, 2}, {"b", "c", "a", "aa"}),
       {{"keys_strings", Texts{"a", "b", "a"}}, {"values_int64s", Ints{10, 20, 30}}}, i64({2, 2}, {20, -1, 10, -1}));
  both("integer to text", i64({3}, {7, 8, 9}), {{"keys_int64s", Ints{7, 9}}, {"values_strings", Texts{"seven", "nine"}}},
       strings({3}, {"seven", "_Unused", "nine"}));
  both("float to float", f32({3}, {1.5f, -0.0f, 2}),
       {{"keys_floats", Floats{0, 1.5f}}, {"values_floats", Floats{1, 2}}, {"default_float", 9.0f}}, f32({3}, {2, 1, 9}));
  both("text to float", strings({2}, {"x", "y"}), {{"keys_strings", Texts{"y"}}, {"values_floats", Floats{0.25f}}},
       f32({2}, {0, 0.25f}));
  both("text to text", strings({2}, {"x", "y"}),
       {{"keys_strings", Texts{"y"}}, {"values_strings", Texts{"Y"}}, {"default_string", std::string("none")}},
       strings({2}, {"none", "Y"}));
  if (opset < 4) return;
  both("tensors", as(DType::kF64, f32({3}, {1.5f, kNan, 3})),
       {{"keys_tensor", as(DType::kF64, f32({2}, {kNan, 1.5f}))},
        {"values_tensor", i64({2}, {1, 2})},
        {"default_tensor", i64({1}, {42})}},
       i64({3}, {2, 1, 42}));
}

void add_columns(Cases& cases) {
  const std::vector<Tensor> columns = {i64({2, 3}, {1, 2, 3, 4, 5, 6}), f32({2, 1}, {0.5f, 1.5f})};
  cases.push_back({.op = "ai.onnx.ml.FeatureVectorizer",
                   .what = "cut and filled",
                   .inputs = columns,
                   .attributes = {{"inputdimensions", Ints{2, 2}}},
                   .reference = fixed(f32({2, 4}, {1, 2, 0.5f, 0, 4, 5, 1.5f, 0}))});
  cases.push_back({.op = "ai.onnx.ml.FeatureVectorizer",
                   .what = "as they are",
                   .inputs = columns,
                   .reference = fixed(f32({2, 4}, {1, 2, 3, 0.5f, 4, 5, 6, 1.5f}))});
  cases.push_back({.op = "ai.onnx.ml.ArrayFeatureExtractor",
                   .what = "text",
                   .inputs = {strings({2, 3}, {"a", "b", "c", "d", "e", "f"}), i64({2, 0})},
                   .reference = fixed(strings({2, 2}, {"c", "a", "f", "d"}))});
  cases.push_back({.op = "ai.onnx.ml.ArrayFeatureExtractor",
                   .what = "a vector",
                   .inputs = {f32({3}, {1, 2, 3}), i64({1, 1, 2})},
                   .reference = fixed(f32({1, 3}, {2, 2, 3}))});
}

}  // namespace

void add_encoder_cases(Cases& cases) {
  add_arithmetic(cases);
  add_categories(cases);
  add_label_encoder(cases, 2);
  add_label_encoder(cases, 4);
  add_columns(cases);
}

}  // namespace tandem::conformance
