#include <gtest/gtest.h>

#include "runtime/graph/contexts.h"
#include "tests/runtime/passes/run_both_ways.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

constexpr float kTolerance = 1e-5f;
using List = std::vector<int64_t>;

ValueId ints(Graph& graph, List values) {
  const Shape shape{static_cast<int64_t>(values.size())};
  return graph.add_constant("ints", Tensor::of<int64_t>(shape, values));
}
ValueId numbers(Graph& graph, const Shape& shape, unsigned seed) { return graph.add_constant("numbers", random_tensor(shape, seed)); }
ValueId image(Graph& graph, const Dims& dims = {"batch", 3, 12, 10}) { return graph.add_input("x", DType::kF32, dims); }

// Of `to` filters, 3 x 3.
ValueId conv(Graph& graph, ValueId x, int64_t to, const Attributes& more = {}) {
  const int64_t from = (*graph.value(x).type.dims)[1].size, groups = more.contains("group") ? std::get<int64_t>(more.at("group")) : 1;
  Attributes attributes = {{"pads", List{1, 1, 1, 1}}};
  attributes.insert(more.begin(), more.end());
  return add(graph, "Conv", {x, numbers(graph, {to, from / groups, 3, 3}, 5), numbers(graph, {to}, 7)}, attributes);
}

int64_t count(const Graph& graph, std::string_view op) {
  return std::ranges::count_if(graph.nodes, [&](const Node& node) { return node.def->name == op; });
}

std::vector<Tensor> run_as_it_is(const Graph& graph, const std::vector<Tensor>& inputs) {
  return run_planned(graph, inputs, {.default_bound = 3, .disabled_passes = {"layout_assignment"}});
}

// Applies the pass; what comes out must stay. Returns the number of convolutions that it changed.
int assign(Graph& graph) {
  const std::vector<Tensor> inputs = random_inputs(graph), expected = run_as_it_is(graph, inputs);
  const int changes = run_pass(graph, layout_assignment_pass, true).changes;
  const std::vector<Tensor> actual = run_as_it_is(graph, inputs);
  EXPECT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(actual[i].shape(), expected[i].shape());
    if (expected[i].dtype() != DType::kF32) {
      EXPECT_TRUE(identical(actual[i], expected[i])) << i;
      continue;
    }
    for (int64_t e = 0; e < expected[i].elements(); ++e) {
      const float want = expected[i].as<float>()[static_cast<size_t>(e)], got = actual[i].as<float>()[static_cast<size_t>(e)];
      EXPECT_NEAR(got, want, kTolerance * (1 + std::abs(want))) << i << '[' << e << ']';
    }
  }
  const std::string once = to_text(graph);
  EXPECT_EQ(layout_assignment_pass.apply(graph), 0);
  EXPECT_EQ(to_text(graph), once);
  return changes;
}

TEST(LayoutAssignment, AResidualNetworkKeepsTheTransposeOfItsInput) {
  Graph graph;
  ValueId v = add(graph, "Relu", {conv(graph, image(graph), 8, {{"strides", List{2, 2}}})});
  v = add(graph, "MaxPool", {v}, {{"kernel_shape", List{3, 3}}, {"pads", List{1, 1, 1, 1}}, {"storage_order", int64_t{1}}});
  const ValueId branch = conv(graph, add(graph, "Sigmoid", {conv(graph, v, 8)}), 8, {{"group", int64_t{8}}});
  v = add(graph, "Relu", {add(graph, "Add", {v, branch})});
  v = add(graph, "AveragePool", {v}, {{"kernel_shape", List{2, 2}}});
  const ValueId gate = add(graph, "HardSigmoid", {add(graph, "Conv", {add(graph, "GlobalAveragePool", {v}), numbers(graph, {8, 8, 1, 1}, 3)})});
  v = conv(graph, add(graph, "Mul", {v, gate}), 4);
  v = add(graph, "Reshape", {add(graph, "GlobalMaxPool", {v}), ints(graph, {0, 4})});
  graph.outputs = {add(graph, "MatMul", {v, numbers(graph, {4, 2}, 9)})};
  EXPECT_EQ(assign(graph), 5);
  EXPECT_EQ(count(graph, "Transpose"), 1);
  EXPECT_EQ(graph.nodes[0].def->name, "Transpose");
  EXPECT_EQ(count(graph, "ChannelsLastConv"), 5);
}

