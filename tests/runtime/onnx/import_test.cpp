#include "runtime/onnx/onnx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/runtime/onnx/wire.h"

namespace tandem {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What parsing says is wrong; "" if nothing is.
std::string fault(const std::string& bytes, const Limits& limits = {}) {
  try {
    parse_onnx(bytes, {}, limits);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    return error.what();
  }
}

Wire relu(std::string_view from, std::string_view to, std::string_view name = "") {
  return node_proto("Relu", {from}, {to}, name);
}

// x -> the given nodes -> y.
std::string graph_model(std::initializer_list<Wire> nodes, std::initializer_list<Wire> initializers = {}) {
  Wire graph;
  graph.text(2, "g").message(kInputField, value_info("x", 1, {-1, 3}));
  for (const Wire& tensor : initializers) graph.message(kInitializerField, tensor);
  for (const Wire& node : nodes) graph.message(kNodeField, node);
  return model_proto(graph.message(kOutputField, value_info("y", 1, {-1, 3})));
}

TEST(OnnxImport, ReadsInputsInitializersNodesAndOutputs) {
  const Wire gemm =
      node_proto("Gemm", {"x", "w", "b"}, {"h"}, "fc").message(5, Wire().text(1, "transB").number(3, 1).number(20, 2));
  const Graph graph = parse_onnx(graph_model(
      {gemm, relu("h", "y")}, {f32_tensor("w", {3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9}), f32_tensor("b", {3}, {1, 2, 3})}));
  EXPECT_EQ(to_text(graph),
            "graph g {\n"
            "  input %x: f32[batch, 3]\n"
            "  constant %w: f32[3, 3] {...}\n"
            "  constant %b: f32[3] {1, 2, 3}\n"
            "  %h: f32[batch, 3] = Gemm(%x, %w, %b) {transB=1}\n"
            "  %y: f32[batch, 3] = Relu(%h)\n"
            "  return %y\n"
            "}\n");
  EXPECT_EQ(graph.nodes[0].name, "fc");
  EXPECT_EQ(graph.nodes[1].name, "Relu");
  EXPECT_EQ(graph.opsets.at(""), 13);
}

TEST(OnnxImport, PutsNodesInRunningOrder) {
  const Graph graph = parse_onnx(graph_model({relu("b", "y", "third"), relu("a", "b", "second"), relu("x", "a", "first")}));
  ASSERT_EQ(graph.nodes.size(), 3u);
  EXPECT_EQ(graph.nodes[0].name, "first");
  EXPECT_EQ(graph.nodes[2].name, "third");
}

TEST(OnnxImport, NamesTheNodesOfACycle) {
  const std::string said = fault(graph_model({relu("x", "ok", "outside"), node_proto("Add", {"x", "c"}, {"a"}, "one"),
                                              relu("a", "b", "two"), relu("b", "c", "three"), relu("c", "y", "after")}));
  EXPECT_THAT(said, AllOf(HasSubstr("cycle"), HasSubstr("'one'"), HasSubstr("'two'"), HasSubstr("'three'")));
  EXPECT_THAT(said, ::testing::Not(HasSubstr("'outside'")));
  EXPECT_THAT(said, ::testing::Not(HasSubstr("'after'")));
  EXPECT_THAT(fault(graph_model({node_proto("Add", {"x", "y"}, {"y"}, "self")})), AllOf(HasSubstr("cycle"), HasSubstr("'self'")));
}

TEST(OnnxImport, RefusesNamesThatAreMissingOrThereTwice) {
  EXPECT_THAT(fault(graph_model({relu("nowhere", "y", "r")})),
              AllOf(HasSubstr("nothing makes"), HasSubstr("nowhere"), HasSubstr("'r'")));
  EXPECT_THAT(fault(graph_model({relu("x", "a")})), AllOf(HasSubstr("nothing makes a graph output"), HasSubstr("y")));
  EXPECT_THAT(fault(graph_model({relu("x", "y", "a"), relu("x", "y", "b")})), AllOf(HasSubstr("made twice"), HasSubstr("'b'")));
  EXPECT_THAT(fault(graph_model({relu("x", "x")})), HasSubstr("made twice"));
  const Wire w = f32_tensor("w", {1}, {1});
  EXPECT_THAT(fault(graph_model({relu("x", "y")}, {w, w})), HasSubstr("two values have one name"));
  EXPECT_THAT(fault(graph_model({relu("x", "y")}, {f32_tensor("", {1}, {1})})), HasSubstr("needs a name"));
  EXPECT_THAT(fault(graph_model({node_proto("Relu", {"x"}, {""})})), ::testing::Not(""));
  EXPECT_THAT(fault(graph_model({node_proto("Relu", {""}, {"y"})})), HasSubstr("required input is absent"));
}

TEST(OnnxImport, ListsAllUnsupportedOpsAtOnce) {
  const std::string said =
      fault(graph_model({node_proto("Fancy", {"x"}, {"a"}), node_proto("Plain", {"a"}, {"b"}), relu("b", "y")}));
  EXPECT_THAT(said, AllOf(HasSubstr("ai.onnx.Fancy-13"), HasSubstr("ai.onnx.Plain-13"), ::testing::Not(HasSubstr("Relu"))));
  EXPECT_THAT(fault(graph_model({node_proto("Relu", {"x"}, {"y"}, "", "com.example")})), HasSubstr("com.example"));
}

TEST(OnnxImport, RefusesInternalOpsInFiles) {
  const Wire graph = Wire()
                         .message(kInputField, value_info("x", 1, {2, 2}))
                         .message(kNodeField, node_proto("MatMul", {"x", "x"}, {"y"}, "", "tandem"))
                         .message(kOutputField, value_info("y", 1, {2, 2}));
  const std::string bytes = Wire().number(1, 8).message(7, graph).message(8, Wire().text(1, "tandem").number(2, 1)).bytes();
  EXPECT_THAT(fault(bytes), HasSubstr("tandem.MatMul"));
}

TEST(OnnxImport, ChecksVersions) {
  EXPECT_THAT(fault(one_node_model(relu("x", "y"), 4096)), HasSubstr("opset version is not supported"));
  EXPECT_THAT(fault(one_node_model(relu("x", "y"), 0)), HasSubstr("opset version is not supported"));
  EXPECT_THAT(fault(model_proto(Wire(), 13, 99)), HasSubstr("IR version"));
  EXPECT_THAT(fault(model_proto(Wire(), 13, 2)), HasSubstr("IR version"));
  EXPECT_THAT(fault(""), HasSubstr("no graph"));
  EXPECT_THAT(fault("certainly not a model"), HasSubstr("not an ONNX model"));
}

TEST(OnnxImport, AnInitializerThatIsAlsoAnInputIsAConstant) {
  const Wire graph = Wire()
                         .message(kInputField, value_info("x", 1, {-1, 3}))
                         .message(kInputField, value_info("w", 1, {3}))
                         .message(kInitializerField, f32_tensor("w", {3}, {1, 2, 3}))
                         .message(kNodeField, node_proto("Add", {"x", "w"}, {"y"}))
                         .message(kOutputField, value_info("y", 1, {-1, 3}));
  const Graph read = parse_onnx(model_proto(graph, 13, 3));
  ASSERT_EQ(read.inputs.size(), 1u);
  EXPECT_EQ(read.value(read.find("w")).kind, ValueKind::kConstant);
}

TEST(OnnxImport, ReadsDimensionsOfAllKinds) {
  const Wire shape =
      Wire().message(1, Wire().number(1, 0)).message(1, Wire().text(2, "n")).message(1, Wire()).message(1, Wire().number(1, -1));
  const Wire info = Wire().text(1, "x").message(2, Wire().message(1, Wire().number(1, 1).message(2, shape)));
  const Wire no_shape = Wire().text(1, "z").message(2, Wire().message(1, Wire().number(1, 7)));
  const Graph graph = parse_onnx(model_proto(Wire().message(kInputField, info).message(kInputField, no_shape)));
  EXPECT_EQ(to_string(*graph.value(graph.inputs[0]).type.dims), "[0, n, ?, ?]");
  EXPECT_FALSE(graph.value(graph.inputs[1]).type.dims);
}

TEST(OnnxImport, RefusesInputsThatAreNotTensorsOrHaveNoType) {
  const Wire sequence = Wire().text(1, "x").message(2, Wire().message(4, Wire()));
  EXPECT_THAT(fault(model_proto(Wire().message(kInputField, sequence))), AllOf(HasSubstr("only tensors"), HasSubstr("x")));
  EXPECT_THAT(fault(model_proto(Wire().message(kInputField, Wire().text(1, "x")))), HasSubstr("only tensors"));
  EXPECT_THAT(fault(model_proto(Wire().message(kInputField, value_info("x", 14, {1})))), HasSubstr("COMPLEX64"));
  EXPECT_THAT(fault(model_proto(Wire().message(kInputField, value_info("x", 1, {1, 1, 1, 1, 1, 1, 1, 1, 1})))),
              HasSubstr("rank"));
}

TEST(OnnxImport, AnOutputOfAnotherElementTypeIsAnErrorAndItsShapeIsAdvice) {
  const auto declared = [](const Wire& output) {
    return model_proto(Wire()
                           .message(kInputField, value_info("x", 1, {-1, 3}))
                           .message(kNodeField, relu("x", "y"))
                           .message(kOutputField, output));
  };
  EXPECT_THAT(fault(declared(value_info("y", 7, {-1, 3}))), HasSubstr("i64, f32"));
  EXPECT_EQ(fault(declared(value_info("y", 1, {-1, 4}))), "");
  EXPECT_EQ(fault(declared(value_info("y", 1, {-1}))), "");
  EXPECT_EQ(fault(declared(value_info("y", 1, {64, 3}))), "");
  EXPECT_EQ(fault(declared(Wire().text(1, "y"))), "");
}

TEST(OnnxImport, ReadsEachFormOfConstant) {
  const auto constant = [](std::string_view name, const Wire& attribute) {
    return node_proto("Constant", {}, {name}).message(5, attribute);
  };
  const Graph graph = parse_onnx(graph_model({
      constant("t", Wire().text(1, "value").message(5, f32_tensor("", {2}, {1, 2})).number(20, 4)),
      constant("f", Wire().text(1, "value_float").f32(2, 1.5f).number(20, 1)),
      constant("i", Wire().text(1, "value_int").number(3, -7).number(20, 2)),
      constant("s", Wire().text(1, "value_string").text(4, "text").number(20, 3)),
      constant("fs", Wire().text(1, "value_floats").f32(7, 1).f32(7, 2).number(20, 6)),
      constant("is", Wire().text(1, "value_ints").number(8, 3).number(8, 4).number(20, 7)),
      constant("ss", Wire().text(1, "value_strings").text(9, "a").text(9, "b").number(20, 8)),
      constant("zero", Wire().text(1, "value_int").number(20, 2)),  // a proto3 writer leaves zeros out
      relu("x", "y"),
  }));
  const auto data = [&](std::string_view name) { return graph.value(graph.find(name)).data; };
  EXPECT_TRUE(identical(data("t"), Tensor::of<float>({2}, {1, 2})));
  EXPECT_TRUE(identical(data("f"), Tensor::scalar(1.5f)));
  EXPECT_TRUE(identical(data("i"), Tensor::scalar<int64_t>(-7)));
  EXPECT_THAT(data("s").as<std::string_view>(), ElementsAre("text"));
  EXPECT_TRUE(identical(data("fs"), Tensor::of<float>({2}, {1, 2})));
  EXPECT_TRUE(identical(data("is"), Tensor::of<int64_t>({2}, {3, 4})));
  EXPECT_THAT(data("ss").as<std::string_view>(), ElementsAre("a", "b"));
  EXPECT_TRUE(identical(data("zero"), Tensor::scalar<int64_t>(0)));
}

TEST(OnnxImport, RefusesWrongAttributes) {
  const auto with = [](const Wire& attribute) {
    return fault(one_node_model(node_proto("LeakyRelu", {"x"}, {"y"}, "leaky").message(5, attribute)));
  };
  EXPECT_EQ(with(Wire().text(1, "alpha").f32(2, 0.1f).number(20, 1)), "");
  EXPECT_EQ(with(Wire().text(1, "alpha").f32(2, 0.1f)), "");  // no type: that of the field that is there
  EXPECT_THAT(with(Wire().text(1, "alpa").f32(2, 0.1f).number(20, 1)),
              AllOf(HasSubstr("unknown attribute"), HasSubstr("'alpha'")));
  EXPECT_THAT(with(Wire().text(1, "alpha").f32(2, 0.1f).number(20, 2)), AllOf(HasSubstr("stated"), HasSubstr("alpha")));
  EXPECT_THAT(with(Wire().text(1, "alpha").message(6, Wire()).number(20, 5)),
              AllOf(HasSubstr("subgraph"), HasSubstr("LeakyRelu")));
  EXPECT_THAT(with(Wire().text(1, "alpha").text(21, "outer").number(20, 1)), HasSubstr("parameter"));
  EXPECT_THAT(with(Wire().text(1, "alpha")), HasSubstr("UNDEFINED"));
  const Wire alpha = Wire().text(1, "alpha").f32(2, 1).number(20, 1);
  EXPECT_THAT(fault(one_node_model(node_proto("LeakyRelu", {"x"}, {"y"}).message(5, alpha).message(5, alpha))),
              HasSubstr("given twice"));
}

// Attributes that contradict each other or the shapes: found while reading, with the node's name.
TEST(OnnxImport, RefusesNodesWhoseAttributesDoNotFit) {
  const auto ints = [](std::string_view name, std::initializer_list<int64_t> values) {
    Wire attribute = Wire().text(1, name).number(20, 7);
    for (int64_t value : values) attribute.number(8, value);
    return attribute;
  };
  const auto conv = [&](const Wire& attribute) {
    Wire graph;
    graph.message(kInputField, value_info("x", 1, {1, 1, 4, 4}))
        .message(kInitializerField, f32_tensor("w", {1, 1, 1, 1}, {1}))
        .message(kNodeField, node_proto("Conv", {"x", "w"}, {"y"}, "layer1").message(5, attribute))
        .message(kOutputField, Wire().text(1, "y"));
    return fault(model_proto(graph));
  };
  EXPECT_EQ(conv(ints("kernel_shape", {1, 1})), "");
  for (const Wire& attribute : {ints("dilations", {1}), ints("strides", {1, 1, 1}), ints("pads", {1, 1}), ints("strides", {0, 1}),
                                ints("kernel_shape", {2, 2}), ints("dilations", {1, -1}), ints("pads", {0, 0, -9, 0}),
                                ints("strides", {INT64_MAX, 1, 1}), ints("pads", {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX})})
    EXPECT_THAT(conv(attribute), AllOf(HasSubstr("Conv"), HasSubstr("'layer1'")));
  EXPECT_THAT(fault(one_node_model(node_proto("Transpose", {"x"}, {"y"}, "t").message(5, ints("perm", {0, 7})))),
              HasSubstr("'t'"));
  EXPECT_THAT(fault(one_node_model(
                  node_proto("Concat", {"x"}, {"y"}, "c").message(5, Wire().text(1, "axis").number(3, 9).number(20, 2)))),
              HasSubstr("'c'"));
}

TEST(OnnxImport, KeepsWithinItsLimits) {
  EXPECT_THAT(fault(one_node_model(relu("x", "y")), {.model_bytes = 10}), HasSubstr("exceeds the limit"));
  EXPECT_THAT(fault(one_node_model(relu("x", "y")), {.graph_nodes = 0}), HasSubstr("too many nodes"));
  EXPECT_THAT(fault(one_node_model(node_proto("Sum", {"x", "x", "x"}, {"y"})), {.node_arity = 2}), HasSubstr("too many inputs"));
  EXPECT_THAT(fault(graph_model({relu("x", "y")}, {f32_tensor("w", {2}, {1, 2})}), {.tensor_bytes = 4}),
              HasSubstr("exceeds the limit"));
}

// Stack depth and time must not depend on the length of the longest path, whatever the order in the file.
TEST(OnnxImport, ReadsAMillionNodesInAChain) {
  constexpr int kNodes = 1'000'000;
  const auto name = [](int i) { return i == 0 ? std::string("x") : i == kNodes ? std::string("y") : "v" + std::to_string(i); };
  Wire graph;
  graph.message(kInputField, value_info("x", 1, {-1, 3})).message(kOutputField, value_info("y", 1, {-1, 3}));
  for (int i = kNodes; i > 0; --i) graph.message(kNodeField, Wire().text(1, name(i - 1)).text(2, name(i)).text(4, "Relu"));
  const Graph read = parse_onnx(model_proto(graph));
  EXPECT_EQ(read.nodes.size(), static_cast<size_t>(kNodes));
  EXPECT_EQ(read.nodes.front().inputs[0], read.inputs[0]);
}

TEST(OnnxImport, ReadsANodeWithAHundredThousandInputs) {
  Wire node;
  for (int i = 0; i < 100'000; ++i) node.text(1, "x");
  EXPECT_EQ(fault(one_node_model(node.text(2, "y").text(4, "Max"))), "");
}

}  // namespace
}  // namespace tandem
