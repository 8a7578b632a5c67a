#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

ValueId ints(Graph& graph, std::vector<int64_t> values) {
  const Shape shape{static_cast<int64_t>(values.size())};
  return graph.add_constant("ints", Tensor::of<int64_t>(shape, values));
}

ValueId slice(Graph& graph, ValueId x, int64_t axis, int64_t start, int64_t end, int64_t step = 1) {
  return add(graph, "Slice", {x, ints(graph, {start}), ints(graph, {end}), ints(graph, {axis}), ints(graph, {step})});
}

ValueId concat(Graph& graph, std::vector<ValueId> parts, int64_t axis) { return add(graph, "Concat", std::move(parts), {{"axis", axis}}); }

TEST(PartSimplification, AGatherOfARangeIsASlice) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 5});
  graph.outputs = {add(graph, "Gather", {x, ints(graph, {-3, 3, 4})}, {{"axis", int64_t{1}}}),
                   add(graph, "Gather", {x, ints(graph, {2, 1})}, {{"axis", int64_t{1}}})};
  EXPECT_EQ(apply_and_compare(part_simplification_pass, graph), 1);
  EXPECT_EQ(graph.nodes[0].def->name, "Slice");
  EXPECT_EQ(graph.nodes[1].def->name, "Gather");
}

TEST(PartSimplification, ASliceOfASliceIsOneSlice) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 12, 7});
  const ValueId rows = slice(graph, slice(graph, x, 1, 1, -1, 2), 1, 1, 9, 3);  // 3, 9
  graph.outputs = {slice(graph, rows, 2, -4, 6)};
  EXPECT_EQ(apply_and_compare(part_simplification_pass, graph), 2);
  EXPECT_EQ(graph.nodes.size(), 1u);
}

TEST(PartSimplification, SlicesStayThatOthersReadOrThatGoBackwards) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 12});
  const ValueId read = slice(graph, x, 1, 1, 9), backwards = slice(graph, x, 1, 9, 1, -1), open = graph.add_input("open", DType::kF32, {"n"});
  graph.outputs = {read, slice(graph, read, 1, 2, 4), slice(graph, backwards, 1, 2, 4), slice(graph, slice(graph, open, 0, 0, 2), 0, 0, 1)};
  EXPECT_EQ(apply_and_compare(part_simplification_pass, graph), 0);
}

TEST(PartSimplification, PartsPutTogetherAreTheWhole) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 6});
  const ValueId y = add(graph, "Relu", {x});
  const auto halves = graph.add_node(newest_op("Split"), {y}, 2, {{"axis", int64_t{-1}}, {"num_outputs", int64_t{2}}});
  const ValueId whole = concat(graph, {halves[0], halves[1]}, 1);
  const ValueId again = concat(graph, {slice(graph, whole, 1, 0, 2), slice(graph, whole, 1, 2, 99)}, -1);
  graph.outputs = {add(graph, "Neg", {again})};
  EXPECT_EQ(apply_and_compare(part_simplification_pass, graph), 2);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(PartSimplification, PartsInAnotherOrderOrWithGapsStay) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {4, 6});
  const ValueId y = add(graph, "Relu", {x}), z = add(graph, "Neg", {x});
  const auto halves = graph.add_node(newest_op("Split"), {y}, 2, {{"axis", int64_t{1}}, {"num_outputs", int64_t{2}}});
  graph.outputs = {concat(graph, {halves[1], halves[0]}, 1), concat(graph, {halves[0], halves[1]}, 0),
                   concat(graph, {slice(graph, y, 1, 0, 2), slice(graph, y, 1, 3, 6)}, 1),
                   concat(graph, {slice(graph, y, 1, 0, 2), slice(graph, z, 1, 2, 6)}, 1),
                   concat(graph, {slice(graph, y, 1, 0, 2), slice(graph, y, 1, 2, 5)}, 1)};
  EXPECT_EQ(apply_and_compare(part_simplification_pass, graph), 0);
}

// A copy is not the state that it was made from: that changes.
TEST(PartSimplification, CopiesOfAStateStay) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {4});
  const ValueId w = graph.add_state("w", Tensor::of<float>({4}, {1, 2, 3, 4}));
  const ValueId flat = add(graph, "Reshape", {w, ints(graph, {4})});
  const ValueId copy = concat(graph, {slice(graph, flat, 0, 0, 2), slice(graph, flat, 0, 2, 4)}, 0);
  add(graph, "Assign", {w, x}, {}, "tandem");
  graph.outputs = {add(graph, "Neg", {copy})};
  EXPECT_EQ(apply_and_compare(part_simplification_pass, graph), 0);
}

}  // namespace
}  // namespace tandem
