// What the passes on quantized values make of DequantizeLinear and QuantizeLinear, and what must stop them.
//
// Scales of products are powers of two here: f32 is exact then, and the nodes one by one give the same bits as the fused one.
#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

ValueId scale_of(Graph& graph, std::vector<float> values) {
  const auto n = static_cast<int64_t>(values.size());
  return graph.add_constant("scale", n == 1 ? Tensor::scalar<float>(values[0]) : Tensor::of<float>({n}, values));
}
ValueId zero_u8(Graph& graph, uint8_t zero) { return graph.add_constant("zero", Tensor::scalar<uint8_t>(zero)); }

ValueId quantize(Graph& graph, ValueId x, float scale, uint8_t zero = 0) {
  return add(graph, "QuantizeLinear", {x, scale_of(graph, {scale}), zero_u8(graph, zero)});
}
ValueId dequantize(Graph& graph, ValueId q, float scale, uint8_t zero = 0) {
  return add(graph, "DequantizeLinear", {q, scale_of(graph, {scale}), zero_u8(graph, zero)});
}
// A value that was quantized.
ValueId through(Graph& graph, ValueId x, float scale = 0x1p-7f, uint8_t zero = 128) {
  return dequantize(graph, quantize(graph, x, scale, zero), scale, zero);
}

Tensor bytes(const Shape& shape, unsigned seed) {
  std::mt19937 generator(seed);
  Tensor tensor(DType::kI8, shape);
  for (int8_t& x : tensor.as<int8_t>()) x = static_cast<int8_t>(generator());
  return tensor;
}
// A weight of i8 with one scale an index of `axis`, dequantized.
ValueId weight(Graph& graph, const Shape& shape, int64_t axis) {
  std::vector<float> scales;
  for (int64_t i = 0; i < shape[static_cast<int>(axis)]; ++i) scales.push_back(i % 2 ? 0x1p-8f : 0x1p-6f);
  return add(graph, "DequantizeLinear", {graph.add_constant("w", bytes(shape, 5)), scale_of(graph, scales)}, {{"axis", axis}});
}
ValueId bias(Graph& graph, std::vector<int32_t> values) {
  const auto n = static_cast<int64_t>(values.size());
  return add(graph, "DequantizeLinear", {graph.add_constant("b", Tensor::of<int32_t>({n}, values)), scale_of(graph, {0x1p-10f})});
}

int count(const Graph& graph, std::string_view op) {
  return static_cast<int>(std::ranges::count_if(graph.nodes, [&](const Node& node) { return node.def->name == op; }));
}

ValueId image(Graph& graph) { return graph.add_input("x", DType::kF32, {2, 3, 6, 5}); }

