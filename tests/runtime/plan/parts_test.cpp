// Copies that the plan leaves out: parts that are views, and inputs of a Concat that are made inside its output.
#include <gtest/gtest.h>

#include <numeric>

#include "runtime/exec/executor.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;

ValueId ints(Graph& graph, std::vector<int64_t> values) {
  const Shape shape{static_cast<int64_t>(values.size())};
  return graph.add_constant("ints", Tensor::of<int64_t>(shape, values));
}
ValueId slice(Graph& graph, ValueId x, int64_t axis, int64_t start, int64_t end) {
  return add(graph, "Slice", {x, ints(graph, {start}), ints(graph, {end}), ints(graph, {axis})});
}
ValueId concat(Graph& graph, std::vector<ValueId> parts, int64_t axis) { return add(graph, "Concat", std::move(parts), {{"axis", axis}}); }

Tensor counted(const Shape& shape) {
  Tensor tensor(DType::kF32, shape);
  std::iota(tensor.as<float>().begin(), tensor.as<float>().end(), 1.0f);
  return tensor;
}

using Numbers = std::vector<std::vector<float>>;
Numbers run(Executor& executor, const Tensor& x) {
  const ConstTensorView inputs[] = {x.view()};
  Numbers results;
  for (const ConstTensorView& y : executor.run(inputs)) results.emplace_back(y.as<float>().begin(), y.as<float>().end());
  return results;
}

// The ops that still have something to do, in order.
std::string kernels(const Plan& plan) {
  std::string names;
  for (const Step& step : plan.steps)
    if (step.kind != StepKind::kView) names += std::string(plan.graph.nodes[static_cast<size_t>(step.node)].def->name) + " ";
  return names;
}

TEST(Parts, PiecesOfATensorAreViews) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1, 4, 2});
  const ValueId y = add(graph, "Neg", {x});
  const ValueId rows = slice(graph, y, 1, 1, 4), row = slice(graph, rows, 1, -1, 9);
  const auto halves = graph.add_node(newest_op("Split"), {y}, 2, {{"axis", int64_t{1}}, {"num_outputs", int64_t{2}}});
  const ValueId one = add(graph, "Gather", {y, graph.add_constant("two", Tensor::scalar<int64_t>(2))}, {{"axis", int64_t{1}}});
  graph.outputs = {row, halves[1], one, slice(graph, x, 1, 2, 3)};
  Executor executor(make_plan(graph, {}));
  EXPECT_EQ(kernels(executor.plan()), "Neg ");
  EXPECT_EQ(run(executor, counted({1, 4, 2})), (Numbers{{-7, -8}, {-5, -6, -7, -8}, {-5, -6}, {5, 6}}));
}

TEST(Parts, ColumnsAndSteppedRowsAreCopied) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {4, 2});
  graph.outputs = {slice(graph, x, 1, 1, 2), add(graph, "Slice", {x, ints(graph, {0}), ints(graph, {4}), ints(graph, {0}), ints(graph, {2})}),
                   slice(graph, slice(graph, x, 0, 1, 3), 1, 0, 1)};
  Executor executor(make_plan(graph, {}));
  EXPECT_EQ(run(executor, counted({4, 2})), (Numbers{{2, 4, 6, 8}, {1, 2, 5, 6}, {3, 5}}));
  EXPECT_EQ(kernels(executor.plan()), "Slice Slice Slice ");
}

// What works in place must not write what others still read.
TEST(Parts, AViewIsNotWorkedOnInPlaceWhileTheTensorIsRead) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {4});
  const ValueId y = add(graph, "Neg", {x});
  const ValueId changed = add(graph, "Relu", {slice(graph, y, 0, 0, 2)}), all = add(graph, "Abs", {slice(graph, y, 0, 0, 4)});
  graph.outputs = {changed, all, add(graph, "Add", {y, y})};
  Executor executor(make_plan(graph, {}));
  EXPECT_EQ(run(executor, counted({4})), (Numbers{{0, 0}, {1, 2, 3, 4}, {-2, -4, -6, -8}}));
}

TEST(Parts, InputsOfAConcatAreMadeInItsOutput) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1, 2, 2});
  const ValueId a = add(graph, "Neg", {x}), b = add(graph, "Abs", {x});
  const ValueId first = concat(graph, {a, b}, 1), c = add(graph, "Exp", {add(graph, "Sub", {a, a})});
  const ValueId second = concat(graph, {first, c}, 1);  // as DenseNet grows
  graph.outputs = {second, add(graph, "ReduceSum", {first, ints(graph, {0, 1, 2})})};
  Executor executor(make_plan(graph, {}));
  EXPECT_EQ(kernels(executor.plan()).find("Concat"), std::string::npos);
  EXPECT_EQ(run(executor, counted({1, 2, 2})), (Numbers{{-1, -2, -3, -4, 1, 2, 3, 4, 1, 1, 1, 1}, {0}}));
}

