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
  const std::pair<const char*, Attributes> activations[] = {{"Relu", {}},
                                                            {"LeakyRelu", {{"alpha", 0.3f}}},
                                                            {"Elu", {}},
                                                            {"Sigmoid", {}},
                                                            {"HardSigmoid", {{"beta", 0.1f}}},
                                                            {"Tanh", {}},
                                                            {"Gelu", {}},
                                                            {"Gelu", {{"approximate", std::string("tanh")}}},
                                                            {"Swish", {{"alpha", 1.702f}}},
                                                            {"HardSwish", {}},
                                                            {"Mish", {}},
                                                            {"Softplus", {}}};
  for (const auto& [activation, attributes] : activations) {
    Graph graph;
    const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 8, 8});
    const ValueId y = add(graph, "Conv", {x, weights(graph, {3, 3, 1, 1})});
    graph.outputs = {add(graph, activation, {y}, attributes), add(graph, activation, {add(graph, "MatMul", {x, weights(graph, {8, 3})})}, attributes)};
    EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, kTolerance), 2) << activation;
    EXPECT_EQ(graph.nodes.size(), 2u);
  }
}

TEST(EpilogueFusion, ClipsToNumbers) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4}), high = graph.add_input("high", DType::kF32, {});
  const auto product = [&] { return add(graph, "MatMul", {x, weights(graph, {4, 3})}); };
  const ValueId low = constant(graph, "low", {}, {-0.1f});
  graph.outputs = {add(graph, "Clip", {product(), low}), add(graph, "Clip", {product(), low, high})};
  graph.outputs.push_back(graph.add_node(find_op("", "Clip", 6), {product()}, 1, {{"min", 0.0f}, {"max", 0.2f}})[0]);
  EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, kTolerance), 2);
}

TEST(EpilogueFusion, AddsAResidualToProducts) {
  for (const bool residual_first : {false, true}) {
    Graph graph;
    const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4}), b = constant(graph, "b", {4}, {1, 2, 3, 4});
    const ValueId gemm = add(graph, "Gemm", {x, weights(graph, {4, 4}), b});
    const ValueId y = add(graph, "Add", residual_first ? std::vector{x, gemm} : std::vector{gemm, x});
    const ValueId product = add(graph, "MatMul", {y, weights(graph, {4, 4})});
    const ValueId sum = residual_first ? add(graph, "Add", {add(graph, "Add", {y, product}), b}) : add(graph, "Add", {add(graph, "Add", {b, product}), y});
    graph.outputs = {add(graph, "Relu", {sum})};
    EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, kTolerance), 4);
    EXPECT_EQ(to_text(graph),
              "graph main {\n"
              "  input %x: f32[batch, 4]\n"
              "  constant %b: f32[4] {1, 2, 3, 4}\n"
              "  constant %w: f32[4, 4] {...}\n"
              "  constant %w.1: f32[4, 4] {...}\n"
              "  %Add: f32[batch, 4] = tandem.FusedGemm(%x, %w, %b, %x)\n"
              "  %Relu: f32[batch, 4] = tandem.FusedMatMul(%Add, %w.1, %b, %Add) {activation=\"Relu\"}\n"
              "  return %Relu\n"
              "}\n");
  }
}

TEST(EpilogueFusion, AddsNoResidualBesideAMatrixC) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4});
  const auto sum = [&](ValueId c, float beta) { return add(graph, "Add", {add(graph, "Gemm", {x, weights(graph, {4, 4}), c}, {{"beta", beta}}), x}); };
  graph.outputs = {sum(x, 1), sum(constant(graph, "b", {4}, {1, 2, 3, 4}), 2), sum(constant(graph, "one", {1}, {1}), 1)};
  EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, kTolerance), 0);
}

TEST(EpilogueFusion, AVectorIsABiasWhateverTheRank) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 6}), shape = graph.add_input("shape", DType::kI64, {Dim()});
  const ValueId y = add(graph, "MatMul", {add(graph, "Reshape", {x, shape}), weights(graph, {3, 2})});
  ASSERT_FALSE(graph.value(y).type.dims);
  graph.outputs = {add(graph, "Add", {constant(graph, "b", {2}, {1, 2}), y})};
  EXPECT_EQ(epilogue_fusion_pass.apply(graph), 1);
  EXPECT_EQ(graph.nodes.back().def->name, "FusedMatMul");
}

TEST(EpilogueFusion, ABiasMayBeLearnt) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", "words", 4});
  const ValueId bias = graph.add_state("bias", random_tensor({5}, 2)), row = graph.add_state("row", random_tensor({1}, 3));
  const ValueId sum = add(graph, "Add", {add(graph, "MatMul", {x, graph.add_state("w", random_tensor({4, 5}, 1))}), bias});
  graph.outputs = {add(graph, "Add", {sum, row})};
  EXPECT_EQ(apply_and_compare(epilogue_fusion_pass, graph, 1e-6f), 1);
  EXPECT_NE(to_text(graph).find("tandem.FusedMatMul(%x, %w, %bias)"), std::string::npos) << to_text(graph);
}

TEST(EpilogueFusion, SaysWhatWasInTheWay) {
  const auto near_miss = [](Graph& graph) {
    PassNotes notes;
    EXPECT_EQ(epilogue_fusion_pass.rewrite(graph, notes), 0);
    return notes.near_misses().empty() ? "" : notes.near_misses()[0].why;
  };
  Graph shown;
  const ValueId x = shown.add_input("x", DType::kF32, {"batch", 4});
  const ValueId y = add(shown, "MatMul", {x, weights(shown, {4, 4})});
  shown.outputs = {add(shown, "Relu", {y}), y};
  EXPECT_EQ(near_miss(shown), "MatMul is an output of the graph");
  Graph half;
  const ValueId h = half.add_input("h", DType::kF16, {4, 4});
  half.outputs = {add(half, "Relu", {add(half, "MatMul", {h, h})})};
  EXPECT_EQ(near_miss(half), "MatMul is of another type than f32 and f64");
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
  const ValueId x = graph.add_input("x", DType::kF32, {2, 4}), v = graph.add_input("v", DType::kF32, {1});
  const auto product = [&] { return add(graph, "MatMul", {x, weights(graph, {4, 2})}); };
  graph.outputs = {
      add(graph, "Add", {product(), constant(graph, "column", {2, 1}, {1, 2})}),
      add(graph, "Add", {product(), constant(graph, "larger", {2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8})}),
      add(graph, "Add", {product(), v}),                                                                       // one number for all columns
      add(graph, "Softsign", {product()}),
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
