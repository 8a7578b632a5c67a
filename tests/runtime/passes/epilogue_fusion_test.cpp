#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

constexpr float kTolerance = 1e-5f;

ValueId weights(Graph& graph, const Shape& shape) { return graph.add_constant("w", random_tensor(shape, 7)); }

TEST(EpilogueFusion, JoinsGemmAndActivation) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 5});
  const ValueId b = constant(graph, "b", {2}, {1, 2});
  graph.outputs = {add(graph, "Relu", {add(graph, "Gemm", {x, weights(graph, {5, 2}), b}, {{"beta", 2.0f}})})};
  EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, kTolerance), 1);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[batch, 5]\n"
            "  constant %b: f32[2] {1, 2}\n"
            "  constant %w: f32[5, 2] {...}\n"
            "  %Relu: f32[batch, 2] = tandem.FusedGemm(%x, %w, %b) {activation=\"Relu\", beta=2}\n"
            "  return %Relu\n"
            "}\n");
}

TEST(EpilogueFusion, EachActivation) {
  for (const char* activation : {"Relu", "Gelu", "Sigmoid", "Tanh"}) {
    Graph graph;
    const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4});
    graph.outputs = {add(graph, activation, {add(graph, "MatMul", {x, weights(graph, {4, 3})})})};
    EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, kTolerance), 1) << activation;
    EXPECT_EQ(graph.nodes[0].def->name, "FusedMatMul");
  }
}

TEST(EpilogueFusion, JoinsMatMulBiasAndActivation) {
  for (const bool bias_first : {false, true}) {
    Graph graph;
    const ValueId x = graph.add_input("x", DType::kF32, {"batch", 5, 4});
    const ValueId product = add(graph, "MatMul", {x, weights(graph, {4, 2})}), b = constant(graph, "b", {1, 2}, {1, 2});
    graph.outputs = {add(graph, "Tanh", {bias_first ? add(graph, "Add", {b, product}) : add(graph, "Add", {product, b})})};
    EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, kTolerance), 2);
    EXPECT_EQ(graph.nodes.size(), 1u);
  }
}

TEST(EpilogueFusion, ABiasTakesTheBetaOfAnAbsentCAway) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4});
  const ValueId y = add(graph, "Gemm", {x, weights(graph, {4, 2})}, {{"beta", 0.5f}});
  graph.outputs = {add(graph, "Add", {y, constant(graph, "b", {2}, {1, 2})})};
  EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, kTolerance), 1);
}

TEST(EpilogueFusion, JoinsConvBiasResidualAndActivation) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 4, 4});
  const ValueId y = add(graph, "Conv", {x, weights(graph, {3, 3, 3, 3})}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  const ValueId biased = add(graph, "Add", {y, constant(graph, "b", {1, 3, 1, 1}, {1, 2, 3})});
  graph.outputs = {add(graph, "Relu", {add(graph, "Add", {biased, x})})};
  EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, kTolerance), 3);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[batch, 3, 4, 4]\n"
            "  constant %w: f32[3, 3, 3, 3] {...}\n"
            "  constant %b.1: f32[3] {1, 2, 3}\n"
            "  %Relu: f32[batch, 3, 4, 4] = tandem.FusedConv(%x, %w, %b.1, %x) {activation=\"Relu\", pads=[1, 1, 1, 1]}\n"
            "  return %Relu\n"
            "}\n");
}

TEST(EpilogueFusion, LeavesAloneWhatOthersRead) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4});
  const ValueId read_twice = add(graph, "MatMul", {x, weights(graph, {4, 2})}),
                shown = add(graph, "MatMul", {x, weights(graph, {4, 2})});
  graph.outputs = {add(graph, "Add", {add(graph, "Relu", {read_twice}), read_twice}), shown, add(graph, "Relu", {shown})};
  EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, kTolerance), 0);
}

TEST(EpilogueFusion, LeavesAloneWhatIsNoBias) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 4}), v = graph.add_input("v", DType::kF32, {2});
  const auto product = [&] { return add(graph, "MatMul", {x, weights(graph, {4, 2})}); };
  graph.outputs = {
      add(graph, "Add", {product(), constant(graph, "column", {2, 1}, {1, 2})}),
      add(graph, "Add", {product(), constant(graph, "larger", {2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8})}),
      add(graph, "Add", {product(), v}),                                                                       // not a constant
      add(graph, "Add", {add(graph, "MatMul", {x, weights(graph, {4})}), constant(graph, "b", {2}, {1, 2})}),  // no columns
      add(graph, "Gelu", {product()}, {{"approximate", std::string("tanh")}}),
      add(graph, "Relu", {add(graph, "Tanh", {product()})}),  // only the first of the two
  };
  EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, kTolerance), 1);
}

// The fused node stands where the activation stood; the weight must still be what it was.
TEST(EpilogueFusion, DoesNotCarryAReadPastAnUpdate) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1, 1});
  const ValueId w = graph.add_state("w", Tensor::of<float>({1, 1}, {3}));
  const ValueId y = add(graph, "MatMul", {x, w});
  add(graph, "Assign", {w, x}, {}, "tandem");
  graph.outputs = {add(graph, "Relu", {y})};
  EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph), 0);
}

}  // namespace
}  // namespace tandem
