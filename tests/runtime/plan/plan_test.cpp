#include "runtime/plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using ::testing::HasSubstr;

const BufferPlan& buffer(const Plan& plan, ValueId id) { return plan.buffers[static_cast<size_t>(id)]; }

TEST(Plan, ElementwiseChainRunsInPlaceInOneBuffer) {
  Graph graph;
  ValueId x = graph.add_input("x", DType::kF32, {"batch", 16});
  const ValueId first = x = add(graph, "Exp", {x});
  for (int i = 0; i < 5; ++i) x = add(graph, "Relu", {x});
  graph.outputs = {x};
  const auto plan = make_plan(graph, {.default_bound = 8, .disabled_passes = {"elementwise_regions"}});
  EXPECT_EQ(plan->host.arena, 8 * 16 * 4);
  EXPECT_EQ(buffer(*plan, first).offset, buffer(*plan, x).offset);
}

TEST(Plan, AValueNeededLaterIsNotOverwritten) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 16});
  const ValueId a = add(graph, "Exp", {x});
  const ValueId b = add(graph, "Relu", {a});
  graph.outputs = {add(graph, "Add", {a, b})};
  const auto plan = make_plan(graph, {.default_bound = 8, .disabled_passes = {"elementwise_regions"}});
  EXPECT_NE(buffer(*plan, a).offset, buffer(*plan, b).offset);
  EXPECT_EQ(plan->host.arena, plan->host.lower_bound);
}

TEST(Plan, ViewsShareTheirSourceAndKeepItAlive) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4, 4});
  const ValueId a = add(graph, "Exp", {x});
  const ValueId flat = add(graph, "Flatten", {a}, {{"axis", int64_t{1}}});
  const ValueId other = add(graph, "Exp", {x});
  const ValueId b = add(graph, "Flatten", {other}, {{"axis", int64_t{1}}});
  graph.outputs = {add(graph, "Add", {flat, b})};
  const auto plan = make_plan(graph, {.default_bound = 8});
  EXPECT_EQ(buffer(*plan, a).offset, buffer(*plan, flat).offset);
  EXPECT_NE(buffer(*plan, a).offset, buffer(*plan, other).offset);
}

TEST(Plan, PackedValuesAreMadeInTheirPlace) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {16});
  const ValueId a = add(graph, "Exp", {x}), b = add(graph, "Neg", {x});
  const ValueId packed = add(graph, "Pack", {a, b}, {}, "tandem");
  graph.outputs = {packed};
  const auto plan = make_plan(graph, {});
  EXPECT_EQ(buffer(*plan, a).offset, buffer(*plan, packed).offset);
  EXPECT_EQ(buffer(*plan, b).offset, buffer(*plan, packed).offset + 64);
  EXPECT_EQ(plan->host.arena, 128);
}

TEST(Plan, RefusesOverTheMemoryLimitWithFigures) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 1024});
  graph.outputs = {add(graph, "Exp", {x})};
  try {
    make_plan(graph, {.default_bound = 64, .memory_limit = 1000});
    FAIL() << "a plan over its limit was made";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
    EXPECT_THAT(error.what(), HasSubstr("needs 262144 bytes"));
  }
}

TEST(Plan, BoundsOfSymbolsAreUsedAndPrinted) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", "length"});
  graph.outputs = {add(graph, "Exp", {x})};
  const auto plan = make_plan(graph, {.bounds = {{"batch", 2}, {"length", 32}}});
  EXPECT_EQ(plan->host.arena, 256);
  EXPECT_THAT(to_text(*plan), HasSubstr("batch <= 2, length <= 32"));
  EXPECT_THAT(to_text(*plan), HasSubstr("peak bytes"));
}

TEST(Plan, ShapeArithmeticOfExportersResolves) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3, 4});
  const ValueId shape = add(graph, "Shape", {x});
  const ValueId first =
      add(graph, "Gather", {shape, graph.add_constant("zero", Tensor::of<int64_t>({1}, {0}))}, {{"axis", int64_t{0}}});
  const ValueId rest = graph.add_constant("rest", Tensor::of<int64_t>({1}, {-1}));
  const ValueId target = add(graph, "Concat", {first, rest}, {{"axis", int64_t{0}}});
  const ValueId y = add(graph, "Reshape", {x, target});
  graph.outputs = {y};
  const auto plan = make_plan(graph, {.default_bound = 5});
  EXPECT_EQ(to_string(plan->shapes[static_cast<size_t>(y)]), "[5, 12]");
}

}  // namespace
}  // namespace tandem
