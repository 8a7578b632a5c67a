// What the network, loss and encoder ops refuse, and how they say so; and what they know of shapes that are not all numbers.
#include <gtest/gtest.h>

#include <string>

#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

struct Input {
  DType dtype;
  Dims dims;
};
Input f32(Dims dims) { return {DType::kF32, std::move(dims)}; }
Input i64(Dims dims) { return {DType::kI64, std::move(dims)}; }
Input text(Dims dims) { return {DType::kString, std::move(dims)}; }

using Ints = std::vector<int64_t>;

// The types of the outputs of a node "layer1" with these inputs.
std::vector<TensorType> infer(const std::string& op, std::vector<Input> inputs, Attributes attributes = {}, int outputs = 1,
                              std::string_view domain = "") {
  Graph graph;
  std::vector<ValueId> ids;
  for (size_t i = 0; i < inputs.size(); ++i)
    ids.push_back(graph.add_input("x" + std::to_string(i), inputs[i].dtype, inputs[i].dims));
  std::vector<TensorType> types;
  for (ValueId id : graph.add_node(newest_op(op, domain), ids, outputs, std::move(attributes), "layer1"))
    types.push_back(graph.value(id).type);
  return types;
}
std::string dims_of(const std::string& op, std::vector<Input> inputs, Attributes attributes = {}, std::string_view domain = "") {
  return to_string(*infer(op, std::move(inputs), std::move(attributes), 1, domain)[0].dims);
}

// Expects an InvalidArgument that holds `part` and names the node.
void expect_refused(const std::string& part, const std::string& op, std::vector<Input> inputs, Attributes attributes = {},
                    int outputs = 1, std::string_view domain = "") {
  try {
    infer(op, std::move(inputs), std::move(attributes), outputs, domain);
    ADD_FAILURE() << op << " took it; expected: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    const std::string message = error.what();
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find("layer1"), std::string::npos) << message;
  }
}

TEST(ConvRule, SaysWhatDoesNotFit) {
  const Input x = f32({2, 3, 8, 8}), w = f32({4, 3, 3, 3});
  expect_refused("[Conv] input X has 3 channels, weight W expects 4 (node 'layer1')", "Conv", {x, f32({4, 4, 3, 3})});
  expect_refused("X must have 1 to 3 spatial axes", "Conv", {f32({2, 3}), f32({4, 3})});
  expect_refused("as many axes", "Conv", {x, f32({4, 3, 3})});
  expect_refused("as many axes", "Conv", {x, f32({4})});
  expect_refused("group must divide the filters", "Conv", {x, f32({4, 1, 3, 3})}, {{"group", int64_t{3}}});
  expect_refused("group must be positive", "Conv", {x, w}, {{"group", int64_t{0}}});
  expect_refused("overflows", "Conv", {x, w}, {{"group", INT64_MAX}});
  expect_refused("kernel_shape differs", "Conv", {x, w}, {{"kernel_shape", Ints{3, 5}}});
  expect_refused("kernel_shape", "Conv", {x, w}, {{"kernel_shape", Ints{3}}});
  expect_refused("one value a filter", "Conv", {x, w, f32({3})});
  expect_refused("auto_pad", "Conv", {x, w}, {{"auto_pad", std::string("SAME")}});
  expect_refused("one type", "Conv", {x, {DType::kF64, {4, 3, 3, 3}}});
}

TEST(ConvRule, RefusesWindowsThatMakeNoSense) {
  const Input x = f32({2, 3, 8, 8}), w = f32({4, 3, 3, 3});
  const std::pair<std::string, Ints> wrong[] = {
      {"strides", {2}},   {"strides", {0, 1}},     {"strides", {1, -1}},      {"strides", {1, 1, 1}},
      {"dilations", {1}}, {"dilations", {0, 1}},   {"dilations", {4, 1}},     {"dilations", {INT64_MAX, 1}},
      {"pads", {1, 1}},   {"pads", {-1, 0, 0, 0}}, {"pads", {1, 1, 1, 1, 1}}, {"pads", {INT64_MAX, 0, INT64_MAX, 0}},
  };
  for (const auto& [name, values] : wrong) {
    SCOPED_TRACE(name);
    expect_refused("", "Conv", {x, w}, {{name, values}});
    expect_refused("", "MaxPool", {x}, {{"kernel_shape", Ints{3, 3}}, {name, values}});
    expect_refused("", "AveragePool", {x}, {{"kernel_shape", Ints{3, 3}}, {name, values}});
  }
  for (const Ints& kernel : {Ints{}, Ints{3}, Ints{0, 3}, Ints{-1, 3}, Ints{9, 3}, Ints{INT64_MAX, 3}})
    expect_refused("", "MaxPool", {x}, {{"kernel_shape", kernel}});
}

