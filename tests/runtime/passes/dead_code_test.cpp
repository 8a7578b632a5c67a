#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

TEST(DeadCode, TakesOutWhatNobodyReads) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2}), unused = graph.add_input("unused", DType::kF32, {2});
  const ValueId c = constant(graph, "c", {2}, {1, 2});
  add(graph, "Relu", {add(graph, "Add", {x, c})});
  graph.outputs = {add(graph, "Neg", {x})};
  EXPECT_EQ(apply_and_compare(dead_code_pass, graph), 2);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[2]\n"
            "  input %unused: f32[2]\n"
            "  %Neg: f32[2] = Neg(%x)\n"
            "  return %Neg\n"
            "}\n");
  EXPECT_EQ(graph.inputs[1], unused);
}

TEST(DeadCode, KeepsUpdatesOfStatesAndWhatTheyRead) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2});
  const ValueId w = graph.add_state("w", Tensor::of<float>({2}, {1, 2}));
  graph.add_state("spare", Tensor::of<float>({2}, {1, 2}));
  const ValueId gradient = add(graph, "Neg", {x});
  add(graph, "Assign", {w, gradient}, {}, "tandem");
  EXPECT_EQ(dead_code_pass.apply(graph), 0);
  EXPECT_EQ(graph.nodes.size(), 2u);
  EXPECT_NO_THROW(graph.find("spare"));
}

TEST(DeadCode, IsLinearInALongChain) {
  Graph graph;
  ValueId x = graph.add_input("x", DType::kF32, {1});
  const ValueId first = x;
  for (int i = 0; i < 100'000; ++i) x = add(graph, "Relu", {x});
  graph.outputs = {first};
  EXPECT_EQ(dead_code_pass.apply(graph), 100'000);
  EXPECT_EQ(graph.values.size(), 1u);
}

}  // namespace
}  // namespace tandem
