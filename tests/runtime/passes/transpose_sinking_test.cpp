#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

constexpr float kTolerance = 1e-5f;
using Order = std::vector<int64_t>;
const Order kToChannelsFirst = {0, 3, 1, 2}, kToChannelsLast = {0, 2, 3, 1};

ValueId ints(Graph& graph, std::vector<int64_t> values) {
  const Shape shape{static_cast<int64_t>(values.size())};
  return graph.add_constant("ints", Tensor::of<int64_t>(shape, values));
}
ValueId transpose(Graph& graph, ValueId x, const Order& order) { return add(graph, "Transpose", {x}, {{"perm", order}}); }
ValueId image(Graph& graph) { return graph.add_input("x", DType::kF32, {"batch", 5, 4, 3}); }

// A convolution as TensorFlow's models have it: channels last outside, first inside.
ValueId conv(Graph& graph, ValueId x, int64_t from, int64_t to) {
  const ValueId w = graph.add_constant("w", random_tensor({to, from, 3, 3}, 5));
  const ValueId y = add(graph, "Conv", {transpose(graph, x, kToChannelsFirst), w}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  return transpose(graph, y, kToChannelsLast);
}

int64_t transposes(const Graph& graph) {
  return std::ranges::count_if(graph.nodes, [](const Node& node) { return node.def->name == "Transpose"; });
}

TEST(TransposeSinking, InversesMeetBehindElementwiseOps) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 5, 4});
  ValueId v = transpose(graph, x, kToChannelsLast);
  v = add(graph, "Add", {v, constant(graph, "bias", {3}, {1, 2, 3})});
  v = add(graph, "Relu", {v});
  graph.outputs = {add(graph, "Neg", {transpose(graph, v, kToChannelsFirst)})};
  EXPECT_EQ(apply_and_compare(transpose_sinking_pass, graph), 4);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[batch, 3, 5, 4]\n"
            "  constant %bias.1: f32[1, 3, 1, 1] {1, 2, 3}\n"
            "  %Add.1: f32[batch, 3, 5, 4] = Add(%x, %bias.1)\n"
            "  %Relu.1: f32[batch, 3, 5, 4] = Relu(%Add.1)\n"
            "  %Neg: f32[batch, 3, 5, 4] = Neg(%Relu.1)\n"
            "  return %Neg\n"
            "}\n");
}

TEST(TransposeSinking, ANetworkWithChannelsLastKeepsTheFirstTransposeOnly) {
  Graph graph;
  const ValueId x = image(graph);
  ValueId v = add(graph, "Relu", {conv(graph, x, 3, 4)});
  v = add(graph, "Add", {v, conv(graph, v, 4, 4)});  // a residual
  const ValueId squeezed = add(graph, "ReduceMean", {v, ints(graph, {1, 2})});
  v = add(graph, "Mul", {v, add(graph, "Sigmoid", {conv(graph, squeezed, 4, 4)})});
  v = add(graph, "Pad", {v, ints(graph, {0, 1, 0, 0, 0, 0, 2, 0})});
  v = add(graph, "Concat", {v, add(graph, "Tanh", {v})}, {{"axis", int64_t{-1}}});
  const auto parts = graph.add_node(newest_op("Split"), {v, ints(graph, {3, 5})}, 2, {{"axis", int64_t{3}}});
  v = add(graph, "Slice", {add(graph, "Where", {add(graph, "Greater", {parts[0], parts[0]}), parts[0], parts[0]}), ints(graph, {1}), ints(graph, {5}), ints(graph, {1})});
  v = add(graph, "Softmax", {conv(graph, v, 3, 4)}, {{"axis", int64_t{-1}}});
  graph.outputs = {add(graph, "ReduceMax", {v, ints(graph, {1, 2})}, {{"keepdims", int64_t{0}}}),
                   add(graph, "ReduceSum", {parts[1], ints(graph, {-3, -2})}, {{"keepdims", int64_t{0}}})};
  EXPECT_GT(apply_and_compare(transpose_sinking_pass, graph, kTolerance), 0);
  EXPECT_EQ(transposes(graph), 1);
  EXPECT_EQ(graph.nodes[0].def->name, "Transpose");
}

TEST(TransposeSinking, AReadInBetweenGetsATransposeOfItsOwn) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 5, 4});
  const ValueId v = add(graph, "Relu", {transpose(graph, x, kToChannelsLast)});
  graph.outputs = {v, add(graph, "Neg", {transpose(graph, v, kToChannelsFirst)})};
  EXPECT_GT(apply_and_compare(transpose_sinking_pass, graph), 0);
  EXPECT_EQ(transposes(graph), 1);
}