TEST(LayoutAssignment, PiecesOfChannelsAndOtherSizesStayInTheLayout) {
  Graph graph;
  const ValueId x = conv(graph, image(graph), 8);
  const auto parts = graph.add_node(newest_op("Split"), {x, ints(graph, {3, 5})}, 2, {{"axis", int64_t{1}}});
  ValueId v = add(graph, "Concat", {conv(graph, parts[0], 4), parts[1]}, {{"axis", int64_t{1}}});
  v = add(graph, "PRelu", {v, numbers(graph, {9, 1, 1}, 4)});
  const ValueId scales = constant(graph, "scales", {4}, {1, 1, 2, 2});
  v = add(graph, "Resize", {v, kNoValue, scales}, {{"mode", std::string("linear")}});
  v = add(graph, "Pad", {v, ints(graph, {0, 0, 1, 2, 0, 0, 0, 1})}, {{"mode", std::string("reflect")}});
  v = conv(graph, v, 4);
  graph.outputs = {add(graph, "ArgMax", {add(graph, "Softmax", {v}, {{"axis", int64_t{1}}})}, {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}})};
  EXPECT_EQ(assign(graph), 3);
  EXPECT_EQ(count(graph, "Transpose"), 1);
}

TEST(LayoutAssignment, AShuffleOfChannelsIsASmallTransposeInEachPixel) {
  Graph graph;
  ValueId v = conv(graph, image(graph), 6);
  v = add(graph, "Reshape", {v, ints(graph, {-1, 2, 3, 12, 10})});
  v = add(graph, "Transpose", {v}, {{"perm", List{0, 2, 1, 3, 4}}});
  v = add(graph, "Reshape", {v, ints(graph, {-1, 6, 12, 10})});
  const auto parts = graph.add_node(newest_op("Split"), {v, ints(graph, {3, 3})}, 2, {{"axis", int64_t{1}}});
  v = add(graph, "Concat", {parts[0], conv(graph, parts[1], 3)}, {{"axis", int64_t{1}}});
  graph.outputs = {add(graph, "GlobalAveragePool", {v})};
  EXPECT_EQ(assign(graph), 2);
  EXPECT_EQ(count(graph, "Transpose"), 2);
  EXPECT_EQ(count(graph, "Reshape"), 3);  // the last one of the result
}

ValueId batch_norm(Graph& graph, ValueId x) {
  const int64_t channels = (*graph.value(x).type.dims)[1].size;
  const ValueId variance = constant(graph, "variance", {channels}, std::vector<float>(static_cast<size_t>(channels), 2.5f));
  return add(graph, "BatchNormalization",
             {x, numbers(graph, {channels}, 1), numbers(graph, {channels}, 2), numbers(graph, {channels}, 3), variance});
}

// As in networks that normalize before they convolve, or behind the activation.
TEST(LayoutAssignment, ANormalizationThatIsNotFoldedIsComputedInTheLayout) {
  Graph graph;
  const ValueId first = conv(graph, image(graph), 8);
  const ValueId branch = conv(graph, add(graph, "Relu", {batch_norm(graph, first)}), 8);
  const ValueId sum = add(graph, "Add", {first, branch});
  const ValueId v = conv(graph, batch_norm(graph, add(graph, "Relu", {sum})), 4);
  graph.outputs = {add(graph, "GlobalAveragePool", {v})};
  EXPECT_EQ(assign(graph), 3);
  EXPECT_EQ(count(graph, "Transpose"), 1);
  EXPECT_EQ(count(graph, "BatchNormalization"), 0);
}

// DenseNet: channels that grow, normalized anew for each layer.
TEST(LayoutAssignment, ANormalizationBehindAConcatToo) {
  Graph graph;
  ValueId v = conv(graph, image(graph), 8);
  for (int layer = 0; layer < 2; ++layer) v = add(graph, "Concat", {v, conv(graph, batch_norm(graph, v), 4)}, {{"axis", int64_t{1}}});
  graph.outputs = {add(graph, "GlobalAveragePool", {conv(graph, batch_norm(graph, v), 4)})};
  EXPECT_EQ(assign(graph), 4);
  EXPECT_EQ(count(graph, "BatchNormalization"), 0);
  EXPECT_EQ(count(graph, "Transpose"), 1);
}

// By a window of `size`.
ValueId transposed_conv(Graph& graph, ValueId x, int64_t to, int64_t size, const Attributes& more = {}) {
  const int64_t from = (*graph.value(x).type.dims)[1].size, groups = more.contains("group") ? std::get<int64_t>(more.at("group")) : 1;
  Attributes attributes = {{"strides", List{2, 2}}};
  for (const auto& [name, value] : more) attributes[name] = value;
  return add(graph, "ConvTranspose", {x, numbers(graph, {from, to / groups, size, size}, 5), numbers(graph, {to}, 7)}, attributes);
}