TEST(QdqProducts, ConvolutionWithBiasAndActivation) {
  for (const char* activation : {"", "Relu", "Clip"}) {
    Graph graph;
    ValueId y = add(graph, "Conv", {through(graph, image(graph)), weight(graph, {4, 3, 3, 3}, 0), bias(graph, {100, -3, 0, 9})},
                    {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
    if (activation == std::string("Clip"))
      y = add(graph, "Clip",
              {y, graph.add_constant("low", Tensor::scalar<float>(-0.5f)), graph.add_constant("high", Tensor::scalar<float>(6))});
    else if (*activation)
      y = add(graph, activation, {y});
    graph.outputs = {quantize(graph, y, 0.0625f, 100)};
    EXPECT_EQ(apply_and_compare(qdq_product_fusion_pass, graph), 1);
    EXPECT_EQ(graph.nodes.size(), 2u) << to_text(graph);  // Q(x), QuantizedConv
    EXPECT_EQ(count(graph, "QuantizedConv"), 1);
  }
}

TEST(QdqProducts, MatMulGemmAndAddedBias) {
  for (const bool transposed : {false, true}) {
    Graph graph;
    const ValueId x = through(graph, graph.add_input("x", DType::kF32, {"batch", 8}));
    const ValueId one =
        add(graph, "Gemm",
            {x, weight(graph, transposed ? Shape{6, 8} : Shape{8, 6}, transposed ? 0 : 1), bias(graph, {1, 2, 3, 4, 5, 6})},
            {{"transB", int64_t{transposed}}});
    const ValueId two =
        add(graph, "Add", {constant(graph, "b", {6}, {1, 2, 3, 4, 5, 6}), add(graph, "MatMul", {x, weight(graph, {8, 6}, 1)})});
    graph.outputs = {quantize(graph, one, 0.5f, 9), quantize(graph, add(graph, "Relu", {two}), 0.5f)};
    EXPECT_EQ(apply_and_compare(qdq_product_fusion_pass, graph), 2);
    EXPECT_EQ(graph.nodes.size(), 3u) << to_text(graph);
  }
}

TEST(QdqProducts, TwoActivations) {
  Graph graph;
  const ValueId a = through(graph, graph.add_input("a", DType::kF32, {2, 3, 4})),
                b = through(graph, graph.add_input("b", DType::kF32, {2, 4, 5}));
  graph.outputs = {quantize(graph, add(graph, "MatMul", {a, b}), 0.25f, 60)};
  EXPECT_EQ(apply_and_compare(qdq_product_fusion_pass, graph), 1);
}

TEST(QdqProducts, WhatIsQuantizedMayHaveOtherReaders) {
  Graph graph;
  const ValueId x = through(graph, image(graph));
  const ValueId q = quantize(graph, add(graph, "Conv", {x, weight(graph, {4, 3, 1, 1}, 0)}), 0.25f, 60);
  graph.outputs = {q, dequantize(graph, q, 0.25f, 60), add(graph, "Neg", {x})};
  EXPECT_EQ(apply_and_compare(qdq_product_fusion_pass, graph), 1);
  EXPECT_EQ(count(graph, "DequantizeLinear"), 2);
}

// Each of these must stay as it is.
void expect_left_alone(Graph& graph, const Pass& pass) {
  const Graph before = graph;
  EXPECT_EQ(apply_and_compare(pass, graph), 0) << to_text(graph);
  EXPECT_EQ(graph.nodes.size(), before.nodes.size());
}

TEST(QdqProducts, AnInnerValueThatOthersRead) {
  for (const bool returned : {false, true}) {
    Graph graph;
    const ValueId y = add(graph, "Conv", {through(graph, image(graph)), weight(graph, {4, 3, 1, 1}, 0)});
    graph.outputs = {quantize(graph, add(graph, "Relu", {y}), 0.25f, 60), returned ? y : add(graph, "Neg", {y})};
    expect_left_alone(graph, qdq_product_fusion_pass);
  }
}

TEST(QdqProducts, OperandsWithoutIntegers) {
  Graph graph;
  const ValueId x = image(graph), w = graph.add_constant("w", random_tensor({4, 3, 1, 1}, 3));
  graph.outputs = {quantize(graph, add(graph, "Conv", {x, weight(graph, {4, 3, 1, 1}, 0)}), 0.25f),
                   quantize(graph, add(graph, "Conv", {through(graph, x), w}), 0.25f)};
  expect_left_alone(graph, qdq_product_fusion_pass);
}

TEST(QdqProducts, ScalesThatAreInputsOrLieWrong) {
  Graph graph;
  const ValueId x = image(graph), scale = graph.add_input("scale", DType::kF32, {});
  const ValueId free = add(graph, "DequantizeLinear", {quantize(graph, x, 0.5f), scale, zero_u8(graph, 0)});
  const ValueId per_channel =
      add(graph, "DequantizeLinear", {quantize(graph, x, 0.5f), scale_of(graph, {1, 2, 4})}, {{"axis", int64_t{1}}});
  graph.outputs = {quantize(graph, add(graph, "Conv", {free, weight(graph, {4, 3, 1, 1}, 0)}), 0.25f),
                   quantize(graph, add(graph, "Conv", {per_channel, weight(graph, {4, 3, 1, 1}, 0)}), 0.25f),
                   quantize(graph, add(graph, "Conv", {through(graph, x), weight(graph, {4, 3, 1, 1}, 1)}), 0.25f)};
  expect_left_alone(graph, qdq_product_fusion_pass);
}

TEST(QdqProducts, GemmsWithFactors) {
  Graph graph;
  const ValueId x = through(graph, graph.add_input("x", DType::kF32, {6, 6}));
  const auto gemm = [&](Attributes attributes) {
    return add(graph, "Gemm", {x, weight(graph, {6, 6}, 1), bias(graph, {1, 2, 3, 4, 5, 6})}, attributes);
  };
  graph.outputs = {quantize(graph, gemm({{"alpha", 2.0f}}), 0.5f), quantize(graph, gemm({{"beta", 2.0f}}), 0.5f),
                   quantize(graph, gemm({{"transA", int64_t{1}}}), 0.5f)};
  expect_left_alone(graph, qdq_product_fusion_pass);
}

TEST(QdqProducts, SumsThatMayNotFit) {
  Graph graph;
  const ValueId x = through(graph, graph.add_input("x", DType::kF32, {1, 70000}), 1, 0);
  graph.outputs = {quantize(graph, add(graph, "MatMul", {x, weight(graph, {70000, 1}, 1)}), 0.5f)};
  expect_left_alone(graph, qdq_product_fusion_pass);
}

TEST(QdqProducts, ABiasThatIsNoVector) {
  Graph graph;
  const ValueId x = through(graph, graph.add_input("x", DType::kF32, {6, 4}));
  const auto product = [&] { return add(graph, "MatMul", {x, weight(graph, {4, 6}, 1)}); };
  graph.outputs = {quantize(graph, add(graph, "Add", {product(), constant(graph, "column", {6, 1}, {1, 2, 3, 4, 5, 6})}), 0.5f),
                   quantize(graph, add(graph, "Add", {product(), graph.add_input("b", DType::kF32, {6})}), 0.5f),
                   quantize(graph, add(graph, "Add", {product(), constant(graph, "one", {1}, {1})}), 0.5f)};
  expect_left_alone(graph, qdq_product_fusion_pass);
}

TEST(QdqMovement, IntegersMoveInPlaceOfNumbers) {
  Graph graph;
  const ValueId x = through(graph, image(graph));
  ValueId y = add(graph, "Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}});
  y = add(graph, "Reshape", {y, graph.add_constant("shape", Tensor::of<int64_t>({2}, {2, 90}))});
  const ValueId pool =
      add(graph, "MaxPool", {x}, {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  const ValueId padded = add(graph, "Pad", {x, graph.add_constant("pads", Tensor::of<int64_t>({8}, {0, 0, 1, 1, 0, 0, 0, 2}))});
  const ValueId resized = add(graph, "Resize", {x, kNoValue, constant(graph, "scales", {4}, {1, 1, 2, 2})});
  graph.outputs = {quantize(graph, y, 0x1p-7f, 128), quantize(graph, pool, 0x1p-7f, 128), quantize(graph, padded, 0x1p-7f, 128),
                   quantize(graph, resized, 0x1p-7f, 128)};
  EXPECT_GT(apply_and_compare(qdq_movement_pass, graph), 0);
  EXPECT_EQ(count(graph, "QuantizeLinear"), 1) << to_text(graph);
  EXPECT_EQ(count(graph, "DequantizeLinear"), 0) << to_text(graph);
}

TEST(QdqMovement, PartsAndConcat) {
  Graph graph;
  const auto parts = graph.add_node(newest_op("Split"),
                                    {through(graph, image(graph)), graph.add_constant("sizes", Tensor::of<int64_t>({2}, {2, 4}))},
                                    2, {{"axis", int64_t{2}}});
  graph.outputs = {quantize(graph, add(graph, "Concat", {parts[1], parts[0]}, {{"axis", int64_t{2}}}), 0x1p-7f, 128),
                   add(graph, "Neg", {parts[0]})};
  EXPECT_EQ(apply_and_compare(qdq_movement_pass, graph), 3);
  EXPECT_EQ(count(graph, "DequantizeLinear"), 1) << to_text(graph);  // of what Neg reads
}

TEST(QdqMovement, AWeightsScalesMoveWithItsTranspose) {
  Graph graph;
  const ValueId w = add(graph, "Transpose", {weight(graph, {6, 8}, 0)}, {{"perm", std::vector<int64_t>{1, 0}}});
  const ValueId x = through(graph, graph.add_input("x", DType::kF32, {3, 8}));
  graph.outputs = {quantize(graph, add(graph, "MatMul", {x, w}), 0.5f, 9)};
  EXPECT_GT(apply_and_compare(qdq_movement_pass, graph), 0);
  EXPECT_EQ(apply_and_compare(qdq_product_fusion_pass, graph), 1);
}

TEST(QdqMovement, OtherNumbersStay) {
  Graph graph;
  const ValueId x = image(graph), a = through(graph, x), b = through(graph, x, 0x1p-6f, 128);
  graph.outputs = {quantize(graph, a, 0x1p-7f, 127), add(graph, "Concat", {a, b}, {{"axis", int64_t{0}}}),
                   add(graph, "Pad",
                       {a, graph.add_constant("pads", Tensor::of<int64_t>({8}, {0, 0, 1, 1, 0, 0, 0, 2})),
                        graph.add_constant("value", Tensor::scalar<float>(0.3f))})};
  expect_left_alone(graph, qdq_movement_pass);
}

TEST(QdqElementwise, FunctionsBecomeTables) {
  for (const char* op : {"Sigmoid", "HardSwish", "Tanh", "LeakyRelu", "Erf", "Exp", "Gelu", "Mish", "Softplus", "Elu"}) {
    Graph graph;
    graph.outputs = {quantize(graph, add(graph, op, {through(graph, image(graph), 0.013f, 101)}), 0.0071f, 37)};
    EXPECT_EQ(apply_and_compare(qdq_elementwise_fusion_pass, graph), 1) << op;
    EXPECT_EQ(graph.nodes.size(), 2u) << to_text(graph);
  }
}

TEST(QdqElementwise, AFunctionOfManyNodes) {
  Graph graph;
  const ValueId q = quantize(graph, image(graph), 0.013f, 101), x = dequantize(graph, q, 0.013f, 101),
                same = dequantize(graph, q, 0.013f, 101);
  const ValueId gate = add(graph, "Sigmoid", {add(graph, "Mul", {x, constant(graph, "a", {1}, {1.702f})})});
  graph.outputs = {quantize(graph, add(graph, "Mul", {same, gate}), 0.0071f, 37)};
  EXPECT_EQ(apply_and_compare(qdq_elementwise_fusion_pass, graph), 1);
  EXPECT_EQ(graph.nodes.size(), 2u) << to_text(graph);
}

// GELU as quantized step by step: numbers that are quantized too, sizes that nobody knows.
TEST(QdqElementwise, NumbersThatAreQuantizedToo) {
  Graph graph;
  const ValueId q = quantize(graph, graph.add_input("x", DType::kF32, {Dim{}, Dim{}, 6}), 0.013f, 101);
  const auto number = [&](uint8_t content, float scale) {
    return dequantize(graph, graph.add_constant("n", Tensor::scalar<uint8_t>(content)), scale);
  };
  const auto x = [&] { return dequantize(graph, q, 0.013f, 101); };
  const ValueId scaled = add(graph, "Div", {x(), graph.add_constant("root", Tensor::scalar<float>(1.41421356f))});
  const ValueId error = through(graph, add(graph, "Erf", {scaled}), 0.0078f, 128);
  const ValueId raised = through(graph, add(graph, "Add", {error, number(255, 1.0f / 255)}), 0.0078f, 0);
  const ValueId product = through(graph, add(graph, "Mul", {x(), raised}), 0.02f, 12);
  graph.outputs = {quantize(graph, add(graph, "Mul", {number(255, 0.5f / 255), product}), 0.01f, 12)};
  EXPECT_EQ(apply_and_compare(qdq_elementwise_fusion_pass, graph), 4);
  EXPECT_EQ(apply_and_compare(byte_table_fusion_pass, graph), 3);
  EXPECT_EQ(graph.nodes.size(), 2u) << to_text(graph);
}

TEST(QdqElementwise, ANumberWithMoreAxesThanXStays) {
  Graph graph;
  const ValueId x = through(graph, graph.add_input("x", DType::kF32, {Dim{}, 6}), 0.013f, 101);
  const ValueId one = dequantize(graph, graph.add_constant("n", Tensor::of<uint8_t>({1, 1, 1}, {7})), 0.1f);
  graph.outputs = {quantize(graph, add(graph, "Sigmoid", {add(graph, "Add", {x, one})}), 0.0071f, 37)};
  expect_left_alone(graph, qdq_elementwise_fusion_pass);
}

TEST(QdqElementwise, NaNsOfBytesAreNone) {
  Graph graph;
  const ValueId x = through(graph, image(graph), 0.013f, 101);
  graph.outputs = {quantize(graph, add(graph, "Where", {add(graph, "IsNaN", {x}), constant(graph, "zero", {1}, {0}), x}), 0.013f, 101)};
  EXPECT_EQ(apply_and_compare(qdq_elementwise_fusion_pass, graph), 1);
  EXPECT_EQ(count(graph, "ByteTable"), 1) << to_text(graph);
  graph.outputs.push_back(add(graph, "Identity", {graph.outputs[0]}));
  EXPECT_EQ(apply_and_compare(byte_table_fusion_pass, graph), 1);
  EXPECT_EQ(count(graph, "ByteTable"), 0) << to_text(graph);
}

TEST(QdqElementwise, AnyElementwiseFunctionIsATable) {
  for (const char* op : {"Sin", "Atan", "Cosh", "Shrink", "Sum"}) {
    Graph graph;
    graph.outputs = {quantize(graph, add(graph, op, {through(graph, image(graph), 0.013f, 101)}), 0.0171f, 37)};
    EXPECT_EQ(apply_and_compare(qdq_elementwise_fusion_pass, graph), 1) << op;
    EXPECT_EQ(count(graph, "ByteTable"), 1) << to_text(graph);
  }
}

TEST(QdqElementwise, OtherScalesAreATable) {
  Graph graph;
  graph.outputs = {quantize(graph, through(graph, image(graph), 0.013f, 101), 0.017f, 3)};
  EXPECT_EQ(apply_and_compare(qdq_elementwise_fusion_pass, graph), 1);
}

TEST(QdqElementwise, SumsAndProducts) {
  for (const char* op : {"Add", "Mul"})
    for (const bool relu : {false, true}) {
      Graph graph;
      const ValueId a = through(graph, image(graph), 0.013f, 101),
                    b = through(graph, graph.add_input("b", DType::kF32, {2, 3, 1, 1}), 0.0077f, 130);
      const ValueId y = add(graph, op, {a, b});
      graph.outputs = {quantize(graph, relu ? add(graph, "Relu", {y}) : y, 0.0071f, 37),
                       quantize(graph, add(graph, op, {b, a}), 0.011f, 0)};
      EXPECT_EQ(apply_and_compare(qdq_elementwise_fusion_pass, graph), 2);
      EXPECT_EQ(count(graph, "DequantizeLinear"), 0) << to_text(graph);
      EXPECT_EQ(count(graph, "ByteTable"), relu ? 1 : 0);
    }
}

TEST(QdqElementwise, WhatMustStay) {
  Graph graph;
  const ValueId x = image(graph), d = through(graph, x, 0.013f, 101), read = add(graph, "Sigmoid", {d});
  graph.outputs = {
      quantize(graph, read, 0.0071f, 37), read,                                                   // an inner value is returned
      quantize(graph, add(graph, "Add", {d, x}), 0.0071f, 37),                                    // not all quantized
      quantize(graph, add(graph, "Add", {d, constant(graph, "c", {5}, {1, 2, 3, 4, 5})}), 0.5f),  // other numbers at other places
      quantize(graph, add(graph, "Softmax", {d}), 0.004f)};                                       // not elementwise
  expect_left_alone(graph, qdq_elementwise_fusion_pass);
}

TEST(ByteTables, AGateThatWasQuantizedIsOneTable) {
  for (const char* op : {"Add", "Mul"}) {
    Graph graph;
    const ValueId q = quantize(graph, image(graph), 0.013f, 101), x = dequantize(graph, q, 0.013f, 101), same = dequantize(graph, q, 0.013f, 101);
    const ValueId gate = through(graph, add(graph, "Sigmoid", {x}), 0.0039f, 0);
    graph.outputs = {quantize(graph, add(graph, "Tanh", {through(graph, add(graph, op, {same, gate}), 0.0071f, 37)}), 0.01f, 120)};
    qdq_elementwise_fusion_pass.apply(graph);
    EXPECT_EQ(count(graph, "ByteTable"), 2) << to_text(graph);
    EXPECT_EQ(apply_and_compare(byte_table_fusion_pass, graph), 2);
    EXPECT_EQ(graph.nodes.size(), 2u) << to_text(graph);
  }
}

TEST(ByteTables, OfTwoTensorsStayApart) {
  Graph graph;
  const ValueId x = image(graph), a = through(graph, x, 0.013f, 101), b = through(graph, x, 0.017f, 90);
  graph.outputs = {quantize(graph, add(graph, "Mul", {a, through(graph, add(graph, "Sigmoid", {b}), 0.0039f)}), 0.0071f, 37)};
  qdq_elementwise_fusion_pass.apply(graph);
  expect_left_alone(graph, byte_table_fusion_pass);
}

TEST(QdqFolding, WeightsStayIntegersUntilNobodyTakesThem) {
  Graph graph;
  graph.outputs = {add(graph, "Conv", {image(graph), weight(graph, {4, 3, 1, 1}, 0)})};
  EXPECT_EQ(apply_and_compare(constant_folding_pass, graph), 0);
  EXPECT_EQ(apply_and_compare(dequantization_folding_pass, graph), 1);
}

}  // namespace
}  // namespace tandem