TEST(TransposeSinking, StaysWhereNoBytesAreSaved) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 5, 4}), row = graph.add_input("row", DType::kF32, {"batch", 5, 4, 3});
  const ValueId v = transpose(graph, x, kToChannelsLast);
  graph.outputs = {add(graph, "Relu", {v}),
                   add(graph, "Add", {v, row}),                                                        // another tensor in that layout
                   add(graph, "Expand", {v, ints(graph, {2, 1, 1, 1, 1})})};
  const std::string before = to_text(graph);
  PassNotes notes;
  EXPECT_EQ(transpose_sinking_pass.rewrite(graph, notes), 0);
  EXPECT_EQ(to_text(graph), before);
  ASSERT_FALSE(notes.near_misses().empty());
  EXPECT_NE(notes.near_misses()[0].why.find("wants this order of axes"), std::string::npos);
}

TEST(TransposeSinking, GoesBehindWhatMakesATensorSmaller) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 5, 4});
  const ValueId v = add(graph, "ReduceMean", {transpose(graph, x, kToChannelsLast), ints(graph, {1})});
  graph.outputs = {add(graph, "Identity", {v})};
  EXPECT_EQ(apply_and_compare(transpose_sinking_pass, graph, kTolerance), 3);
  EXPECT_EQ(graph.nodes.back().def->name, "Transpose");
}

TEST(TransposeSinking, JoinsTwoAndTurnsMovedOnesIntoAReshape) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2, 1, 3});
  const ValueId two = transpose(graph, transpose(graph, x, {1, 0, 2, 3}), {1, 3, 2, 0});
  const ValueId ones = transpose(graph, add(graph, "Relu", {x}), {0, 2, 1, 3});
  graph.outputs = {two, ones};
  EXPECT_EQ(apply_and_compare(transpose_sinking_pass, graph), 3);
  EXPECT_EQ(transposes(graph), 1);
}

TEST(TransposeSinking, ProductsReadTransposedOperands) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 3, 4}), y = graph.add_input("y", DType::kF32, {2, 5, 4}), z = graph.add_input("z", DType::kF32, {4, 3});
  const ValueId product = add(graph, "MatMul", {x, transpose(graph, y, {0, 2, 1})});
  const ValueId gemm = add(graph, "Gemm", {transpose(graph, z, {1, 0}), graph.add_constant("w", random_tensor({4, 2}, 3))});
  const ValueId both = add(graph, "Gemm", {transpose(graph, z, {1, 0}), transpose(graph, add(graph, "Relu", {z}), {1, 0})}, {{"transB", int64_t{1}}});
  graph.outputs = {product, gemm, both};
  EXPECT_GT(apply_and_compare(transpose_sinking_pass, graph, kTolerance), 0);
  EXPECT_EQ(transposes(graph), 1);  // beside weights that are packed
}

TEST(TransposeSinking, ShapesAreReadBeforeTheTranspose) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 5, 4});
  const ValueId v = add(graph, "Relu", {transpose(graph, x, kToChannelsLast)});
  graph.outputs = {add(graph, "Neg", {transpose(graph, v, kToChannelsFirst)}), add(graph, "Shape", {v}), add(graph, "Shape", {v}, {{"start", int64_t{-2}}})};
  EXPECT_GT(apply_and_compare(transpose_sinking_pass, graph), 0);
  EXPECT_EQ(transposes(graph), 0);
}

TEST(TransposeSinking, SqueezedAndNewAxesComeAndGo) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2, 1, 3});
  ValueId v = transpose(graph, x, {3, 2, 0, 1});
  v = add(graph, "Squeeze", {v, ints(graph, {1})});             // [3, batch, 2]
  v = add(graph, "Unsqueeze", {v, ints(graph, {0, 2})});        // [1, 3, 1, batch, 2]
  v = transpose(graph, add(graph, "Exp", {v}), {0, 3, 4, 1, 2});  // [1, batch, 2, 3, 1]
  graph.outputs = {add(graph, "Neg", {v})};
  EXPECT_GT(apply_and_compare(transpose_sinking_pass, graph), 0);
  EXPECT_EQ(transposes(graph), 0);
}

TEST(TransposeSinking, OutputsKeepTheirNames) {
  Graph graph;
  const ValueId x = image(graph);
  const ValueId a = add(graph, "Relu", {x});
  const ValueId same = transpose(graph, transpose(graph, a, kToChannelsFirst), kToChannelsLast), input = transpose(graph, transpose(graph, x, kToChannelsFirst), kToChannelsLast);
  graph.outputs = {same, input, a};
  EXPECT_GT(apply_and_compare(transpose_sinking_pass, graph), 0);
  EXPECT_EQ(transposes(graph), 0);
}

// A Transpose reads a state where it stands.
TEST(TransposeSinking, IsNotCarriedPastAnUpdate) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 3});
  const ValueId w = graph.add_state("w", random_tensor({2, 3}, 1));
  const ValueId old = add(graph, "Relu", {transpose(graph, w, {1, 0})});
  add(graph, "Assign", {w, x}, {}, "tandem");
  graph.outputs = {add(graph, "Neg", {transpose(graph, old, {1, 0})})};
  EXPECT_EQ(apply_and_compare(transpose_sinking_pass, graph), 0);
}

