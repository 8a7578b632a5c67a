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

}  // namespace
}  // namespace tandem
