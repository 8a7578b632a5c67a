#include "runtime/exec/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/exec/profiler.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using testing::allocations;
using testing::constant;
using ::testing::HasSubstr;

Graph small_mlp() {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3});
  const ValueId w = constant(graph, "w", {2, 3}, {1, 2, 3, -1, 0, 1});
  const ValueId b = constant(graph, "b", {2}, {0.5f, -0.5f});
  const ValueId h = add(graph, "Gemm", {x, w, b}, {{"transB", int64_t{1}}});
  graph.outputs = {add(graph, "Softmax", {add(graph, "Relu", {h})}, {{"axis", int64_t{-1}}})};
  return graph;
}

TEST(Executor, ComputesWhatTheGraphSays) {
  Executor executor(make_plan(small_mlp(), {}));
  const Tensor x = Tensor::of<float>({2, 3}, {1, 1, 1, 0, 1, -1});
  const ConstTensorView inputs[] = {x.view()};
  const auto y = executor.run(inputs)[0];
  // h = (6.5, -0.5) and (-0.5, -1.5); relu; softmax.
  const auto values = y.as<float>();
  EXPECT_NEAR(values[0], 1 / (1 + std::exp(-6.5)), 1e-6);
  EXPECT_NEAR(values[2], 0.5, 1e-6);
  EXPECT_NEAR(values[3], 0.5, 1e-6);
}

TEST(Executor, ARunThatNobodyWantsStopsBetweenSteps) {
  Executor executor(make_plan(small_mlp(), {}));
  const Tensor x = Tensor::of<float>({1, 3}, {1, 1, 1});
  const ConstTensorView inputs[] = {x.view()};
  const std::vector<float> whole(executor.run(inputs)[0].as<float>().begin(), executor.run(inputs)[0].as<float>().end());
  int asked = 0;
  const StopCheck never = [&] { return ++asked < 0; };
  executor.run(inputs, never);
  EXPECT_GE(asked, 3) << "before each of Gemm, Relu and Softmax";
  for (int at = 1; at <= asked; ++at) {
    int looks = 0;
    try {
      executor.run(inputs, [&] { return ++looks == at; });
      FAIL() << at;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCancelled);
    }
    EXPECT_EQ(looks, at) << "it does not go on";
    const auto again = executor.run(inputs)[0].as<float>();
    EXPECT_EQ(std::vector<float>(again.begin(), again.end()), whole) << "the next run is whole";
  }
}

// The bounds never meet, so that every run binds kernels anew: from weights that were packed with the plan and are gone since.
TEST(Executor, RunsOfManySizesReadWeightsThatWerePackedOnce) {
  Executor executor(make_plan(small_mlp(), {.open_symbols = true}));
  EXPECT_FALSE(executor.plan().graph.value(executor.plan().graph.find("w")).data);
  const int64_t packed = executor.plan().packs->bytes();
  for (int64_t rows : {1, 3, 2}) {
    const Tensor x = Tensor::of<float>({rows, 3}, std::vector<float>(static_cast<size_t>(3 * rows), 1.0f));
    const ConstTensorView inputs[] = {x.view()};
    const auto y = executor.run(inputs)[0];
    ASSERT_EQ(y.shape, Shape({rows, 2}));
    EXPECT_NEAR(y.as<float>()[static_cast<size_t>(2 * rows - 2)], 1 / (1 + std::exp(-6.5)), 1e-6);
  }
  EXPECT_EQ(executor.plan().packs->bytes(), packed);
}

TEST(Executor, MakesTextOfNumbers) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"n"});
  const ValueId text = add(graph, "Cast", {x}, {{"to", static_cast<int64_t>(DType::kString)}});
  graph.outputs = {text, add(graph, "Cast", {text}, {{"to", static_cast<int64_t>(DType::kI32)}})};
  Executor executor(make_plan(graph, {}));
  for (float first : {1.5f, 2.5f}) {
    const Tensor in = Tensor::of<float>({2}, {first, -3});
    const ConstTensorView inputs[] = {in.view()};
    const auto out = executor.run(inputs);
    EXPECT_EQ(out[0].as<std::string_view>()[0], first == 1.5f ? "1.5" : "2.5");
    EXPECT_EQ(out[0].as<std::string_view>()[1], "-3");
    EXPECT_EQ(out[1].as<int32_t>()[0], static_cast<int32_t>(first));
  }
}

