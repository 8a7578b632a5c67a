// Which constants of a graph are weights, and what stands behind a name that is wrong.
#include "runtime/train/imported_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/base/error.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using testing::constant;
using ::testing::ElementsAre;

ValueId ones(Graph& graph, const std::string& name, const Shape& shape) {
  return constant(graph, name, shape, std::vector<float>(static_cast<size_t>(shape.elements()), 1.0f));
}

TEST(TrainableConstants, AreOperandsOfLayersInTheOrderOfTheirUse) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4});
  const ValueId turned = add(graph, "Transpose", {ones(graph, "w", {3, 4})}, {{"perm", std::vector<int64_t>{1, 0}}});
  const ValueId h = add(graph, "Add", {ones(graph, "b", {3}), add(graph, "MatMul", {x, turned})});
  const ValueId normed = add(graph, "LayerNormalization", {h, ones(graph, "scale", {3}), ones(graph, "shift", {3})});
  graph.outputs = {add(graph, "Gemm", {normed, ones(graph, "w2", {3, 2})})};
  EXPECT_THAT(trainable_constants(graph), ElementsAre("w", "b", "scale", "shift", "w2"));
}

TEST(TrainableConstants, LeaveOutScalarsMasksAndStatistics) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 4, 4});
  const ValueId h =
      add(graph, "BatchNormalization",
          {x, ones(graph, "scale", {3}), ones(graph, "shift", {3}), ones(graph, "mean", {3}), ones(graph, "variance", {3})});
  const ValueId masked = add(graph, "Add", {add(graph, "Mul", {h, ones(graph, "half", {})}), ones(graph, "mask", {4, 4})});
  graph.outputs = {add(graph, "Mul", {masked, ones(graph, "single", {1})})};
  EXPECT_THAT(trainable_constants(graph), ElementsAre("scale", "shift"));
}

TEST(TrainableConstants, AWeightThatIsUsedTwiceIsNamedOnce) {
  Graph graph;
  const ValueId words = graph.add_input("words", DType::kI64, {"batch"});
  const ValueId table = ones(graph, "table", {5, 4});
  const ValueId x = add(graph, "Gather", {table, words});
  graph.outputs = {add(graph, "MatMul", {x, add(graph, "Transpose", {table}, {{"perm", std::vector<int64_t>{1, 0}}})})};
  EXPECT_THAT(trainable_constants(graph), ElementsAre("table"));
}

Graph two_outputs() {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4});
  const ValueId h = add(graph, "MatMul", {x, ones(graph, "w", {4, 3})});
  graph.outputs = {add(graph, "Relu", {h}), h};
  return graph;
}

TEST(NetworkOf, TakesTheFirstOutputOrTheOneThatIsNamed) {
  const Graph graph = two_outputs();
  const std::string first = graph.value(graph.outputs[0]).name, second = graph.value(graph.outputs[1]).name;
  EXPECT_EQ(network_of(graph).scores, first);
  const Network named = network_of(graph, {.scores = second});
  EXPECT_EQ(named.scores, second);
  EXPECT_THAT(named.graph.outputs, ElementsAre(graph.outputs[1]));
}

TEST(NetworkOf, RefusesWhatCannotBeTrained) {
  EXPECT_THROW(network_of(two_outputs(), {.scores = "elsewhere"}), Error);
  EXPECT_THROW(network_of(Graph()), Error);
  Graph graph;
  graph.outputs = {add(graph, "Relu", {graph.add_input("x", DType::kF32, {"batch", 4})})};
  EXPECT_THROW(network_of(graph), Error);
}

}  // namespace
}  // namespace tandem
