// Graph -> ONNX -> Graph. That other libraries agree on the files is tested in tests/interop.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/onnx/onnx.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string fault(const Graph& graph) {
  try {
    serialize_onnx(graph);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
}

// int, float, string, ints, and the lists of a label encoder.
Graph graph_with_all_attributes() {
  Graph graph;
  graph.name = "sample";
  graph.metadata = {{"author", "somebody"}, {"empty", ""}};
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4}), city = graph.add_input("city", DType::kString, {"batch"});
  const ValueId w = graph.add_constant("w", Tensor::of<float>({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}));
  const ValueId h = add(graph, "Gemm", {x, w}, {{"alpha", 0.5f}, {"transB", int64_t{1}}});
  const ValueId t = add(graph, "Transpose", {h}, {{"perm", std::vector<int64_t>{1, 0}}});
  const ValueId g = add(graph, "Gelu", {t}, {{"approximate", std::string("none")}});
  const ValueId code = add(graph, "LabelEncoder", {city},
                           {{"keys_strings", std::vector<std::string>{"Rome", "", "Oslo"}},
                            {"values_floats", std::vector<float>{1, 0.1f, -3}},
                            {"default_float", -1.0f}},
                           "ai.onnx.ml");
  graph.outputs = {g, code};
  return graph;
}

TEST(OnnxRoundTrip, KeepsEachKindOfAttribute) {
  const Graph graph = graph_with_all_attributes();
  const Graph again = parse_onnx(serialize_onnx(graph));
  EXPECT_EQ(to_text(again), to_text(graph));
  EXPECT_EQ(again.metadata, graph.metadata);
  EXPECT_EQ(again.opsets.at(""), kOnnxOpset);
  EXPECT_EQ(again.opsets.at("ai.onnx.ml"), kOnnxMlOpset);
}

