#include <gtest/gtest.h>

#include "kernels/api/bf16_gemm.h"
#include "runtime/ops/product_precision.h"
#include "runtime/plan/plan.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

// x [4, 3, 8] by a weight that is a state, by itself, and by a constant.
Graph products_of(bool trains) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {4, 3, 8}), t = graph.add_input("t", DType::kF32, {4, 8, 3});
  const Tensor weight = random_tensor({8, 5}, 1);
  const ValueId w = trains ? graph.add_state("w", weight) : graph.add_constant("w", weight);
  const ValueId shape = graph.add_constant("shape", Tensor::of<int64_t>({2}, {12, 5})), v = graph.add_constant("v", random_tensor({7, 5}, 2));
  const ValueId y = add(graph, "Reshape", {add(graph, "MatMul", {x, w}), shape});
  graph.outputs = {y, add(graph, "MatMul", {x, t}), add(graph, "Gemm", {y, v}, {{"transB", int64_t{1}}})};
  return graph;
}

// Outputs in f32 and in bf16 are a few last bits of bf16 apart, but for output `same`.
void expect_last_bits_apart(const Graph& graph, size_t same = SIZE_MAX) {
  const std::vector<Tensor> inputs = random_inputs(graph);
  std::vector<ConstTensorView> views;
  for (const Tensor& input : inputs) views.push_back(input.view());
  const auto outputs = [&](DType precision) {
    Executor executor(make_plan(graph, {.precision = precision}));
    std::vector<Tensor> all;
    for (const ConstTensorView& view : executor.run(views)) all.push_back(Tensor::copy_of(view));
    return all;
  };
  const auto wide = outputs(DType::kF32), narrow = outputs(DType::kBF16);
  for (size_t i = 0; i < wide.size(); ++i) {
    double apart = 0, size = 0;
    for (size_t j = 0; j < wide[i].as<float>().size(); ++j) {
      const double exact = wide[i].as<float>()[j], off = narrow[i].as<float>()[j] - exact;
      apart += off * off, size += exact * exact;
    }
    EXPECT_LE(std::sqrt(apart / size), 4e-3) << i;  // the last bit of bf16 is 2^-8
    EXPECT_EQ(apart == 0, i == same) << i;
  }
}

int64_t rounded(const Graph& graph) {
  return std::ranges::count_if(graph.nodes, [](const Node& node) { return rounds_operands(NodeContext(node)); });
}

TEST(Bf16Products, ByOneMatrixInGraphsWithStates) {
  if (!cpu::multiplies_bf16()) GTEST_SKIP() << "this processor, or this tier, has no products of bf16";
  Graph graph = products_of(true);
  EXPECT_EQ(run_pass(graph, bf16_products_pass, true).changes, 2);
  EXPECT_EQ(rounded(graph), 2);  // not the batch of products
  Graph rests = products_of(false);
  EXPECT_EQ(run_pass(rests, bf16_products_pass, true).changes, 0);
}

// Gradients read their operands transposed.
TEST(Bf16Products, ProductsOfTransposedOperands) {
  if (!cpu::multiplies_bf16()) GTEST_SKIP() << "this processor, or this tier, has no products of bf16";
  Graph graph;
  const ValueId dy = graph.add_input("dy", DType::kF32, {4, 3, 5}), w = graph.add_state("w", random_tensor({8, 5}, 1));
  graph.outputs = {add(graph, "MatMul", {dy, w}, {{"transB", int64_t{1}}}, "tandem")};
  EXPECT_EQ(run_pass(graph, bf16_products_pass, true).changes, 1);
  EXPECT_EQ(rounded(graph), 1);
}

TEST(Bf16Products, AttentionAndItsGradient) {
  if (!cpu::multiplies_bf16()) GTEST_SKIP() << "this processor, or this tier, has no products of bf16";
  Graph graph;
  const ValueId q = graph.add_input("q", DType::kF32, {2, 3, 20, 8}), k = graph.add_input("k", DType::kF32, {2, 3, 30, 8}),
                v = graph.add_input("v", DType::kF32, {2, 3, 30, 6}), dy = graph.add_input("dy", DType::kF32, {2, 3, 20, 6});
  graph.add_state("w", random_tensor({1}, 1));
  const std::vector<ValueId> grads = graph.add_node(newest_op("FusedAttentionGrad", "tandem"), {dy, q, k, v}, 3);
  graph.outputs = {add(graph, "FusedAttention", {q, k, v}, {}, "tandem"), grads[0], grads[1], grads[2]};
  expect_last_bits_apart(graph);
}

TEST(Bf16Products, RoundedAttentionIsOfF32) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF64, {2, 2});
  EXPECT_THROW(add(graph, "FusedAttention", {x, x, x}, {{"precision", std::string("bf16")}}, "tandem"), Error);
}

TEST(Bf16Products, OnlyInPlansThatAskForThem) {
  const Graph graph = products_of(true);
  EXPECT_EQ(rounded(make_plan(graph, {})->graph), 0);
  EXPECT_EQ(rounded(make_plan(graph, {.precision = DType::kBF16})->graph), cpu::multiplies_bf16() ? 2 : 0);
  EXPECT_EQ(rounded(make_plan(graph, {.precision = DType::kBF16, .disabled_passes = {"bf16_products"}})->graph), 0);
}

TEST(Bf16Products, ConvolutionsWithoutGroupsAndTheirGradients) {
  if (!cpu::multiplies_bf16()) GTEST_SKIP() << "this processor, or this tier, has no products of bf16";
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 4, 8, 8}), dy = graph.add_input("dy", DType::kF32, {2, 6, 6, 6});
  const ValueId w = graph.add_state("w", random_tensor({6, 4, 3, 3}, 1)), grouped = graph.add_state("grouped", random_tensor({6, 2, 3, 3}, 2));
  graph.outputs = {add(graph, "Conv", {x, w}), add(graph, "ConvGradInput", {dy, w, x}, {}, "tandem"), add(graph, "ConvGradWeight", {dy, x, w}, {}, "tandem"),
                   add(graph, "Conv", {x, grouped}, {{"group", int64_t{2}}})};
  expect_last_bits_apart(graph, 3);
}

TEST(Bf16Products, GroupsOfChannelsAreRefused) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 4, 8, 8}), w = graph.add_input("w", DType::kF32, {6, 2, 3, 3});
  EXPECT_THROW(add(graph, "FusedConv", {x, w}, {{"group", int64_t{2}}, {"precision", std::string("bf16")}}, "tandem"), Error);
}

TEST(Bf16Products, AnotherPrecisionIsRefused) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 2});
  try {
    add(graph, "FusedMatMul", {x, x}, {{"precision", std::string("f8")}}, "tandem");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string_view(error.what()).find("precision must be bf16"), std::string_view::npos) << error.what();
  }
}

}  // namespace
}  // namespace tandem