TEST(ConvRule, SaysWhatAWindowMakesOfASymbol) {
  EXPECT_EQ(dims_of("Conv", {f32({"batch", 3, "height", 9}), f32({4, 3, 3, 3})}, {{"pads", Ints{1, 0, 1, 0}}}),
            "[batch, 4, height, 7]");
  EXPECT_EQ(dims_of("Conv", {f32({"batch", 3, "height", 9}), f32({4, 3, 3, 3})}), "[batch, 4, height - 2, 7]");
  EXPECT_EQ(dims_of("MaxPool", {f32({"batch", 3, "height", 9})}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}),
            "[batch, 3, floor(height/2), 4]");
  const std::string same = "SAME_UPPER";
  EXPECT_EQ(dims_of("MaxPool", {f32({"batch", 3, "height", 9})}, {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"auto_pad", same}}),
            "[batch, 3, floor((height + 1)/2), 5]");
  EXPECT_EQ(dims_of("MaxPool", {f32({"batch", 3, "height", 9})}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"ceil_mode", int64_t{1}}}),
            "[batch, 3, floor((height + 1)/2), 5]");
  // A last window that might start behind the end does not count, and only the size tells.
  EXPECT_EQ(dims_of("MaxPool", {f32({"batch", 3, "height", 9})}, {{"kernel_shape", Ints{1, 1}}, {"strides", Ints{2, 2}}, {"pads", Ints{0, 0, 2, 2}}, {"ceil_mode", int64_t{1}}}),
            "[batch, 3, ?, 5]");
  EXPECT_EQ(dims_of("GlobalAveragePool", {f32({"batch", "channels", 5, "width"})}), "[batch, channels, 1, 1]");
}

TEST(ProductRule, SaysWhatDoesNotMultiply) {
  expect_refused("do not multiply", "Gemm", {f32({2, 3}), f32({4, 5})});
  expect_refused("must be matrices", "Gemm", {f32({2, 3, 1}), f32({3, 5})});
  expect_refused("does not broadcast", "Gemm", {f32({2, 3}), f32({3, 5}), f32({4})});
  expect_refused("does not broadcast", "Gemm", {f32({1, 3}), f32({3, 5}), f32({2, 5})});
  expect_refused("at most 2 axes", "Gemm", {f32({2, 3}), f32({3, 5}), f32({1, 2, 5})});
  expect_refused("do not multiply", "MatMul", {f32({2, 3}), f32({4, 5})});
  expect_refused("do not broadcast", "MatMul", {f32({2, 2, 3}), f32({3, 3, 5})});
  expect_refused("at least one axis", "MatMul", {f32({}), f32({3, 5})});
  expect_refused("activation", "FusedGemm", {f32({2, 3}), f32({3, 5})}, {{"activation", std::string("Swisch")}}, 1, "tandem");
  expect_refused("f32, f64, f16 or bf16", "MatMul", {Input{DType::kBool, {2, 3}}, Input{DType::kBool, {3, 2}}});
}

TEST(ProductRule, CarriesSymbols) {
  EXPECT_EQ(dims_of("Gemm", {f32({"batch", 3}), f32({5, 3})}, {{"transB", int64_t{1}}}), "[batch, 5]");
  EXPECT_EQ(dims_of("MatMul", {f32({"batch", "length", 3}), f32({3, 5})}), "[batch, length, 5]");
  EXPECT_EQ(dims_of("MatMul", {f32({"batch", 3}), f32({3})}), "[batch]");
}