TEST(TransposeSinking, EmptyTensorsAndLongChains) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, Dim(int64_t{0}), 3});
  ValueId v = transpose(graph, x, {2, 0, 1});
  for (int i = 0; i < 2000; ++i) v = i % 2 ? transpose(graph, v, {1, 2, 0}) : add(graph, "Neg", {v});
  graph.outputs = {v};
  transpose_sinking_pass.apply(graph);
  verify(graph);
  EXPECT_LE(transposes(graph), 1);
}

// As torch.nn.MultiheadAttention writes it: rows before batch, heads cut from batch * heads, the result's rows before batch again.
TEST(TransposeSinking, AnAttentionTakesAllTransposes) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, "rows", 12});
  const ValueId rows_first = transpose(graph, x, {1, 0, 2});
  const auto heads = [&](unsigned seed) {
    const ValueId w = graph.add_constant("w", random_tensor({12, 12}, seed));
    const ValueId cut = add(graph, "Reshape", {add(graph, "MatMul", {rows_first, w}), ints(graph, {-1, 6, 4})});
    return add(graph, "Reshape", {transpose(graph, cut, {1, 0, 2}), ints(graph, {2, 3, -1, 4})});
  };
  const ValueId q = heads(1), k = heads(2), v = heads(3);
  const ValueId y = add(graph, "FusedAttention", {q, k, v}, {{"scale", 0.5f}, {"y_perm", Order{2, 0, 1, 3}}}, "tandem");
  const ValueId joined = add(graph, "Reshape", {y, ints(graph, {0, 2, 12})});
  const ValueId product = add(graph, "MatMul", {joined, graph.add_constant("w", random_tensor({12, 12}, 4))});
  graph.outputs = {add(graph, "Add", {x, transpose(graph, product, {1, 0, 2})})};
  constant_folding_pass.apply(graph);
  EXPECT_GT(apply_and_compare(transpose_sinking_pass, graph, kTolerance), 0);
  EXPECT_EQ(transposes(graph), 0) << to_text(graph);
  const std::string text = to_text(graph);
  EXPECT_NE(text.find("k_perm=[0, 2, 1, 3], q_perm=[0, 2, 1, 3], scale=0.5, v_perm=[0, 2, 1, 3], y_perm=[0, 2, 1, 3]"), std::string::npos) << text;
}

TEST(TransposeSinking, AnAttentionsResultThatNothingTakesBackStaysInItsOrder) {
  Graph graph;
  const auto operand = [&](const char* name) { return graph.add_input(name, DType::kF32, {2, 3, "rows", 4}); };
  const ValueId q = operand("q"), k = operand("k"), v = operand("v");
  graph.outputs = {add(graph, "FusedAttention", {q, k, v}, {{"y_perm", Order{2, 0, 1, 3}}}, "tandem")};
  const std::string before = to_text(graph);
  EXPECT_EQ(apply_and_compare(transpose_sinking_pass, graph), 0);
  EXPECT_EQ(to_text(graph), before);
}

// The size of a head must come last in memory: what the kernel cannot walk is transposed.
TEST(TransposeSinking, AnAttentionTakesNoOtherOrder) {
  Graph graph;
  const ValueId q = transpose(graph, graph.add_input("q", DType::kF32, {2, 3, 4, 5}), {0, 1, 3, 2});
  const ValueId k = transpose(graph, graph.add_input("k", DType::kF32, {2, 3, 4, 7}), {0, 1, 3, 2});
  const ValueId v = transpose(graph, graph.add_input("v", DType::kF32, {2, 3, 6, 7}), {0, 1, 3, 2});
  graph.outputs = {add(graph, "FusedAttention", {q, k, v}, {}, "tandem")};
  EXPECT_GT(apply_and_compare(transpose_sinking_pass, graph, kTolerance), 0);
  EXPECT_EQ(transposes(graph), 2);
  EXPECT_NE(to_text(graph).find("{k_perm=[0, 1, 3, 2]}"), std::string::npos) << to_text(graph);
}

// Of a list of indices an axis stays.
TEST(TransposeSinking, PassesGatherAndReshape) {
  for (const bool single : {true, false}) {
    Graph graph;
    const ValueId x = graph.add_input("x", DType::kF32, {3, 8, 5});
    const ValueId index = single ? graph.add_constant("i", Tensor::of<int64_t>(Shape{}, {1})) : ints(graph, {2, 0});
    const ValueId part = add(graph, "Gather", {transpose(graph, x, {1, 2, 0}), index}, {{"axis", int64_t{2}}});
    const ValueId cut = add(graph, "Reshape", {part, ints(graph, single ? std::vector<int64_t>{2, 4, 5} : std::vector<int64_t>{2, 4, 5, 2})});
    graph.outputs = {single ? cut : transpose(graph, cut, {3, 0, 1, 2})};
    EXPECT_GT(apply_and_compare(transpose_sinking_pass, graph), 0);
    EXPECT_EQ(transposes(graph), 0) << to_text(graph);
  }
}

}  // namespace
}  // namespace tandem