TEST(Executor, SteadyStateRunsAllocateNothing) {
  Executor executor(make_plan(small_mlp(), {}));
  const Tensor small = Tensor(DType::kF32, {2, 3}), large = Tensor(DType::kF32, {64, 3});
  const ConstTensorView two[] = {small.view()}, many[] = {large.view()};
  executor.run(two);
  executor.run(many);
  const int64_t before = allocations();
  for (int i = 0; i < 10; ++i) {
    executor.run(two);
    executor.run(many);
  }
  EXPECT_EQ(allocations() - before, 0);
}

TEST(Executor, RegionsAllocateNothingEither) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"n", 5000}), column = graph.add_input("column", DType::kF32, {"n", 1});
  const ValueId y = graph.add_node(newest_op("Mul"), {graph.add_node(newest_op("Sigmoid"), {x}, 1)[0], column}, 1)[0];
  graph.outputs = {graph.add_node(newest_op("Where"), {graph.add_node(newest_op("Less"), {x, y}, 1)[0], x, y}, 1)[0]};
  Executor executor(make_plan(graph, {}));
  ASSERT_EQ(executor.plan().graph.nodes.size(), 1u);
  const Tensor rows(DType::kF32, {8, 5000}), scales(DType::kF32, {8, 1});
  const ConstTensorView inputs[] = {rows.view(), scales.view()};
  executor.run(inputs);
  const int64_t before = allocations();
  for (int i = 0; i < 10; ++i) executor.run(inputs);
  EXPECT_EQ(allocations() - before, 0);
}

TEST(Executor, RefusesWrongInputsByName) {
  Executor executor(make_plan(small_mlp(), {.default_bound = 8}));
  const auto message_for = [&](const Tensor& x) -> std::string {
    try {
      const ConstTensorView inputs[] = {x.view()};
      executor.run(inputs);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(message_for(Tensor(DType::kF64, {2, 3})), HasSubstr("input 'x' is f64, the model takes f32"));
  EXPECT_THAT(message_for(Tensor(DType::kF32, {2, 4})), HasSubstr("input 'x' has shape [2, 4], the model takes [batch, 3]"));
  EXPECT_THAT(message_for(Tensor(DType::kF32, {3})), HasSubstr("input 'x' has shape [3]"));
  EXPECT_THAT(message_for(Tensor(DType::kF32, {9, 3})), HasSubstr("over the bound"));
  EXPECT_EQ(message_for(Tensor(DType::kF32, {8, 3})), "accepted");
}

TEST(Executor, AnEmptyBatchGivesAnEmptyResult) {
  Executor executor(make_plan(small_mlp(), {}));
  const Tensor x(DType::kF32, {0, 3});
  const ConstTensorView inputs[] = {x.view()};
  EXPECT_EQ(to_string(executor.run(inputs)[0].shape), "[0, 2]");
}

TEST(Executor, StatesLiveFromRunToRun) {
  Graph graph;
  const ValueId state = graph.add_state("count", Tensor::scalar<float>(0));
  const ValueId next = add(graph, "Add", {state, graph.add_constant("one", Tensor::scalar<float>(1))});
  graph.outputs = {add(graph, "Assign", {state, next}, {}, "tandem")};
  Executor executor(make_plan(graph, {}));
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(executor.run({})[0].as<float>()[0], static_cast<float>(i));
  EXPECT_EQ(executor.states().find("count")->as<float>()[0], 5.0f);
}

TEST(Executor, ProfilerSeesEveryKernel) {
  Profiler profiler;
  Executor executor(make_plan(small_mlp(), {}), {.profiler = &profiler});
  const Tensor x(DType::kF32, {2, 3});
  const ConstTensorView inputs[] = {x.view()};
  executor.run(inputs);
  ASSERT_EQ(profiler.events().size(), 3u);
  EXPECT_EQ(profiler.events()[0].op, "Gemm");
  for (const Profiler::Event& event : profiler.events()) EXPECT_LE(event.begin_ns, event.end_ns);
  EXPECT_THAT(profiler.summary(), HasSubstr("Softmax"));
}

}  // namespace
}  // namespace tandem
