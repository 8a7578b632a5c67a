#include <gtest/gtest.h>

#include "runtime/passes/training_passes.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

ValueId transposed(Graph& graph, ValueId x, std::vector<int64_t> perm) { return add(graph, "Transpose", {x}, {{"perm", std::move(perm)}}); }

bool contains(const Graph& graph, const std::string& line) { return to_text(graph).find(line) != std::string::npos; }

TEST(TransposedProducts, ALinearLayerOverWords) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", "words", 4});
  const ValueId w = graph.add_state("w", random_tensor({5, 4}, 1));
  graph.outputs = {add(graph, "MatMul", {x, transposed(graph, w, {1, 0})})};
  EXPECT_EQ(apply_and_compare(transposed_products_pass, graph, 1e-6f), 1);
  EXPECT_EQ(graph.nodes.size(), 1u);
  EXPECT_TRUE(contains(graph, "tandem.MatMul(%x, %w) {transB=1}")) << to_text(graph);
}

TEST(TransposedProducts, BothOperandsOfABatch) {
  Graph graph;
  const ValueId a = graph.add_input("a", DType::kF32, {"batch", 4, 3}), b = graph.add_input("b", DType::kF32, {"batch", 5, 4});
  graph.outputs = {add(graph, "MatMul", {transposed(graph, a, {0, 2, 1}), transposed(graph, b, {0, 2, 1})})};
  EXPECT_EQ(apply_and_compare(transposed_products_pass, graph, 1e-6f), 1);
  EXPECT_TRUE(contains(graph, "tandem.MatMul(%a, %b) {transA=1, transB=1}")) << to_text(graph);
}

TEST(TransposedProducts, OtherPermutationsStay) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2, 4, 3}), k = graph.add_input("k", DType::kF32, {"batch", 5, 2, 3});
  graph.outputs = {add(graph, "MatMul", {x, transposed(graph, k, {0, 2, 3, 1})})};
  EXPECT_EQ(apply_and_compare(transposed_products_pass, graph), 0);
}

TEST(TransposedProducts, ATransposeThatOthersReadStays) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4}), w = graph.add_input("w", DType::kF32, {5, 4});
  const ValueId turned = transposed(graph, w, {1, 0});
  graph.outputs = {add(graph, "MatMul", {x, turned}), turned};
  EXPECT_EQ(apply_and_compare(transposed_products_pass, graph), 0);
}

}  // namespace
}  // namespace tandem
