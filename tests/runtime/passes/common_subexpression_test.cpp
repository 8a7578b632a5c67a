#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

TEST(CommonSubexpression, MergesNodesAndConstants) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2});
  const ValueId a = constant(graph, "a", {2}, {1, 2}), b = constant(graph, "b", {2}, {1, 2}),
                c = constant(graph, "c", {1, 2}, {1, 2});
  const ValueId first = add(graph, "Relu", {add(graph, "Add", {x, a})}), second = add(graph, "Relu", {add(graph, "Add", {x, b})});
  const ValueId third = add(graph, "Relu", {add(graph, "Add", {x, c})});  // another shape: another constant
  graph.outputs = {add(graph, "Sum", {first, second, third})};
  EXPECT_EQ(apply_and_compare(common_subexpression_pass, graph), 3);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[batch, 2]\n"
            "  constant %a: f32[2] {1, 2}\n"
            "  constant %c: f32[1, 2] {1, 2}\n"
            "  %Add: f32[batch, 2] = Add(%x, %a)\n"
            "  %Relu: f32[batch, 2] = Relu(%Add)\n"
            "  %Add.2: f32[batch, 2] = Add(%x, %c)\n"
            "  %Relu.2: f32[batch, 2] = Relu(%Add.2)\n"
            "  %Sum: f32[batch, 2] = Sum(%Relu, %Relu, %Relu.2)\n"
            "  return %Sum\n"
            "}\n");
}

TEST(CommonSubexpression, AttributesAndBitsMustBeEqual) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2});
  const auto leaky = [&](float alpha) { return add(graph, "LeakyRelu", {x}, {{"alpha", alpha}}); };
  const ValueId plus = constant(graph, "plus", {1}, {0.0f}), minus = constant(graph, "minus", {1}, {-0.0f});
  graph.outputs = {add(graph, "Sum", {leaky(0.0f), leaky(-0.0f), leaky(0.5f), leaky(0.5f)}), add(graph, "Div", {x, plus}),
                   add(graph, "Div", {x, minus})};
  EXPECT_EQ(common_subexpression_pass.apply(graph), 1);
}

TEST(CommonSubexpression, TwoOutputsStayTwo) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2});
  graph.outputs = {add(graph, "Relu", {x}), add(graph, "Relu", {x})};
  EXPECT_EQ(apply_and_compare(common_subexpression_pass, graph), 0);
}

TEST(CommonSubexpression, NeverMergesEffectsOrDropout) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2});
  const ValueId v = graph.add_state("v", Tensor::of<float>({2}, {1, 1})),
                w = graph.add_state("w", Tensor::of<float>({2}, {1, 1}));
  add(graph, "Assign", {v, x}, {}, "tandem");
  add(graph, "Assign", {w, x}, {}, "tandem");
  graph.outputs = {add(graph, "Sub", {add(graph, "Dropout", {x}), add(graph, "Dropout", {x})})};
  EXPECT_EQ(common_subexpression_pass.apply(graph), 0);
}

}  // namespace
}  // namespace tandem
