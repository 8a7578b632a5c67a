#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

TEST(IdentityRemoval, TakesOutNodesThatGiveBackTheirInput) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2});
  ValueId v = add(graph, "Identity", {x});
  v = add(graph, "Dropout", {v});
  v = add(graph, "Relu", {v});
  v = add(graph, "Cast", {v}, {{"to", int64_t{1}}});
  v = add(graph, "Transpose", {v}, {{"perm", std::vector<int64_t>{0, 1}}});
  v = add(graph, "Flatten", {v});
  v = add(graph, "Neg", {v});
  graph.outputs = {v};
  EXPECT_EQ(apply_and_compare(identity_removal_pass, graph), 5);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[batch, 2]\n"
            "  %Relu: f32[batch, 2] = Relu(%x)\n"
            "  %Neg: f32[batch, 2] = Neg(%Relu)\n"
            "  return %Neg\n"
            "}\n");
}

TEST(IdentityRemoval, OutputsKeepTheirNames) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2});
  const ValueId a = add(graph, "Relu", {x});
  const ValueId last = add(graph, "Identity", {a}), second = add(graph, "Identity", {a}), of_input = add(graph, "Identity", {x});
  graph.value(last).name = "probabilities";
  graph.outputs = {last, second, of_input};
  EXPECT_EQ(apply_and_compare(identity_removal_pass, graph), 1);  // one name for Relu's result; the input keeps its own
  EXPECT_EQ(graph.nodes.size(), 3u);
  EXPECT_EQ(graph.value(graph.outputs[0]).name, "probabilities");
}

TEST(IdentityRemoval, KeepsWhatIsNoIdentity) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 2}), open = graph.add_input("open", DType::kF32, {Dim(), Dim()});
  graph.outputs = {add(graph, "Transpose", {x}), add(graph, "Cast", {x}, {{"to", int64_t{7}}}),
                   add(graph, "Flatten", {x}, {{"axis", int64_t{0}}}), add(graph, "Flatten", {open})};
  EXPECT_EQ(identity_removal_pass.apply(graph), 0);
}

ValueId ints(Graph& graph, std::vector<int64_t> values) {
  const Shape shape{static_cast<int64_t>(values.size())};
  return graph.add_constant("ints", Tensor::of<int64_t>(shape, values));
}

TEST(IdentityRemoval, TakesOutMovementThatMovesNothing) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2});
  ValueId v = add(graph, "Relu", {x});
  v = add(graph, "Expand", {v, ints(graph, {1, 1})});
  v = add(graph, "Slice", {v, ints(graph, {0}), ints(graph, {INT64_MAX})});
  v = add(graph, "Slice", {v, ints(graph, {-2}), ints(graph, {2}), ints(graph, {1})});
  v = add(graph, "Concat", {v}, {{"axis", int64_t{1}}});
  v = add(graph, "Split", {v}, {{"num_outputs", int64_t{1}}});
  v = add(graph, "Pad", {v, ints(graph, {0, 0, 0, 0})});
  v = add(graph, "Tile", {v, ints(graph, {1, 1})});
  graph.outputs = {add(graph, "Neg", {v})};
  EXPECT_EQ(apply_and_compare(identity_removal_pass, graph), 7);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(IdentityRemoval, TakesOutExactArithmeticOnly) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2});
  const auto number = [&](float value) { return graph.add_constant("c", Tensor::of<float>({1}, {value})); };
  ValueId v = add(graph, "Relu", {x});
  v = add(graph, "Add", {v, number(-0.0f)});
  v = add(graph, "Mul", {number(1), v});
  v = add(graph, "Sub", {v, number(0)});
  v = add(graph, "Div", {v, number(1)});
  v = add(graph, "Pow", {v, number(1)});
  EXPECT_EQ(graph.nodes.size(), 6u);
  v = add(graph, "Add", {v, number(0)});    // -0.0 becomes 0.0
  v = add(graph, "Sub", {number(0), v});    // the other way round
  v = add(graph, "Div", {number(1), v});
  graph.outputs = {add(graph, "Mul", {v, graph.add_constant("more", Tensor::of<float>({1, 1, 1}, {1}))})};  // one axis more
  EXPECT_EQ(apply_and_compare(identity_removal_pass, graph), 5);
  EXPECT_EQ(graph.nodes.size(), 5u);
}

TEST(IdentityRemoval, PairsUndoOrRepeatEachOther) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {3});
  ValueId v = add(graph, "Relu", {add(graph, "Relu", {x})});
  v = add(graph, "Neg", {add(graph, "Neg", {v})});
  v = add(graph, "Neg", {add(graph, "Floor", {v})});
  graph.outputs = {v};
  EXPECT_EQ(apply_and_compare(identity_removal_pass, graph), 2);
  EXPECT_EQ(graph.nodes.size(), 4u);  // of the pair of Neg the first is still there, unread
}

TEST(IdentityRemoval, AnExpandThatItsReaderDoesItself) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1, "n"}), y = graph.add_input("y", DType::kF32, {4, "n"});
  const auto expanded = [&](ValueId v) {
    return add(graph, "Expand", {v, graph.add_constant("shape", Tensor::of<int64_t>({2}, {4, 1}))});
  };
  const ValueId both = add(graph, "Add", {expanded(x), expanded(x)});     // one of the two says how large the sum is
  const ValueId sloped = add(graph, "PRelu", {expanded(x), y});           // only the slope broadcasts
  graph.outputs = {add(graph, "Mul", {y, expanded(x)}), both, sloped, add(graph, "Neg", {expanded(x)})};
  EXPECT_EQ(apply_and_compare(identity_removal_pass, graph), 2);
  EXPECT_EQ(graph.nodes[2].inputs[0], x);
  EXPECT_EQ(graph.nodes[4].inputs[0], graph.nodes[3].outputs[0]);
}

TEST(IdentityRemoval, JoinsCastsThatLoseNothing) {
  const auto cast = [](Graph& graph, ValueId v, DType to) { return add(graph, "Cast", {v}, {{"to", static_cast<int64_t>(to)}}); };
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {3});
  const ValueId exact = cast(graph, cast(graph, add(graph, "Neg", {x}), DType::kF64), DType::kF32);
  const ValueId rounded = cast(graph, cast(graph, add(graph, "Neg", {x}), DType::kF16), DType::kF32);
  const ValueId whole = cast(graph, cast(graph, add(graph, "Neg", {x}), DType::kI32), DType::kI64);
  graph.outputs = {add(graph, "Abs", {exact}), rounded, whole};
  EXPECT_EQ(apply_and_compare(identity_removal_pass, graph), 2);  // the second Cast reads what the first read, and is none
}

}  // namespace
}  // namespace tandem
