// What runs in 16 bits and where casts stand, by the text of small graphs.
#include "runtime/passes/mixed_precision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using testing::constant;
using ::testing::ElementsAre;

std::vector<std::string> outputs(const Graph& graph) {
  std::vector<std::string> lines;
  for (const Node& node : graph.nodes)
    lines.push_back(std::string(node.def->name) + " " + std::string(name(graph.value(node.outputs[0]).type.dtype)));
  return lines;
}

TEST(MixedPrecision, ProductsAndWhatFollowsThemAreLoweredTheRestIsNot) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3});
  const ValueId h = add(graph, "Relu", {add(graph, "Gemm", {x, constant(graph, "w", {3, 2}, {1, 2, 3, 4, 5, 6})})});
  graph.outputs = {add(graph, "Softmax", {h})};
  EXPECT_EQ(lower_precision(graph, DType::kBF16), 2);
  EXPECT_THAT(outputs(graph), ElementsAre("Cast bf16", "Cast bf16", "Gemm bf16", "Relu bf16", "Cast f32", "Softmax f32"));
  verify(graph);
}

TEST(MixedPrecision, AGraphOutputKeepsItsTypeAndName) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3});
  graph.outputs = {add(graph, "MatMul", {x, constant(graph, "w", {3, 1}, {1, 2, 3})})};
  const std::string before = graph.value(graph.outputs[0]).name;
  lower_precision(graph, DType::kF16);
  EXPECT_EQ(graph.value(graph.outputs[0]).name, before);
  EXPECT_EQ(graph.value(graph.outputs[0]).type.dtype, DType::kF32);
  verify(graph);
}

TEST(MixedPrecision, AValueIsCastOnce) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {3, 3});
  const ValueId y = add(graph, "MatMul", {x, x});
  graph.outputs = {add(graph, "Softmax", {y}), add(graph, "Softmax", {add(graph, "MatMul", {y, x})})};
  lower_precision(graph, DType::kBF16);
  EXPECT_THAT(outputs(graph), ElementsAre("Cast bf16", "MatMul bf16", "Cast f32", "Softmax f32", "MatMul bf16", "Cast f32", "Softmax f32"));
}

TEST(MixedPrecision, LeavesOtherTypesAndGraphsWithoutProductsAlone) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF64, {3, 3});
  graph.outputs = {add(graph, "MatMul", {x, x}), add(graph, "Relu", {graph.add_input("y", DType::kF32, {3})})};
  EXPECT_EQ(lower_precision(graph, DType::kF16), 0);
  EXPECT_EQ(graph.nodes.size(), 2u);
  EXPECT_THROW(lower_precision(graph, DType::kF64), Error);
}

}  // namespace
}  // namespace tandem