TEST(LossRule, SaysWhatDoesNotFit) {
  expect_refused("labels", "SoftmaxCrossEntropyLoss", {f32({8, 10}), i64({7})});
  expect_refused("labels", "SoftmaxCrossEntropyLoss", {f32({8, 10}), i64({8, 1})});
  expect_refused("i32 or i64", "SoftmaxCrossEntropyLoss", {f32({8, 10}), f32({8})});
  expect_refused("one value a class", "SoftmaxCrossEntropyLoss", {f32({8, 10}), i64({8}), f32({9})});
  expect_refused("reduction", "SoftmaxCrossEntropyLoss", {f32({8, 10}), i64({8})}, {{"reduction", std::string("average")}});
  expect_refused("class axis", "SoftmaxCrossEntropyLoss", {f32({8}), i64({})});
  expect_refused("axis", "Softmax", {f32({2, 3})}, {{"axis", int64_t{2}}});
  EXPECT_EQ(dims_of("SoftmaxCrossEntropyLoss", {f32({"batch", 10}), i64({"batch"})}), "[]");
}

TEST(NormalizationRule, SaysWhatDoesNotFit) {
  const Input x = f32({2, 3, 4});
  expect_refused("one value a channel", "BatchNormalization", {x, f32({3}), f32({4}), f32({3}), f32({3})});
  expect_refused("training_mode", "BatchNormalization", {x, f32({3}), f32({3}), f32({3}), f32({3})}, {}, 3);
  expect_refused("normalized axes", "LayerNormalization", {x, f32({3})});
  expect_refused("axis", "LayerNormalization", {x, f32({4})}, {{"axis", int64_t{3}}});
  expect_refused("ratio", "RandomDropout", {x, i64({})}, {{"ratio", 1.0f}}, 1, "tandem");
}

TEST(OptimizerRule, SaysWhatDoesNotFit) {
  const Input p = f32({8}), one = f32({});
  expect_refused("ranges differ", "Sgd", {p, p, f32({7}), one}, {}, 2, "tandem");
  expect_refused("scalars", "Sgd", {p, p, p, f32({2})}, {}, 2, "tandem");
  expect_refused("momentum needs a buffer", "Sgd", {p, p, p, one}, {{"momentum", 0.9f}}, 1, "tandem");
  expect_refused("below 1", "Adam", {p, p, p, p, one, i64({})}, {{"beta1", 1.0f}}, 3, "tandem");
  expect_refused("another type", "Adam", {p, p, p, p, one, one}, {}, 3, "tandem");
}

TEST(EncoderRule, SaysWhatDoesNotFit) {
  const std::string_view ml = "ai.onnx.ml";
  expect_refused("imputed values", "Imputer", {f32({2, 3})}, {}, 1, ml);
  expect_refused("one a feature", "Imputer", {f32({2, 3})}, {{"imputed_value_floats", std::vector<float>{1, 2}}}, 1, ml);
  expect_refused("exactly one of", "OneHotEncoder", {text({2})}, {}, 1, ml);
  expect_refused("another type", "OneHotEncoder", {i64({2})}, {{"cats_strings", std::vector<std::string>{"a"}}}, 1, ml);
  expect_refused("number", "OneHotEncoder", {text({2})}, {{"cats_int64s", Ints{1}}}, 1, ml);
  expect_refused("as many keys as values", "LabelEncoder", {text({2})},
                 {{"keys_strings", std::vector<std::string>{"a", "b"}}, {"values_int64s", Ints{1}}}, 1, ml);
  expect_refused("norm", "Normalizer", {f32({2})}, {{"norm", std::string("L3")}}, 1, ml);
  expect_refused("rows", "FeatureVectorizer", {f32({2, 1}), f32({3, 1})}, {}, 1, ml);
  expect_refused("negative", "FeatureVectorizer", {f32({2, 1})}, {{"inputdimensions", Ints{-1}}}, 1, ml);
  EXPECT_EQ(dims_of("OneHotEncoder", {text({"batch", 1})}, {{"cats_strings", std::vector<std::string>{"a", "b"}}}, ml),
            "[batch, 1, 2]");
  EXPECT_EQ(dims_of("FeatureVectorizer", {f32({"batch", 2}), i64({"batch", 3})}, {}, ml), "[batch, 5]");
}

}  // namespace
}  // namespace tandem
