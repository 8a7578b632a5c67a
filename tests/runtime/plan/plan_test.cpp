#include "runtime/plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/plan/constant_release.h"
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

// weights [2, 3] of two products, and of what else `reader` makes of it.
Graph with_shared_weights(std::string_view reader) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3});
  const ValueId w = testing::constant(graph, "w", {2, 3}, {1, 2, 3, -1, 0, 1});
  const ValueId a = add(graph, "Gemm", {x, w}, {{"transB", int64_t{1}}});
  const ValueId b = add(graph, "Gemm", {add(graph, "Relu", {x}), w}, {{"transB", int64_t{1}}});
  graph.outputs = {a, b};
  if (reader == "itself") graph.outputs.push_back(w);
  if (!reader.empty() && reader != "itself") graph.outputs.push_back(add(graph, std::string(reader), {w}));
  return graph;
}

TEST(Plan, WeightsThatEveryReaderHasPackedAreLetGoOf) {
  const auto plan = make_plan(with_shared_weights(""), {});
  const Value& w = plan->graph.value(plan->graph.find("w"));
  EXPECT_FALSE(w.data);
  EXPECT_EQ(to_string(*w.type.dims), "[2, 3]");
  EXPECT_EQ(plan->host.constants, plan->packs->bytes()) << "packed once for both products";
}

TEST(Plan, WeightsThatSomebodyReadsAsTheyAreStay) {
  for (std::string_view reader : {"Neg", "Flatten", "itself"}) {
    const auto plan = make_plan(with_shared_weights(reader), {});
    EXPECT_TRUE(plan->graph.value(plan->graph.find("w")).data) << reader;
    EXPECT_EQ(plan->host.constants, plan->packs->bytes() + 2 * 3 * 4) << reader;
  }
}

TEST(Plan, AnotherPlanOfTheGraphTakesWhatThisOnePacked) {
  const auto plan = make_plan(with_shared_weights(""), {.default_bound = 4});
  PlanOptions larger = plan->options;
  larger.default_bound = 8;
  const auto other = make_plan(plan->graph, larger);
  EXPECT_EQ(other->packs, plan->packs);
  EXPECT_EQ(other->host.constants, plan->host.constants);
}

TEST(Plan, AGraphThatLetGoOfItsWeightsGetsBackWhatThePlanHasLeft) {
  for (std::string_view reader : {"", "Neg"}) {
    Graph graph = with_shared_weights(reader);
    const ValueId w = graph.find("w");
    const Tensor weights = graph.value(w).data.clone();
    Graph given = graph;
    let_go_of_constants(graph);
    EXPECT_FALSE(graph.value(w).data);
    const auto plan = make_plan(std::move(given), {.default_bound = 4});
    take_constants(graph, *plan);
    EXPECT_EQ(static_cast<bool>(graph.value(w).data), reader == "Neg");
    if (reader == "Neg") {
      EXPECT_TRUE(identical(graph.value(w).data, weights));
    }
    PlanOptions larger = plan->options;
    larger.default_bound = 8;
    EXPECT_EQ(make_plan(graph, larger)->host.constants, plan->host.constants);
  }
}

TEST(Plan, WeightsOfStepsThatOnlyTheRunCanBindArePackedWithThePlan) {
  const auto plan = make_plan(with_shared_weights(""), {.open_symbols = true});
  EXPECT_TRUE(plan->is_dynamic(plan->graph.outputs[0]));
  EXPECT_FALSE(plan->graph.value(plan->graph.find("w")).data);
  EXPECT_GT(plan->packs->bytes(), 0);
}

// Of each weight, for a moment, both forms; one that a later step reads too is packed before others are, and goes.
TEST(Plan, WhileWeightsArePackedOneOfThemIsThereTwice) {
  constexpr int64_t kLarge = 64 * 64, kSmall = 64 * 16;
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1, 64});
  const ValueId large = testing::constant(graph, "large", {64, 64}, std::vector<float>(kLarge, 1.0f));
  const ValueId small = testing::constant(graph, "small", {64, 16}, std::vector<float>(kSmall, 1.0f));
  graph.outputs = {add(graph, "MatMul", {x, large}), add(graph, "MatMul", {x, small}), add(graph, "MatMul", {add(graph, "Exp", {x}), large})};
  const auto plan = make_plan(graph, {});
  const int64_t packed = plan->packs->bytes();  // panels may be wider than the matrix
  ASSERT_GE(packed, 4 * (kLarge + kSmall));
  EXPECT_GE(plan->host.loading, packed + 4 * kSmall);
  EXPECT_LT(plan->host.loading, packed + 4 * (kLarge + kSmall)) << "the large one was there until the last step";
  EXPECT_EQ(plan->host.constants, packed);
}

// Convolution needs scratch at its own step only, which is not where most is alive.
TEST(Plan, ScratchOfKernelsLiesInTheArenaWhereThereIsRoom) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1, 8, 32, 32});
  const ValueId w = testing::constant(graph, "w", {1, 8, 3, 3}, std::vector<float>(72, 1.0f));
  const ValueId y = add(graph, "Conv", {x, w});
  const ValueId wide = add(graph, "Concat", std::vector<ValueId>(128, add(graph, "Exp", {y})), {{"axis", int64_t{1}}});
  graph.outputs = {add(graph, "ReduceMax", {wide})};
  const auto plan = make_plan(graph, {.disabled_passes = {"layout_assignment"}});
  const Step& conv = plan->steps[0];
  ASSERT_GT(conv.kernel.workspace, 0u);
  EXPECT_EQ(plan->host.scratch, static_cast<int64_t>(conv.kernel.workspace));
  EXPECT_EQ(plan->host.workspace, 0);
  EXPECT_EQ(plan->host.arena, round_up(buffer(*plan, wide).bytes, 64) + round_up(buffer(*plan, y).bytes, 64)) << "the scratch adds nothing";
}

// Two branches made before either is reduced, as an exporter may list them.
TEST(Plan, NodesAreReorderedWhereLessIsAliveThen) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1024});
  std::vector<ValueId> branches, sums;
  for (int i = 0; i < 4; ++i) branches.push_back(add(graph, i % 2 ? "Exp" : "Neg", {x}));
  for (ValueId branch : branches) sums.push_back(add(graph, "ReduceSum", {branch}));
  graph.outputs = {add(graph, "Sum", sums)};
  const auto plan = make_plan(graph, {});
  EXPECT_LT(plan->host.arena, 2 * 4096);
  EXPECT_EQ(plan->graph.nodes[1].def->name, "ReduceSum");
}

}  // namespace
}  // namespace tandem
