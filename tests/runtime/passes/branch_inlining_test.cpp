#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

Subgraph branch(std::string_view op, const std::string& captured, std::string_view then = "") {
  auto body = std::make_shared<Graph>();
  const ValueId x = body->add_input(captured, DType::kF32, {2});
  body->captured_inputs = 1;
  body->outputs = {add(*body, op, {x})};
  if (!then.empty()) body->outputs = {add(*body, then, body->outputs)};
  return body;
}

ValueId add_if(Graph& graph, ValueId condition, ValueId a, ValueId b) {
  return graph.add_node(newest_op("If"), {condition, a, b}, 1, {{"else_branch", branch("Neg", "a")}, {"then_branch", branch("Abs", "b", "Relu")}})[0];
}

TEST(BranchInlining, PutsTheBranchThatIsTakenInThePlaceOfTheIf) {
  Graph graph;
  const ValueId a = graph.add_input("a", DType::kF32, {2}), b = graph.add_input("b", DType::kF32, {2});
  const ValueId yes = graph.add_constant("yes", Tensor::scalar(true));
  graph.outputs = {add(graph, "Exp", {add_if(graph, yes, a, b)})};
  EXPECT_EQ(apply_and_compare(branch_inlining_pass, graph), 1);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %a: f32[2]\n"
            "  input %b: f32[2]\n"
            "  %Abs: f32[2] = Abs(%b)\n"
            "  %Relu: f32[2] = Relu(%Abs)\n"
            "  %If: f32[2] = Identity(%Relu)\n"
            "  %Exp: f32[2] = Exp(%If)\n"
            "  return %Exp\n"
            "}\n");
}

TEST(BranchInlining, LeavesAChoiceThatDependsOnData) {
  Graph graph;
  const ValueId a = graph.add_input("a", DType::kF32, {2}), b = graph.add_input("b", DType::kF32, {2});
  const ValueId condition = graph.add_input("condition", DType::kBool, {});
  graph.outputs = {add_if(graph, condition, a, b)};
  EXPECT_EQ(branch_inlining_pass.apply(graph), 0);
  EXPECT_EQ(graph.nodes.size(), 1u);
}

TEST(BranchInlining, HandsConstantsToTheBodies) {
  Graph graph;
  const ValueId condition = graph.add_input("condition", DType::kBool, {}), b = graph.add_input("b", DType::kF32, {2});
  const ValueId a = constant(graph, "a", {2}, {1, -2});
  graph.outputs = {add_if(graph, condition, a, b)};
  EXPECT_EQ(branch_inlining_pass.apply(graph), 1);
  EXPECT_EQ(graph.nodes[0].inputs, (std::vector<ValueId>{condition, graph.find("b")}));
  const Graph& body = *std::get<Subgraph>(graph.nodes[0].attributes.at("else_branch"));
  EXPECT_EQ(body.captured_inputs, 0);
  EXPECT_TRUE(body.nodes.empty());  // folded
  EXPECT_TRUE(identical(body.value(body.outputs[0]).data, Tensor::of<float>({2}, {-1, 2})));
  verify(graph);
}

}  // namespace
}  // namespace tandem
