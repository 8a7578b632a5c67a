// Runs whose shapes only the run knows: shapes as data, the bodies of If and Loop.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/exec/executor.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using testing::constant;
using ::testing::HasSubstr;

std::vector<float> floats(const ConstTensorView& view) {
  const auto values = view.as<float>();
  return {values.begin(), values.end()};
}

// y = relu(reshape(x, shape)) + 1, the shape an input.
Graph reshaping() {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {6}), shape = graph.add_input("shape", DType::kI64, {2});
  const ValueId one = constant(graph, "one", {}, {1});
  graph.outputs = {add(graph, "Add", {add(graph, "Relu", {add(graph, "Reshape", {x, shape})}), one})};
  return graph;
}

TEST(DynamicSteps, TakeAShapeThatIsData) {
  Executor executor(make_plan(reshaping(), {}));
  const Tensor x = Tensor::of<float>({6}, {-1, 0, 1, 2, 3, 4});
  for (const std::vector<int64_t>& dims : {std::vector<int64_t>{2, 3}, {3, 2}, {1, -1}, {2, 3}}) {
    const Tensor shape = Tensor::of(Shape{2}, dims);
    const ConstTensorView inputs[] = {x.view(), shape.view()};
    const auto y = executor.run(inputs)[0];
    EXPECT_EQ(y.shape[0], dims[0]);
    EXPECT_EQ(y.shape.elements(), 6);
    EXPECT_EQ(floats(y), (std::vector<float>{1, 1, 2, 3, 4, 5}));
  }
}

