#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

ValueId ints(Graph& graph, std::vector<int64_t> values) {
  const Shape shape{static_cast<int64_t>(values.size())};
  return graph.add_constant("ints", Tensor::of<int64_t>(shape, values));
}

// What inference knows of computed shapes is put into the types by constant folding.
int fold_and_simplify(Graph& graph) {
  constant_folding_pass.apply(graph);
  return apply_and_compare(reshape_simplification_pass, graph);
}

TEST(ReshapeSimplification, AChainBecomesOneReshape) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2, 1, 6});
  ValueId v = add(graph, "Squeeze", {x, ints(graph, {2})});
  v = add(graph, "Flatten", {v});
  v = add(graph, "Reshape", {v, ints(graph, {0, 3, 4})});
  graph.outputs = {add(graph, "Unsqueeze", {v, ints(graph, {1})})};
  EXPECT_EQ(apply_and_compare(reshape_simplification_pass, graph), 3);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[batch, 2, 1, 6]\n"
            "  constant %shape.2: i64[4] {0, 1, 3, 4}\n"
            "  %Unsqueeze: f32[batch, 1, 3, 4] = Reshape(%x, %shape.2)\n"
            "  return %Unsqueeze\n"
            "}\n");
}

TEST(ReshapeSimplification, ThereAndBackIsNothing) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 6});
  const ValueId a = add(graph, "Relu", {x});
  const ValueId flat = add(graph, "Reshape", {a, ints(graph, {-1})});
  graph.outputs = {add(graph, "Neg", {add(graph, "Reshape", {flat, ints(graph, {-1, 6})})})};
  EXPECT_EQ(apply_and_compare(reshape_simplification_pass, graph), 1);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(ReshapeSimplification, AComputedShapeBecomesAConstant) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 9, 5});
  const ValueId y = add(graph, "Relu", {x});
  const ValueId batch = add(graph, "Slice", {add(graph, "Shape", {x}), ints(graph, {0}), ints(graph, {1})});
  const ValueId windows = add(graph, "Mul", {batch, ints(graph, {9})});
  const ValueId apart = add(graph, "Reshape", {y, add(graph, "Concat", {windows, ints(graph, {5})}, {{"axis", int64_t{0}}})});
  const ValueId sum = add(graph, "Neg", {apart});
  graph.outputs = {add(graph, "Reshape", {sum, add(graph, "Concat", {batch, ints(graph, {3, 15})}, {{"axis", int64_t{0}}})})};
  EXPECT_EQ(fold_and_simplify(graph), 2);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[batch, 9, 5]\n"
            "  constant %shape: i64[2] {-1, 5}\n"
            "  constant %shape.1: i64[3] {-1, 3, 15}\n"
            "  %Relu: f32[batch, 9, 5] = Relu(%x)\n"
            "  %Reshape: f32[9*batch, 5] = Reshape(%Relu, %shape)\n"
            "  %Neg: f32[9*batch, 5] = Neg(%Reshape)\n"
            "  %Reshape.1: f32[batch, 3, 15] = Reshape(%Neg, %shape.1)\n"
            "  return %Reshape.1\n"
            "}\n");
}

TEST(ReshapeSimplification, SymbolsAreCopiedWhereTheyStand) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", "length", 8});
  const ValueId sizes = add(graph, "Slice", {add(graph, "Shape", {x}), ints(graph, {0}), ints(graph, {2})});
  graph.outputs = {add(graph, "Reshape", {add(graph, "Relu", {x}), add(graph, "Concat", {sizes, ints(graph, {2, 4})}, {{"axis", int64_t{0}}})})};
  EXPECT_EQ(fold_and_simplify(graph), 1);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

// [0, -1] does not say what -1 is if there are no elements.
TEST(ReshapeSimplification, KeepsAShapeThatAnEmptyTensorNeeds) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", "length", 8});
  const ValueId y = graph.add_input("y", DType::kF32, {"batch", "other"});
  const ValueId sizes = add(graph, "Shape", {y});
  graph.outputs = {add(graph, "Reshape", {add(graph, "Relu", {x}), add(graph, "Concat", {sizes, ints(graph, {8})}, {{"axis", int64_t{0}}})})};
  EXPECT_EQ(fold_and_simplify(graph), 0);
}

TEST(ReshapeSimplification, ZeroesAreSizesIfTheTargetHasThem) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, Dim(int64_t{0}), 3});
  const ValueId v = add(graph, "Reshape", {add(graph, "Relu", {x}), ints(graph, {0, 4})}, {{"allowzero", int64_t{1}}});
  graph.outputs = {add(graph, "Unsqueeze", {v, ints(graph, {0})})};
  EXPECT_EQ(apply_and_compare(reshape_simplification_pass, graph), 1);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(ReshapeSimplification, WhatIsReadInBetweenStays) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 6});
  const ValueId flat = add(graph, "Reshape", {x, ints(graph, {12})});
  graph.outputs = {flat, add(graph, "Reshape", {flat, ints(graph, {3, 4})}), add(graph, "Reshape", {flat, ints(graph, {2, 6})})};
  EXPECT_EQ(apply_and_compare(reshape_simplification_pass, graph), 2);  // the last is the input itself, under an output's name
  EXPECT_EQ(graph.nodes.size(), 3u);
}

TEST(ReshapeSimplification, TwoUnknownSizesStay) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {Dim(), Dim(), 4});
  const ValueId v = add(graph, "Reshape", {x, ints(graph, {0, -1, 2, 2})});
  graph.outputs = {add(graph, "Reshape", {v, ints(graph, {0, -1, 4})})};
  EXPECT_EQ(reshape_simplification_pass.apply(graph), 0);
}

}  // namespace
}  // namespace tandem
