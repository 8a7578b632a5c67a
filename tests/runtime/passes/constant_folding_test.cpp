#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

TEST(ConstantFolding, ComputesChainsOfConstants) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2});
  const ValueId a = constant(graph, "a", {2}, {1, 2}), b = constant(graph, "b", {2}, {10, 20});
  const ValueId sum = add(graph, "Add", {a, b});
  graph.outputs = {add(graph, "Mul", {x, add(graph, "Neg", {sum})})};
  EXPECT_EQ(apply_and_compare(constant_folding_pass, graph), 2);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[batch, 2]\n"
            "  constant %Neg: f32[2] {-11, -22}\n"
            "  %Mul: f32[batch, 2] = Mul(%x, %Neg)\n"
            "  return %Mul\n"
            "}\n");
}

TEST(ConstantFolding, FoldsViewsOutputsAndStrings) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2});
  const ValueId a = constant(graph, "a", {2, 3}, {1, 2, 3, 4, 5, 6});
  const ValueId to = graph.add_constant("to", Tensor::of<int64_t>({2}, {3, -1}));
  const ValueId words = graph.add_constant("words", Tensor::strings({2}, std::vector<std::string>{"a", "b"}));
  const ValueId which = graph.add_constant("which", Tensor::of<int64_t>({2}, {1, 0}));
  graph.outputs = {add(graph, "Reshape", {a, to}), add(graph, "Gather", {words, which}), add(graph, "Relu", {x})};
  EXPECT_EQ(apply_and_compare(constant_folding_pass, graph), 2);
  EXPECT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.value(graph.outputs[0]).data.shape(), Shape({3, 2}));
  EXPECT_EQ(graph.value(graph.outputs[1]).data.as<std::string_view>()[0], "b");
}

TEST(ConstantFolding, FoldsWhatDependsOnKnownShapesOnly) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 6}), y = graph.add_input("y", DType::kF32, {"batch", 6});
  const ValueId fixed = add(graph, "Shape", {x}), open = add(graph, "Shape", {y});
  graph.outputs = {add(graph, "Reshape", {x, fixed}), add(graph, "Reshape", {y, open})};
  EXPECT_EQ(apply_and_compare(constant_folding_pass, graph), 1);
  EXPECT_EQ(graph.nodes.size(), 3u);
}

TEST(ConstantFolding, LeavesLargeResultsStatesAndFailingNodesAlone) {
  Graph graph;
  const ValueId one = constant(graph, "one", {1}, {1});
  const ValueId big = graph.add_constant("big", Tensor::of<int64_t>({1}, {1 << 20}));
  const ValueId w = graph.add_state("w", Tensor::of<float>({1}, {5}));
  const ValueId far = graph.add_constant("far", Tensor::of<int64_t>({1}, {7}));
  graph.outputs = {add(graph, "Expand", {one, big}), add(graph, "Neg", {w}), add(graph, "Gather", {one, far})};
  EXPECT_EQ(constant_folding_pass.apply(graph), 0);
  EXPECT_EQ(graph.nodes.size(), 3u);
}

TEST(ConstantFolding, ComputesSixteenBitFloatsAsAPlanWould) {
  Graph graph;
  const Tensor third = Tensor::scalar(to_f16(1.0f / 3));
  const ValueId product = add(graph, "Mul", {graph.add_constant("a", third), graph.add_constant("b", third)});
  graph.outputs = {add(graph, "Add", {graph.add_input("x", DType::kF16, {2}), product})};
  const Pass* const passes[] = {&constant_folding_pass};
  EXPECT_EQ(run_passes(graph, {.disabled = {}, .verify_each = true}, passes).at(0).changes, 1);
  ASSERT_EQ(graph.nodes.size(), 1u);
  const float rounded = to_float(to_f16(1.0f / 3));
  EXPECT_EQ(graph.value(graph.nodes[0].inputs[1]).data.as<F16>()[0].bits, to_f16(rounded * rounded).bits);
}

}  // namespace
}  // namespace tandem