// U-Net.
TEST(LayoutAssignment, ATransposedConvolutionOfWindowsSideBySide) {
  Graph graph;
  const ValueId first = add(graph, "Relu", {conv(graph, image(graph), 6)});
  const ValueId deep = conv(graph, add(graph, "MaxPool", {first}, {{"kernel_shape", List{2, 2}}, {"strides", List{2, 2}}}), 8);
  const ValueId both = add(graph, "Concat", {first, transposed_conv(graph, deep, 6, 2)}, {{"axis", int64_t{1}}});
  graph.outputs = {add(graph, "GlobalAveragePool", {conv(graph, both, 4)})};
  EXPECT_EQ(assign(graph), 4);
  EXPECT_EQ(count(graph, "Transpose"), 1);
  EXPECT_EQ(count(graph, "ChannelsLastDepthToSpace"), 1);
  EXPECT_EQ(count(graph, "ConvTranspose"), 0);
}

TEST(LayoutAssignment, OtherTransposedConvolutionsStay) {
  const std::pair<int64_t, Attributes> others[] = {{3, {}},
                                                   {2, {{"strides", List{2, 1}}}},
                                                   {2, {{"pads", List{0, 0, 1, 1}}}},
                                                   {2, {{"dilations", List{2, 2}}}},
                                                   {2, {{"output_padding", List{1, 1}}}},
                                                   {2, {{"output_shape", List{25, 20}}}},
                                                   {2, {{"auto_pad", std::string("SAME_UPPER")}}},
                                                   {2, {{"group", int64_t{2}}}},
                                                   {1, {}}};
  for (const auto& [size, attributes] : others) {
    Graph graph;
    const ValueId v = transposed_conv(graph, conv(graph, image(graph), 6), 6, size, attributes);
    graph.outputs = {add(graph, "GlobalAveragePool", {conv(graph, v, 4)})};
    EXPECT_EQ(assign(graph), 2);
    EXPECT_EQ(count(graph, "ConvTranspose"), 1);
  }
}

TEST(LayoutAssignment, ALoneTransposedConvolutionThatWouldNotPayStays) {
  Graph graph;
  const ValueId x = image(graph);
  graph.outputs = {transposed_conv(graph, add(graph, "CumSum", {x, graph.add_constant("axis", Tensor::of<int64_t>({}, {1}))}), 4, 2)};
  EXPECT_EQ(assign(graph), 0);
  EXPECT_EQ(count(graph, "ConvTranspose"), 1);
}

TEST(LayoutAssignment, BlocksOfChannelsBecomePixelsInTheLayout) {
  for (const char* mode : {"DCR", "CRD"}) {
    Graph graph;
    ValueId v = conv(graph, image(graph, {"batch", 3, "height", "width"}), 12);
    v = conv(graph, add(graph, "DepthToSpace", {v}, {{"blocksize", int64_t{2}}, {"mode", std::string(mode)}}), 4);
    v = conv(graph, add(graph, "SpaceToDepth", {v}, {{"blocksize", int64_t{2}}}), 4);
    graph.outputs = {add(graph, "GlobalAveragePool", {v})};
    EXPECT_EQ(assign(graph), 3);
    EXPECT_EQ(count(graph, "Transpose"), 1);
  }
}

TEST(LayoutAssignment, PatchesOfAnImageBecomeRows) {
  Graph graph;
  const ValueId x = image(graph, {"batch", 3, 8, 8});
  ValueId v = add(graph, "Conv", {x, numbers(graph, {6, 3, 4, 4}, 5)}, {{"strides", List{4, 4}}});
  v = add(graph, "Reshape", {v, ints(graph, {0, 6, 4})});
  graph.outputs = {add(graph, "Transpose", {v}, {{"perm", List{0, 2, 1}}})};
  EXPECT_EQ(assign(graph), 1);
  EXPECT_EQ(count(graph, "Transpose"), 1);
}

TEST(LayoutAssignment, AnOperandWithChannelsFirstIsTransposedOnce) {
  Graph graph;
  const ValueId x = image(graph, {"batch", 4, 12, 10}), other = add(graph, "CumSum", {x, graph.add_constant("axis", Tensor::of<int64_t>({}, {1}))});
  ValueId v = conv(graph, add(graph, "Mul", {conv(graph, x, 4), other}), 4);
  v = conv(graph, add(graph, "Concat", {v, other}, {{"axis", int64_t{1}}}), 4);
  graph.outputs = {add(graph, "ReduceMean", {v, ints(graph, {2, 3})})};
  EXPECT_EQ(assign(graph), 3);
  EXPECT_EQ(count(graph, "Transpose"), 2);
}