// What Squeeze without axes leaves of [n, 2, 1] has an axis less where n is 1: kernels bound to the axes at the bound would not do.
TEST(DynamicSteps, TakeASqueezeWithoutAxes) {
  Graph graph;
  const ValueId squeezed = add(graph, "Squeeze", {graph.add_input("x", DType::kF32, {"n", 2, 1})});
  graph.outputs = {add(graph, "Transpose", {squeezed}), add(graph, "CumSum", {squeezed, graph.add_constant("axis", Tensor::scalar<int64_t>(-1))})};
  Executor executor(make_plan(graph, {.bounds = {{"n", 3}}}));
  const auto run = [&](const Tensor& x) {
    const ConstTensorView inputs[] = {x.view()};
    return executor.run(inputs);
  };
  const auto many = run(Tensor::of<float>({3, 2, 1}, {1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(to_string(many[0].shape), "[2, 3]");
  EXPECT_EQ(floats(many[0]), (std::vector<float>{1, 3, 5, 2, 4, 6}));
  EXPECT_EQ(floats(many[1]), (std::vector<float>{1, 3, 3, 7, 5, 11}));
  const auto one = run(Tensor::of<float>({1, 2, 1}, {7, 8}));
  EXPECT_EQ(to_string(one[0].shape), "[2]");
  EXPECT_EQ(floats(one[0]), (std::vector<float>{7, 8}));
  EXPECT_EQ(floats(one[1]), (std::vector<float>{7, 15}));
}

TEST(DynamicSteps, RefuseAShapeThatDoesNotFit) {
  Executor executor(make_plan(reshaping(), {}));
  const Tensor x(DType::kF32, {6}), shape = Tensor::of<int64_t>({2}, {4, 2}), good = Tensor::of<int64_t>({2}, {6, 1});
  const ConstTensorView inputs[] = {x.view(), shape.view()}, again[] = {x.view(), good.view()};
  try {
    executor.run(inputs);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("[Reshape]"));
  }
  EXPECT_EQ(to_string(executor.run(again)[0].shape), "[6, 1]");  // and goes on
}

// Steps in a row write in place, but not over what is read again: of y = neg(relu(x)) + x, x of a shape that is data, two tensors are held.
TEST(DynamicSteps, WriteInPlaceWhatIsReadForTheLastTime) {
  constexpr int64_t kElements = 1000, kBytes = kElements * 4;
  const auto chain = [](bool reads_again) {
    Graph graph;
    const ValueId x = graph.add_input("x", DType::kF32, {kElements}), shape = graph.add_input("shape", DType::kI64, {2});
    const ValueId shaped = add(graph, "Reshape", {x, shape});
    ValueId y = add(graph, "Neg", {add(graph, "Abs", {add(graph, "Neg", {shaped})})});
    if (reads_again) y = add(graph, "Add", {y, shaped});
    graph.outputs = {y};
    return graph;
  };
  Tensor x(DType::kF32, {kElements});
  for (size_t i = 0; i < kElements; ++i) x.as<float>()[i] = static_cast<float>(i) - 500;
  const Tensor shape = Tensor::of<int64_t>({2}, {10, 100});
  for (const bool reads_again : {false, true}) {
    Executor executor(make_plan(chain(reads_again), {.disabled_passes = {"elementwise_regions"}}));
    const ConstTensorView inputs[] = {x.view(), shape.view()};
    for (int run = 0; run < 2; ++run) {
      const std::vector<float> y = floats(executor.run(inputs)[0]);
      for (size_t i = 0; i < kElements; ++i) {
        const float value = static_cast<float>(i) - 500;
        ASSERT_EQ(y[i], -std::abs(value) + (reads_again ? value : 0)) << i;
      }
    }
    EXPECT_EQ(executor.dynamic_peak_bytes(), reads_again ? 2 * kBytes : kBytes);
    EXPECT_EQ(x.as<float>()[0], -500);  // the caller's memory is as it was
  }
}

// A body holds nothing between its runs: of two branches one after the other, the larger counts.
TEST(DynamicSteps, BodiesTakeTheirMemoryInTurns) {
  constexpr int64_t kElements = 1000, kBytes = kElements * 4;
  const auto branch = [](std::string_view op) {
    auto body = std::make_shared<Graph>();
    const ValueId x = body->add_input("x", DType::kF32, {kElements});
    body->captured_inputs = 1;
    body->outputs = {add(*body, op, {x})};
    return Subgraph(body);
  };
  Graph graph;
  const ValueId condition = graph.add_input("condition", DType::kBool, {}), x = graph.add_input("x", DType::kF32, {kElements});
  ValueId y = x;
  for (int i = 0; i < 4; ++i)
    y = graph.add_node(newest_op("If"), {condition, y, y}, 1, {{"then_branch", branch("Neg")}, {"else_branch", branch("Abs")}})[0];
  graph.outputs = {y};
  Executor executor(make_plan(graph, {}));
  const Tensor yes = Tensor::scalar(true), ones = Tensor::of(Shape{kElements}, std::vector<float>(kElements, 1));
  const ConstTensorView inputs[] = {yes.view(), ones.view()};
  EXPECT_EQ(floats(executor.run(inputs)[0]), std::vector<float>(kElements, 1));
  EXPECT_LE(executor.dynamic_peak_bytes(), 3 * kBytes);
}

// Doubles `carried` and hands out what it was, as long as it is below `limit`, which it takes from around it.
Subgraph doubling_body() {
  auto body = std::make_shared<Graph>();
  body->add_input("trip", DType::kI64, {});
  body->add_input("goes_on", DType::kBool, {});
  const ValueId carried = body->add_input("carried", DType::kF32, {2}), limit = body->add_input("limit", DType::kF32, {2});
  body->captured_inputs = 1;
  const ValueId doubled = add(*body, "Add", {carried, carried});
  const ValueId below = add(*body, "Less", {doubled, limit});
  const ValueId zero = body->add_constant("zero", Tensor::scalar<int64_t>(0));
  body->outputs = {add(*body, "Gather", {below, zero}), doubled, carried};
  return body;
}

TEST(DynamicSteps, RunALoop) {
  Graph graph;
  const ValueId trips = graph.add_input("trips", DType::kI64, {}), x = graph.add_input("x", DType::kF32, {2}),
                limit = graph.add_input("limit", DType::kF32, {2});
  graph.outputs = graph.add_node(newest_op("Loop"), {trips, kNoValue, x, limit}, 2, {{"body", doubling_body()}});
  Executor executor(make_plan(graph, {}));
  const auto run = [&](int64_t most, float below) {
    const Tensor count = Tensor::scalar(most), start = Tensor::of<float>({2}, {1, 3}), bound = Tensor::of<float>({2}, {below, 0});
    const ConstTensorView inputs[] = {count.view(), start.view(), bound.view()};
    const auto results = executor.run(inputs);
    return std::vector<Tensor>{Tensor::copy_of(results[0]), Tensor::copy_of(results[1])};
  };
  const auto by_count = run(3, 1000);
  EXPECT_EQ(floats(by_count[0].view()), (std::vector<float>{8, 24}));
  EXPECT_EQ(to_string(by_count[1].shape()), "[3, 2]");
  EXPECT_EQ(floats(by_count[1].view()), (std::vector<float>{1, 3, 2, 6, 4, 12}));
  EXPECT_EQ(floats(run(100, 10)[0].view()), (std::vector<float>{16, 48}));  // 16 is the first that is not below
  const auto none = run(0, 1000);
  EXPECT_EQ(floats(none[0].view()), (std::vector<float>{1, 3}));
  EXPECT_EQ(to_string(none[1].shape()), "[0, 2]");
}

TEST(DynamicSteps, ALoopThatNobodyWantsStopsBetweenIterations) {
  Graph graph;
  const ValueId trips = graph.add_input("trips", DType::kI64, {}), x = graph.add_input("x", DType::kF32, {2}),
                limit = graph.add_input("limit", DType::kF32, {2});
  graph.outputs = graph.add_node(newest_op("Loop"), {trips, kNoValue, x, limit}, 2, {{"body", doubling_body()}});
  Executor executor(make_plan(graph, {}));
  const auto run = [&](int64_t most, const StopCheck& stop) {
    const Tensor count = Tensor::scalar(most), start = Tensor::of<float>({2}, {1, 3}), bound = Tensor::of<float>({2}, {1e9f, 0});
    const ConstTensorView inputs[] = {count.view(), start.view(), bound.view()};
    return floats(executor.run(inputs, stop)[0]);
  };
  int looks = 0;
  EXPECT_EQ(run(4, [&] { return ++looks < 0; }), (std::vector<float>{16, 48}));
  EXPECT_GE(looks, 5) << "before the loop and before each of its iterations";
  for (int at = 1; at <= looks; ++at) {
    int asked = 0;
    try {
      run(4, [&] { return ++asked == at; });
      FAIL() << at;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCancelled);
    }
    EXPECT_EQ(asked, at) << "it does not go on";
    EXPECT_EQ(run(4, {}), (std::vector<float>{16, 48})) << "the next run is whole";
  }
}

// One round of `doubling_body()` in a loop, `trips` times.
Subgraph loop_around_doubling() {
  auto body = std::make_shared<Graph>();
  body->add_input("round", DType::kI64, {});
  const ValueId goes_on = body->add_input("again", DType::kBool, {}), carried = body->add_input("start", DType::kF32, {2}),
                trips = body->add_input("trips", DType::kI64, {}), limit = body->add_input("limit", DType::kF32, {2});
  body->captured_inputs = 2;
  const ValueId doubled = body->add_node(newest_op("Loop"), {trips, kNoValue, carried, limit}, 2, {{"body", doubling_body()}})[0];
  body->outputs = {goes_on, doubled};
  return body;
}

TEST(DynamicSteps, ALoopWithinALoopStopsBetweenItsOwnSteps) {
  Graph graph;
  const ValueId rounds = graph.add_input("rounds", DType::kI64, {}), x = graph.add_input("x", DType::kF32, {2}),
                trips = graph.add_input("trips", DType::kI64, {}), limit = graph.add_input("limit", DType::kF32, {2});
  graph.outputs = graph.add_node(newest_op("Loop"), {rounds, kNoValue, x, trips, limit}, 1, {{"body", loop_around_doubling()}});
  Executor executor(make_plan(graph, {}));
  const auto run = [&](int64_t outer, int64_t inner, const StopCheck& stop) {
    const Tensor count = Tensor::scalar(outer), start = Tensor::of<float>({2}, {1, 3}), within = Tensor::scalar(inner),
                 bound = Tensor::of<float>({2}, {1e9f, 0});
    const ConstTensorView inputs[] = {count.view(), start.view(), within.view(), bound.view()};
    return floats(executor.run(inputs, stop)[0]);
  };
  const auto looks_of = [&](int64_t outer, int64_t inner, const std::vector<float>& expected) {
    int looks = 0;
    EXPECT_EQ(run(outer, inner, [&] { return ++looks < 0; }), expected);
    return looks;
  };
  const int few = looks_of(1, 3, {8, 24}), more = looks_of(1, 10, {1024, 3072}), looks = looks_of(2, 3, {64, 192});
  EXPECT_GE(more - few, 7) << "each iteration of the inner loop is one more look at least";
  for (int at = 1; at <= looks; ++at) {
    int asked = 0;
    try {
      run(2, 3, [&] { return ++asked == at; });
      FAIL() << at;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCancelled);
    }
    EXPECT_EQ(asked, at) << "it does not go on";
    EXPECT_EQ(run(2, 3, {}), (std::vector<float>{64, 192})) << "the next run is whole";
  }
}