TEST(Parts, AConcatOfTheSameOrOfGivenValuesCopiesThose) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2});
  const ValueId a = add(graph, "Neg", {x});
  graph.outputs = {concat(graph, {a, a}, 0), concat(graph, {x, a, x}, 0), concat(graph, {slice(graph, x, 0, 1, 2), slice(graph, x, 0, 0, 1)}, 0)};
  Executor executor(make_plan(graph, {}));
  EXPECT_EQ(run(executor, counted({2})), (Numbers{{-1, -2, -1, -2}, {1, 2, -1, -2, 1, 2}, {2, 1}}));
}

// Channels are in one piece for one picture only.
TEST(Parts, WhatIsInOnePieceDependsOnTheBatch) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2});
  const ValueId y = add(graph, "Neg", {x});
  graph.outputs = {concat(graph, {y, add(graph, "Abs", {y})}, 1), slice(graph, y, 1, 1, 2)};
  Executor many(make_plan(graph, {.bounds = {{"batch", 3}}})), one(make_plan(graph, {.bounds = {{"batch", 1}}}));
  EXPECT_NE(kernels(many.plan()).find("Concat Slice"), std::string::npos);
  EXPECT_EQ(kernels(one.plan()).find("Slice"), std::string::npos);
  EXPECT_EQ(run(many, counted({2, 2})), (Numbers{{-1, -2, 1, 2, -3, -4, 3, 4}, {-2, -4}}));
  EXPECT_EQ(run(many, counted({1, 2})), run(one, counted({1, 2})));
  EXPECT_EQ(run(one, Tensor(DType::kF32, {0, 2})), (Numbers{{}, {}}));
}

// Rows of another count lie elsewhere in every run.
TEST(Parts, AnOffsetThatRunsWouldChangeIsNone) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"n", 2});
  const ValueId y = add(graph, "Neg", {x}), z = add(graph, "Abs", {x});
  graph.outputs = {concat(graph, {y, z}, 0), slice(graph, y, 0, -1, 9)};
  Executor executor(make_plan(graph, {.bounds = {{"n", 3}}}));
  EXPECT_EQ(run(executor, counted({1, 2})), (Numbers{{-1, -2, 1, 2}, {-1, -2}}));
  EXPECT_EQ(run(executor, counted({3, 2})), (Numbers{{-1, -2, -3, -4, -5, -6, 1, 2, 3, 4, 5, 6}, {-5, -6}}));
}

// The second row is one in the plan and none in a run: what lies behind it moves.
TEST(Parts, APieceOfOneMayBeEmptyInARun) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"n", 2});
  const ValueId y = add(graph, "Neg", {x}), second = slice(graph, y, 0, 1, 2);
  graph.outputs = {concat(graph, {add(graph, "Abs", {second}), add(graph, "Exp", {add(graph, "Sub", {slice(graph, y, 0, 0, 1), slice(graph, y, 0, 0, 1)})})}, 0)};
  Executor executor(make_plan(graph, {.bounds = {{"n", 2}}}));
  EXPECT_EQ(run(executor, counted({2, 2})), (Numbers{{3, 4, 1, 1}}));
  EXPECT_EQ(run(executor, counted({1, 2})), (Numbers{{1, 1}}));
}

TEST(Parts, APartOfAStateIsACopy) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {4});
  const ValueId w = graph.add_state("w", counted({4}));
  const ValueId old = slice(graph, add(graph, "Reshape", {w, ints(graph, {2, 2})}), 0, 1, 2);
  add(graph, "Assign", {w, x}, {}, "tandem");
  graph.outputs = {add(graph, "Neg", {old})};
  Executor executor(make_plan(graph, {}));
  EXPECT_EQ(run(executor, Tensor(DType::kF32, {4})), (Numbers{{-3, -4}}));
}

// A small part would keep a large tensor, and the memory of a Concat would be there too early.
TEST(Parts, NoMoreMemoryThanWithCopies) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1024, 64});
  ValueId v = add(graph, "Neg", {x});
  const ValueId small = slice(graph, v, 0, 0, 1);
  v = add(graph, "ReduceSum", {v, ints(graph, {0})});
  v = add(graph, "Expand", {v, ints(graph, {1024, 64})});
  graph.outputs = {add(graph, "ReduceMax", {add(graph, "Exp", {v}), ints(graph, {0})}), add(graph, "Abs", {small})};
  const auto plan = make_plan(graph, {});
  EXPECT_NE(kernels(*plan).find("Slice"), std::string::npos);
  EXPECT_LT(plan->host.arena, 2 * 1024 * 64 * 4);
}

}  // namespace
}  // namespace tandem