TEST(OnnxRoundTrip, KeepsEachElementType) {
  Graph graph;
  const std::vector<Tensor> tensors = {
      Tensor::of<float>({2}, {1.5f, -0.0f}),
      Tensor::of<double>({1}, {0.1}),
      Tensor::of<int64_t>({2}, {INT64_MIN, 1}),
      Tensor::of<int32_t>({1}, {-2}),
      Tensor::of<int16_t>({1}, {-3}),
      Tensor::of<int8_t>({1}, {-4}),
      Tensor::of<uint8_t>({1}, {200}),
      Tensor::of<uint16_t>({1}, {60'000}),
      Tensor::of<uint32_t>({1}, {4'000'000'000u}),
      Tensor::of<uint64_t>({1}, {UINT64_MAX}),
      Tensor::of<bool>({2}, {true, false}),
      Tensor(DType::kF16, {2}),
      Tensor(DType::kBF16, {3}),
      Tensor(DType::kF32, {0, 3}),
      Tensor::scalar(7.0f),
      Tensor::strings({2}, std::vector<std::string>{"", std::string("a\0b", 3)}),
  };
  for (const Tensor& tensor : tensors) graph.outputs.push_back(graph.add_constant("t", tensor));
  const Graph again = parse_onnx(serialize_onnx(graph));
  ASSERT_EQ(again.values.size(), tensors.size());
  EXPECT_EQ(to_text(again), to_text(graph));
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_TRUE(identical(again.values[i].data, tensors[i])) << i;
    EXPECT_EQ(again.values[i].name, graph.values[i].name);
  }
}

TEST(OnnxRoundTrip, GivesTheSameBytesForTheSameGraph) {
  const std::string bytes = serialize_onnx(graph_with_all_attributes());
  EXPECT_EQ(serialize_onnx(graph_with_all_attributes()), bytes);
  EXPECT_EQ(serialize_onnx(parse_onnx(bytes)), bytes);
}

// y = condition ? x + other : if (second) x else -x: a body in a body, a name from two graphs further out, names that occur twice.
TEST(OnnxRoundTrip, KeepsBodiesAndWhatTheyCapture) {
  const auto inner = [](std::string_view op) {
    auto body = std::make_shared<Graph>();
    const ValueId x = body->add_input("x", DType::kF32, {2});
    body->captured_inputs = 1;
    body->outputs = {add(*body, op, {x})};
    return Subgraph(body);
  };
  auto then_branch = std::make_shared<Graph>();
  {
    const ValueId x = then_branch->add_input("x", DType::kF32, {2});
    then_branch->captured_inputs = 1;
    const ValueId other = then_branch->add_constant("other", Tensor::of<float>({2}, {10, 20}));
    then_branch->outputs = {add(*then_branch, "Add", {x, other})};
  }
  auto else_branch = std::make_shared<Graph>();
  {
    const ValueId second = else_branch->add_input("second", DType::kBool, {}), x = else_branch->add_input("x", DType::kF32, {2});
    else_branch->captured_inputs = 2;
    else_branch->outputs = else_branch->add_node(newest_op("If"), {second, x, x}, 1, {{"else_branch", inner("Neg")}, {"then_branch", inner("Abs")}});
  }
  Graph graph;
  const ValueId condition = graph.add_input("condition", DType::kBool, {}), second = graph.add_input("second", DType::kBool, {}),
                x = graph.add_input("x", DType::kF32, {2}), other = graph.add_constant("other", Tensor::of<float>({2}, {1, 2}));
  const ValueId y = graph.add_node(newest_op("If"), {condition, second, x, x}, 1,
                                   {{"else_branch", Subgraph(else_branch)}, {"then_branch", Subgraph(then_branch)}})[0];
  graph.outputs = {add(graph, "Mul", {y, other})};
  const Graph again = parse_onnx(serialize_onnx(graph));
  ASSERT_EQ(again.nodes.size(), 2u);
  EXPECT_EQ(again.nodes[0].inputs.size(), 4u);
  const Graph& outer_else = *std::get<Subgraph>(again.nodes[0].attributes.at("else_branch"));
  EXPECT_EQ(outer_else.captured_inputs, 2);
  EXPECT_EQ(outer_else.nodes[0].def->name, "If");
  const Graph& outer_then = *std::get<Subgraph>(again.nodes[0].attributes.at("then_branch"));
  ASSERT_EQ(outer_then.nodes[0].def->name, "Add");
  EXPECT_TRUE(identical(outer_then.value(outer_then.nodes[0].inputs[1]).data, Tensor::of<float>({2}, {10, 20})));
  EXPECT_EQ(serialize_onnx(again), serialize_onnx(parse_onnx(serialize_onnx(again))));
}

TEST(OnnxRoundTrip, AValueThatIsAnOutputTwiceGetsASecondName) {
  Graph graph;
  const ValueId y = add(graph, "Relu", {graph.add_input("x", DType::kF32, {2})});
  graph.outputs = {y, y};
  const Graph again = parse_onnx(serialize_onnx(graph));
  ASSERT_EQ(again.outputs.size(), 2u);
  EXPECT_NE(again.outputs[0], again.outputs[1]);
  EXPECT_EQ(again.nodes.back().def->name, "Identity");
}

TEST(OnnxRoundTrip, WritesTheOpsetThatIsAskedFor) {
  Graph graph;
  graph.outputs = {add(graph, "Relu", {graph.add_input("x", DType::kF32, {2})})};
  EXPECT_EQ(parse_onnx(serialize_onnx(graph, 17)).opsets.at(""), 17);
  graph.outputs.push_back(add(graph, "BitwiseNot", {graph.add_input("y", DType::kI32, {2})}));
  EXPECT_EQ(parse_onnx(serialize_onnx(graph, 23)).opsets.at(""), 23);
  try {
    serialize_onnx(graph, 17);
    FAIL() << "written";
  } catch (const Error& error) {
    EXPECT_THAT(std::string(error.what()), ::testing::HasSubstr("BitwiseNot"));
  }
}

TEST(OnnxRoundTrip, KeepsAbsentInputs) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {3});
  const ValueId most = graph.add_constant("most", Tensor::scalar(6.0f));
  graph.outputs = {add(graph, "Clip", {x, kNoValue, most})};
  const Graph again = parse_onnx(serialize_onnx(graph));
  ASSERT_EQ(again.nodes[0].inputs.size(), 3u);
  EXPECT_EQ(again.nodes[0].inputs[1], kNoValue);
  EXPECT_EQ(again.value(again.nodes[0].inputs[2]).name, "most");
}

TEST(OnnxRoundTrip, StatesBecomeConstants) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2});
  const ValueId w = graph.add_state("w", Tensor::of<float>({2}, {3, 4}));
  graph.outputs = {add(graph, "Mul", {x, w})};
  const Graph again = parse_onnx(serialize_onnx(graph));
  EXPECT_EQ(again.value(again.find("w")).kind, ValueKind::kConstant);
  EXPECT_TRUE(identical(again.value(again.find("w")).data, Tensor::of<float>({2}, {3, 4})));
}

TEST(OnnxRoundTrip, WritesFusedOpsInStandardOnes) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2});
  const ValueId w = graph.add_constant("w", Tensor::of<float>({2, 2}, {1, 2, 3, 4})),
                b = graph.add_constant("b", Tensor::of<float>({2}, {5, 6}));
  const ValueId h = add(graph, "FusedGemm", {x, w, b}, {{"transB", int64_t{1}}, {"activation", std::string("Relu")}}, "tandem");
  const ValueId m = add(graph, "FusedMatMul", {h, w, b}, {{"alpha", 2.0f}, {"activation", std::string("Swish")}, {"activation_alpha", 1.0f}}, "tandem");
  graph.outputs = {add(graph, "MatMul", {w, m}, {{"transB", int64_t{1}}}, "tandem")};
  EXPECT_EQ(to_text(parse_onnx(serialize_onnx(graph))),
            "graph main {\n"
            "  input %x: f32[batch, 2]\n"
            "  constant %w: f32[2, 2] {1, 2, 3, 4}\n"
            "  constant %b: f32[2] {5, 6}\n"
            "  constant %FusedMatMul.number: f32[] {2}\n"
            "  %FusedGemm.Gemm: f32[batch, 2] = Gemm(%x, %w, %b) {transB=1}\n"
            "  %FusedGemm: f32[batch, 2] = Relu(%FusedGemm.Gemm)\n"
            "  %FusedMatMul.MatMul: f32[batch, 2] = MatMul(%FusedGemm, %w)\n"
            "  %FusedMatMul.Mul: f32[batch, 2] = Mul(%FusedMatMul.MatMul, %FusedMatMul.number)\n"
            "  %FusedMatMul.Add: f32[batch, 2] = Add(%FusedMatMul.Mul, %b)\n"
            "  %FusedMatMul.Swish.Sigmoid: f32[batch, 2] = Sigmoid(%FusedMatMul.Add)\n"
            "  %FusedMatMul: f32[batch, 2] = Mul(%FusedMatMul.Add, %FusedMatMul.Swish.Sigmoid)\n"
            "  %MatMul.Transpose: f32[2, batch] = Transpose(%FusedMatMul) {perm=[1, 0]}\n"
            "  %MatMul: f32[2, batch] = MatMul(%w, %MatMul.Transpose)\n"
            "  return %MatMul\n"
            "}\n");
}