Subgraph branch(std::string_view op, const std::string& captured) {
  auto body = std::make_shared<Graph>();
  const ValueId x = body->add_input(captured, DType::kF32, {2});
  body->captured_inputs = 1;
  body->outputs = {add(*body, op, {x})};
  return body;
}

TEST(DynamicSteps, TakeTheBranchOfTheCondition) {
  Graph graph;
  const ValueId condition = graph.add_input("condition", DType::kBool, {}), a = graph.add_input("a", DType::kF32, {2}),
                b = graph.add_input("b", DType::kF32, {2});
  const ValueId y = graph.add_node(newest_op("If"), {condition, a, b}, 1,
                                   {{"else_branch", branch("Neg", "a")}, {"then_branch", branch("Relu", "b")}})[0];
  graph.outputs = {add(graph, "Add", {y, y})};
  Executor executor(make_plan(graph, {}));
  const Tensor first = Tensor::of<float>({2}, {1, -2}), second = Tensor::of<float>({2}, {-3, 4});
  for (const bool taken : {true, false, true}) {
    const Tensor chosen = Tensor::scalar(taken);
    const ConstTensorView inputs[] = {chosen.view(), first.view(), second.view()};
    EXPECT_EQ(floats(executor.run(inputs)[0]), taken ? (std::vector<float>{0, 8}) : (std::vector<float>{-2, 4}));
  }
}

// What comes back stands on its own, whatever is run next.
TEST(DynamicSteps, RunValuesAreTheCallersOwn) {
  Executor executor(make_plan(reshaping(), {}));
  const auto run = [&](float value) {
    return executor.run_values(std::vector{RunValue::of(Tensor::of<float>({6}, {value, value, value, value, value, value})),
                                           RunValue::of(Tensor::of<int64_t>({2}, {2, 3}))});
  };
  const auto first = run(1), second = run(5);
  EXPECT_EQ(first[0].tensor.as<float>()[0], 2);
  EXPECT_EQ(second[0].tensor.as<float>()[0], 6);
}

}  // namespace
}  // namespace tandem
