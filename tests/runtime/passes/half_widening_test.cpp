// Where casts stand around ops on 16-bit floats, and that what comes out is what computing each op in f32 and rounding its result
// gives.
#include "runtime/passes/half_widening.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using ::testing::ElementsAre;

Tensor half(const Shape& shape, const std::vector<float>& values) {
  Tensor tensor(DType::kF16, shape);
  std::ranges::transform(values, tensor.as<F16>().begin(), to_f16);
  return tensor;
}
std::vector<float> floats(const Tensor& tensor) {
  std::vector<float> values;
  for (F16 x : tensor.as<F16>()) values.push_back(to_float(x));
  return values;
}
float rounded(float x) { return to_float(to_f16(x)); }

void widen_all(Graph& graph) {
  widen_halves(graph, std::vector<bool>(graph.nodes.size(), true));
  verify(graph);
}

std::vector<std::string> lines(const Graph& graph) {
  std::vector<std::string> text;
  for (const Node& node : graph.nodes)
    text.push_back(std::string(node.def->name) + " " + std::string(name(graph.value(node.outputs[0]).type.dtype)));
  return text;
}

TEST(HalfWidening, EachResultIsRoundedToItsType) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF16, {3});
  const ValueId y = add(graph, "Mul", {x, graph.add_constant("c", half({}, {1.0009765625f}))});
  graph.outputs = {add(graph, "Mul", {y, y})};
  Graph wide = graph;
  widen_all(wide);
  EXPECT_THAT(lines(wide), ElementsAre("Cast f32", "Mul f32", "Cast f16", "Cast f32", "Mul f32", "Cast f16"));
  EXPECT_EQ(wide.value(wide.outputs[0]).name, graph.value(graph.outputs[0]).name);

  const std::vector<float> in = {1.0009765625f, -3.001953125f, 0.333251953125f};
  const Tensor out = testing::run_graph(graph, {half({3}, in)}).at(0);
  ASSERT_EQ(out.dtype(), DType::kF16);
  for (size_t i = 0; i < 3; ++i) {
    const float first = rounded(in[i] * 1.0009765625f);
    EXPECT_EQ(floats(out)[i], rounded(first * first));
  }
}

TEST(HalfWidening, WhatCannotRoundIsReadBeforeTheCast) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kBF16, {3});
  graph.outputs = {add(graph, "Exp", {add(graph, "Relu", {add(graph, "Neg", {x})})})};
  widen_all(graph);
  EXPECT_THAT(lines(graph), ElementsAre("Cast f32", "Neg f32", "Relu f32", "Exp f32", "Cast bf16"));
}

TEST(HalfWidening, MovesSixteenBitsAndLooksOnlyAtShapesAsTheyAre) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF16, {2, 3});
  const ValueId turned = add(graph, "Transpose", {x});
  const ValueId joined = add(graph, "Concat", {turned, turned}, {{"axis", int64_t{0}}});
  graph.outputs = {joined, add(graph, "Shape", {joined})};
  widen_all(graph);
  EXPECT_THAT(lines(graph), ElementsAre("Transpose f16", "Concat f16", "Shape i64"));
}

TEST(HalfWidening, AValueIsWidenedOnceAndAConstantWhenThePlanIsMade) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF16, {2});
  const ValueId c = graph.add_constant("c", half({2}, {0.5f, 2}));
  graph.outputs = {add(graph, "Add", {x, c}), add(graph, "Sub", {x, c})};
  widen_all(graph);
  EXPECT_THAT(lines(graph), ElementsAre("Cast f32", "Add f32", "Cast f16", "Sub f32", "Cast f16"));
}

TEST(HalfWidening, ACastOfTheGraphsOwnIsUsed) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF16, {2});
  const ValueId wide = add(graph, "Cast", {x}, {{"to", static_cast<int64_t>(DType::kF32)}});
  graph.outputs = {add(graph, "Exp", {wide}), add(graph, "Exp", {x})};
  widen_all(graph);
  EXPECT_THAT(lines(graph), ElementsAre("Cast f32", "Exp f32", "Exp f32", "Cast f16"));
}

TEST(HalfWidening, AbsentInputsStayAbsentAndEveryOutputIsRounded) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF16, {4});
  graph.add_node(newest_op("Clip"), {x, kNoValue, graph.add_constant("high", half({}, {1}))}, 1, {}, "clip");
  const std::vector<ValueId> kept = graph.add_node(newest_op("Dropout"), {x}, 2, {}, "dropout");
  graph.outputs = {graph.nodes[0].outputs[0], kept[0], kept[1]};
  const std::vector<Tensor> out = testing::run_graph(graph, {half({4}, {-3, 0.5f, 1.5f, 7})});
  EXPECT_THAT(floats(out[0]), ElementsAre(-3, 0.5f, 1, 1));
  EXPECT_THAT(floats(out[1]), ElementsAre(-3, 0.5f, 1.5f, 7));
  EXPECT_THAT(out[2].as<bool>(), ElementsAre(true, true, true, true));
}

TEST(HalfWidening, NodesNotMarkedStay) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF16, {2});
  graph.outputs = {add(graph, "Exp", {add(graph, "Exp", {x})})};
  EXPECT_THAT(widen_halves(graph, {false, true}), ElementsAre(0, -1, 1, -1));
  EXPECT_THAT(lines(graph), ElementsAre("Exp f16", "Cast f32", "Exp f32", "Cast f16"));
}

}  // namespace
}  // namespace tandem
