#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

constexpr float kTolerance = 2e-5f;

// BatchNormalization of `x` with random constant parameters for `channels` channels.
ValueId normalized(Graph& graph, ValueId x, int64_t channels, Attributes attributes = {}) {
  std::vector<ValueId> inputs = {x};
  for (unsigned i = 0; i < 3; ++i) inputs.push_back(graph.add_constant("p", random_tensor({channels}, 10 + i)));
  inputs.push_back(graph.add_constant("variance", random_tensor({channels}, 20, 0.1f, 2)));
  return add(graph, "BatchNormalization", inputs, std::move(attributes));
}

TEST(BatchNormFolding, FoldsIntoConvolution) {
  for (const bool has_bias : {false, true})
    for (const int64_t group : {1, 2}) {
      Graph graph;
      const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4, 5, 5});
      std::vector<ValueId> inputs = {x, graph.add_constant("w", random_tensor({6, 4 / group, 3, 3}, 1))};
      if (has_bias) inputs.push_back(graph.add_constant("b", random_tensor({6}, 2)));
      graph.outputs = {normalized(graph, add(graph, "Conv", inputs, {{"group", group}}), 6, {{"epsilon", 1e-3f}})};
      EXPECT_EQ(apply_and_compare(batch_norm_folding_pass, graph, kTolerance), 1);
      ASSERT_EQ(graph.nodes.size(), 1u);
      EXPECT_EQ(graph.nodes[0].def->name, "Conv");
      EXPECT_EQ(graph.nodes[0].inputs.size(), 3u);
    }
}

TEST(BatchNormFolding, FoldsIntoTransposedConvolutionOfOneGroup) {
  for (const int64_t group : {1, 2}) {
    Graph graph;
    const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4, 5, 5});
    const std::vector<ValueId> inputs = {x, graph.add_constant("w", random_tensor({4, 6 / group, 3, 3}, 1)), graph.add_constant("b", random_tensor({6}, 2))};
    graph.outputs = {normalized(graph, add(graph, "ConvTranspose", inputs, {{"group", group}, {"strides", std::vector<int64_t>{2, 2}}}), 6)};
    EXPECT_EQ(apply_and_compare(batch_norm_folding_pass, graph, kTolerance), group == 1);
  }
}

TEST(BatchNormFolding, PrintsAsOneConvolution) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1, 1, 2});
  const ValueId y = add(graph, "Conv", {x, constant(graph, "w", {1, 1, 1}, {3})});
  // (3x - 4) * 2 / sqrt(4) + 5 = 3x + 1
  graph.outputs = {add(graph, "BatchNormalization",
                       {y, constant(graph, "scale", {1}, {2}), constant(graph, "shift", {1}, {5}),
                        constant(graph, "mean", {1}, {4}), constant(graph, "variance", {1}, {4})},
                       {{"epsilon", 0.0f}})};
  batch_norm_folding_pass.apply(graph);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[1, 1, 2]\n"
            "  constant %w.1: f32[1, 1, 1] {3}\n"
            "  constant %Conv.bias: f32[1] {1}\n"
            "  %BatchNormalization: f32[1, 1, 2] = Conv(%x, %w.1, %Conv.bias)\n"
            "  return %BatchNormalization\n"
            "}\n");
}

TEST(BatchNormFolding, FoldsIntoGemmAndMatMul) {
  for (const int64_t trans : {0, 1}) {
    Graph graph;
    const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4});
    const ValueId w = graph.add_constant("w", random_tensor(trans ? Shape{5, 4} : Shape{4, 5}, 1)),
                  b = graph.add_constant("b", random_tensor({5}, 2));
    const ValueId y = add(graph, "Gemm", {x, w, b}, {{"alpha", 0.5f}, {"beta", 2.0f}, {"transB", trans}});
    graph.outputs = {normalized(graph, y, 5)};
    EXPECT_EQ(apply_and_compare(batch_norm_folding_pass, graph, kTolerance), 1);
  }
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4});
  graph.outputs = {normalized(graph, add(graph, "MatMul", {x, graph.add_constant("w", random_tensor({4, 5}, 1))}), 5)};
  EXPECT_EQ(apply_and_compare(batch_norm_folding_pass, graph, kTolerance), 1);
  EXPECT_EQ(graph.nodes[0].def->name, "Gemm");
}

// Weights of 16 bits would be rounded once more, and models of such weights keep what they say.
TEST(BatchNormFolding, LeavesHalfPrecisionAlone) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF16, {1, 1, 2});
  const auto half = [&](const Shape& shape) { return graph.add_constant("h", Tensor(DType::kF16, shape)); };
  const ValueId y = add(graph, "Conv", {x, half({1, 1, 1})});
  graph.outputs = {add(graph, "BatchNormalization", {y, half({1}), half({1}), half({1}), half({1})})};
  EXPECT_EQ(batch_norm_folding_pass.apply(graph), 0);
}

TEST(BatchNormFolding, LeavesAloneWhatItCannotFold) {
  const auto changes = [](auto build) {
    Graph graph;
    build(graph, graph.add_input("x", DType::kF32, {1, 2, 4}));
    return batch_norm_folding_pass.apply(graph);
  };
  const auto convolved = [](Graph& graph, ValueId x) {
    return add(graph, "Conv", {x, graph.add_constant("w", random_tensor({3, 2, 1}, 1))});
  };
  // The convolution's own result is read as well, or is an output.
  EXPECT_EQ(changes([&](Graph& graph, ValueId x) {
              const ValueId y = convolved(graph, x);
              graph.outputs = {add(graph, "Add", {normalized(graph, y, 3), y})};
            }),
            0);
  EXPECT_EQ(changes([&](Graph& graph, ValueId x) {
              const ValueId y = convolved(graph, x);
              graph.outputs = {normalized(graph, y, 3), y};
            }),
            0);
  // In training; weights that are trained; no linear node before.
  EXPECT_EQ(changes([&](Graph& graph, ValueId x) {
              graph.outputs = {normalized(graph, convolved(graph, x), 3, {{"training_mode", int64_t{1}}})};
            }),
            0);
  EXPECT_EQ(changes([&](Graph& graph, ValueId x) {
              const ValueId w = graph.add_state("w", random_tensor({3, 2, 1}, 1));
              graph.outputs = {normalized(graph, add(graph, "Conv", {x, w}), 3)};
            }),
            0);
  EXPECT_EQ(changes([&](Graph& graph, ValueId x) { graph.outputs = {normalized(graph, add(graph, "Relu", {x}), 2)}; }), 0);
}

}  // namespace
}  // namespace tandem