// The node that wants z in another order comes before the convolution whose Transpose of z stays.
TEST(LayoutAssignment, AnOperandThatALaterConvolutionReads) {
  Graph graph;
  const ValueId x = image(graph, {"batch", 5, "height", "width"}), z = graph.add_input("z", DType::kF32, {"batch", 2, 3, 1});
  const ValueId filtered = add(graph, "Conv", {x, numbers(graph, {2, 5, 3, 1}, 5)}, {{"pads", List{1, 0, 1, 0}}});
  graph.outputs = {add(graph, "Max", {filtered, z}), add(graph, "Conv", {z, numbers(graph, {1, 2, 1, 1}, 7)})};
  assign(graph);
}

TEST(LayoutAssignment, OneAndThreeSpatialAxes) {
  for (const Shape& kernel : {Shape{3}, Shape{3, 2, 3}}) {
    Graph graph;
    Dims dims = {2, 4};
    Shape w{4, 4};
    for (int64_t size : kernel.dims()) dims.push_back(9), w.push_back(size);
    const ValueId x = graph.add_input("x", DType::kF32, dims);
    ValueId v = add(graph, "Relu", {add(graph, "Conv", {x, numbers(graph, w, 3)}, {{"auto_pad", std::string("SAME_UPPER")}})});
    graph.outputs = {add(graph, "GlobalAveragePool", {add(graph, "Conv", {v, numbers(graph, w, 4)})})};
    EXPECT_EQ(assign(graph), 2);
    EXPECT_EQ(count(graph, "Transpose"), 1);
  }
}

TEST(LayoutAssignment, ALoneConvolutionThatWouldNotPayStays) {
  Graph graph;
  const ValueId x = image(graph, {"batch", 4, 12, 10});
  graph.outputs = {add(graph, "Conv", {x, numbers(graph, {16, 4, 1, 1}, 3)})};
  const std::string before = to_text(graph);
  PassNotes notes;
  EXPECT_EQ(layout_assignment_pass.rewrite(graph, notes), 0);
  EXPECT_EQ(to_text(graph), before);
}

TEST(LayoutAssignment, OtherTypesUnknownWeightsAndStatesStay) {
  Graph doubles;
  const ValueId x = doubles.add_input("x", DType::kF64, {1, 3, 9, 9}), w = doubles.add_constant("w", Tensor(DType::kF64, {4, 3, 3, 3}));
  doubles.outputs = {add(doubles, "Conv", {x, w})};
  EXPECT_EQ(layout_assignment_pass.apply(doubles), 0);

  Graph computed;
  const ValueId y = image(computed), weights = computed.add_input("w", DType::kF32, {8, 3, 3, 3});
  computed.outputs = {add(computed, "Conv", {y, weights})};
  EXPECT_EQ(layout_assignment_pass.apply(computed), 0);

  Graph training;
  training.outputs = {conv(training, conv(training, image(training), 8), 8)};
  training.add_state("step", random_tensor({1}, 3));
  EXPECT_EQ(layout_assignment_pass.apply(training), 0);
}

TEST(LayoutAssignment, NodesWithoutTheirFirstResultAreLeftAlone) {
  Graph graph;
  const ValueId v = conv(graph, conv(graph, image(graph), 8), 8);
  const ValueId rows = graph.add_input("rows", DType::kF32, {4, 2, 3});
  Node gru = {&newest_op("GRU"), "", {rows, numbers(graph, {1, 15, 3}, 3), numbers(graph, {1, 15, 5}, 4)}, {kNoValue, graph.add_result("last")}, {{"hidden_size", int64_t{5}}}};
  graph.nodes.push_back(gru);
  infer_types(graph, graph.nodes.back());
  graph.outputs = {v, gru.outputs[1]};
  EXPECT_EQ(assign(graph), 2);
}

TEST(LayoutAssignment, TellsWhyATransposeStays) {
  Graph graph;
  const ValueId v = conv(graph, conv(graph, image(graph), 8), 8);
  graph.outputs = {add(graph, "InstanceNormalization", {v, numbers(graph, {8}, 3), numbers(graph, {8}, 4)})};
  PassNotes notes;
  EXPECT_EQ(layout_assignment_pass.rewrite(graph, notes), 2);
  ASSERT_EQ(notes.near_misses().size(), 2u);
  EXPECT_NE(notes.near_misses()[0].why.find("an input of the graph gives channels first"), std::string::npos);
  EXPECT_NE(notes.near_misses()[1].why.find("InstanceNormalization"), std::string::npos);
}

}  // namespace
}  // namespace tandem