// What a fusion made of an older opset's nodes.
TEST(OnnxRoundTrip, WritesYoungOpsInOlderOnes) {
  const auto written = [](std::string_view op, Attributes attributes, int opset) {
    Graph graph;
    std::vector<ValueId> inputs = {graph.add_input("x", DType::kF16, {"n", 2, 3})};
    const bool has_row = op.ends_with("Normalization");
    if (has_row) inputs.push_back(graph.add_input("scale", DType::kF16, {2, 3}));
    graph.outputs = {add(graph, op, inputs, std::move(attributes))};
    std::string ops;
    const Graph again = parse_onnx(serialize_onnx(graph, opset));
    EXPECT_EQ(again.opsets.at(""), opset);
    for (const Node& node : again.nodes) ops += std::string(node.def->name) + ' ';
    return ops;
  };
  EXPECT_EQ(written("Gelu", {}, 20), "Gelu ");
  EXPECT_EQ(written("Gelu", {}, 19), "Mul Mul Erf Add Mul ");
  EXPECT_EQ(written("Gelu", {{"approximate", std::string("tanh")}}, 19), "Mul Mul Mul Mul Add Mul Tanh Add Mul ");
  EXPECT_EQ(written("Swish", {{"alpha", 2.0f}}, 21), "Mul Sigmoid Mul ");
  EXPECT_EQ(written("Swish", {}, 24), "Swish ");
  EXPECT_EQ(written("Swish", {}, 21), "Sigmoid Mul ");
  EXPECT_EQ(written("HardSwish", {}, 13), "HardSigmoid Mul ");
  EXPECT_EQ(written("Mish", {}, 17), "Softplus Tanh Mul ");
  EXPECT_EQ(written("RMSNormalization", {{"axis", int64_t{1}}}, 17), "Cast Mul ReduceMean Add Sqrt Div Cast Mul ");
  EXPECT_EQ(written("LayerNormalization", {{"axis", int64_t{-2}}}, 13), "Cast ReduceMean Sub Mul ReduceMean Add Sqrt Div Cast Mul ");
  EXPECT_EQ(written("LayerNormalization", {{"axis", int64_t{-2}}}, 17), "LayerNormalization ");
}

TEST(OnnxRoundTrip, RefusesInternalOpsByName) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 2}), like = graph.add_input("like", DType::kF32, {2});
  graph.outputs = {add(graph, "ReduceToShape", {x, like}, {}, "tandem")};
  EXPECT_THAT(fault(graph), AllOf(HasSubstr("tandem.ReduceToShape"), HasSubstr("no form in ONNX")));
}

// A graph read at an old opset keeps the newest one in which its nodes still mean the same.
TEST(OnnxRoundTrip, WritesAnOpsetThatSuitsAllNodes) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 1});
  const OpDef& old = find_op("", "Squeeze", 11);
  ASSERT_EQ(old.until, 13);
  graph.outputs = graph.add_node(old, {x}, 1, {{"axes", std::vector<int64_t>{1}}});
  EXPECT_EQ(parse_onnx(serialize_onnx(graph)).opsets.at(""), 12);
  graph.outputs.push_back(add(graph, "Gelu", {x}));
  EXPECT_EQ(parse_onnx(serialize_onnx(graph)).opsets.at(""), 12);
  graph.outputs.push_back(add(graph, "CenterCropPad", {x, graph.add_constant("s", Tensor::of<int64_t>({2}, {2, 1}))}));
  EXPECT_THAT(fault(graph), AllOf(HasSubstr("no opset suits"), HasSubstr("Squeeze"), HasSubstr("CenterCropPad")));
}

TEST(OnnxRoundTrip, SavesAndLoadsAFile) {
  const auto path = std::filesystem::path(::testing::TempDir()) / ("round_trip_" + std::to_string(::getpid()) + ".onnx");
  const Graph graph = graph_with_all_attributes();
  save_onnx(graph, path);
  EXPECT_EQ(to_text(load_onnx(path)), to_text(graph));
  std::filesystem::remove(path);
  EXPECT_THROW(load_onnx(path), Error);
}

}  // namespace
}  // namespace tandem
