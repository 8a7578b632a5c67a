// The executor on a GPU, or on the emulator: the same results as on the CPU, from replayed graphs, with islands on the CPU and inputs that
// travel ahead.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/comm/device_communicator.h"
#include "runtime/exec/executor.h"
#include "runtime/exec/profiler.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
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

// Text becomes numbers on the CPU; a softmax on the GPU; both go on from there.
Graph with_island() {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}, {"ai.onnx.ml", kOnnxMlOpset}};
  const ValueId color = graph.add_input("color", DType::kString, {"batch", 4});
  const ValueId size = graph.add_input("size", DType::kF32, {"batch", 4});
  const ValueId code = add(graph, "LabelEncoder", {color},
                           {{"keys_strings", std::vector<std::string>{"red", "green"}},
                            {"values_floats", std::vector<float>{1, 2}},
                            {"default_float", -1.0f}},
                           "ai.onnx.ml");
  const ValueId sum = add(graph, "Add", {code, size});
  graph.outputs = {add(graph, "Softmax", {sum}, {{"axis", int64_t{1}}}), code};
  return graph;
}

std::shared_ptr<const Plan> plan_for_gpu(Graph graph) {
  return make_plan(std::move(graph), {.default_bound = 8, .target = Space::kDevice});
}

Tensor numbers(const Shape& shape, float start) {
  Tensor tensor(DType::kF32, shape);
  for (size_t i = 0; float& value : tensor.as<float>()) value = std::sin(start + static_cast<float>(i++));
  return tensor;
}

Tensor colors(int64_t rows, int64_t shift) {
  std::vector<std::string> words;
  for (int64_t i = 0; i < rows * 4; ++i) words.push_back((i + shift) % 3 == 0 ? "red" : (i + shift) % 3 == 1 ? "green" : "blue");
  return Tensor::strings({rows, 4}, std::span<const std::string>(words));
}

void expect_near(ConstTensorView gpu, ConstTensorView cpu) {
  ASSERT_EQ(to_string(gpu.shape), to_string(cpu.shape));
  for (size_t i = 0; i < cpu.as<float>().size(); ++i) ASSERT_NEAR(gpu.as<float>()[i], cpu.as<float>()[i], 1e-5) << "element " << i;
}

TEST(DeviceExecutor, EqualsTheCpuOverReplayedRuns) {
  Executor gpu(plan_for_gpu(small_mlp()), {.device = open_cuda(0)});
  Executor cpu(make_plan(small_mlp(), {.default_bound = 8}));
  for (int run = 0; run < 5; ++run)
    for (int64_t rows : {2, 8, 1}) {
      const Tensor x = numbers({rows, 3}, static_cast<float>(run));
      const ConstTensorView inputs[] = {x.view()};
      expect_near(gpu.run(inputs)[0], cpu.run(inputs)[0]);
    }
  EXPECT_THAT(gpu.capture_report(), HasSubstr("captured: "));
}

TEST(DeviceExecutor, KeepsIslandsOnTheCpu) {
  Executor gpu(plan_for_gpu(with_island()), {.device = open_cuda(0)});
  Executor cpu(make_plan(with_island(), {.default_bound = 8}));
  for (int64_t run = 0; run < 4; ++run) {
    const Tensor color = colors(5, run), size = numbers({5, 4}, static_cast<float>(run));
    const ConstTensorView inputs[] = {color.view(), size.view()};
    const auto expected = cpu.run(inputs), actual = gpu.run(inputs);
    for (size_t i = 0; i < expected.size(); ++i) expect_near(actual[i], expected[i]);
  }
}

TEST(DeviceExecutor, TheNextInputsTravelWhileItRuns) {
  Executor gpu(plan_for_gpu(small_mlp()), {.device = open_cuda(0)});
  Executor cpu(make_plan(small_mlp(), {.default_bound = 8}));
  Tensor given = numbers({4, 3}, 0);
  const ConstTensorView inputs[] = {given.view()};
  gpu.start(inputs);
  for (int run = 1; run < 6; ++run) {
    const Tensor now = given.clone();
    std::ranges::copy(numbers({4, 3}, static_cast<float>(run)).as<float>(), given.as<float>().begin());
    gpu.prefetch(inputs);
    const ConstTensorView before[] = {now.view()};
    expect_near(gpu.finish()[0], cpu.run(before)[0]);
    gpu.start();
  }
}

// More shapes than an executor keeps are fed while a run is under way: its views stay.
TEST(DeviceExecutor, ARunUnderWayIsNeverForgotten) {
  const auto plan = make_plan(small_mlp(), {.default_bound = 128, .target = Space::kDevice});
  Executor gpu(plan, {.device = open_cuda(0)});
  Executor cpu(make_plan(small_mlp(), {.default_bound = 128}));
  const Tensor first = numbers({1, 3}, 5);
  const ConstTensorView inputs[] = {first.view()};
  gpu.start(inputs);
  for (int64_t rows = 2; rows <= 100; ++rows) {
    const Tensor other = numbers({rows, 3}, 0);
    const ConstTensorView ahead[] = {other.view()};
    gpu.prefetch(ahead);
  }
  expect_near(gpu.finish()[0], cpu.run(inputs)[0]);
}

// What was prepared is replayed at once, and outlives more shapes than an executor keeps of others.
TEST(DeviceExecutor, PreparedShapesAreCapturedAndKept) {
  const auto plan = make_plan(small_mlp(), {.default_bound = 128, .target = Space::kDevice});
  Executor gpu(plan, {.device = open_cuda(0)});
  Executor cpu(make_plan(small_mlp(), {.default_bound = 128}));
  const Tensor zeros(DType::kF32, {3, 3});
  const ConstTensorView prepared[] = {zeros.view()};
  gpu.prepare(prepared);
  EXPECT_EQ(gpu.captured_graphs(), 1);
  for (int64_t rows = 4; rows <= 100; ++rows) {
    const Tensor other = numbers({rows, 3}, 0);
    const ConstTensorView inputs[] = {other.view()};
    for (int run = 0; run < 2; ++run) expect_near(gpu.run(inputs)[0], cpu.run(inputs)[0]);
  }
  EXPECT_EQ(gpu.captured_graphs(), 1 + 64);
  const Tensor x = numbers({3, 3}, 1);
  const ConstTensorView inputs[] = {x.view()};
  expect_near(gpu.run(inputs)[0], cpu.run(inputs)[0]);
  EXPECT_EQ(gpu.captured_graphs(), 1 + 64) << "it was captured anew";
  EXPECT_EQ(gpu.not_captured(), "");
}

TEST(DeviceExecutor, StatesGoOnFromRunToRunAndComeBack) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2});
  const ValueId sum = graph.add_state("sum", Tensor::of<float>({2}, {1, 2}));
  graph.outputs = {add(graph, "Assign", {sum, add(graph, "Add", {sum, x})}, {}, "tandem")};
  Executor gpu(plan_for_gpu(std::move(graph)), {.device = open_cuda(0)});
  const Tensor one = Tensor::of<float>({2}, {1, 10});
  const ConstTensorView inputs[] = {one.view()};
  for (int i = 0; i < 4; ++i) gpu.run(inputs);
  EXPECT_THAT(gpu.states().read("sum")->as<float>(), ::testing::ElementsAre(5, 42));
  gpu.states().find("sum")->as<float>()[0] = 100;  // as a checkpoint does
  EXPECT_THAT(gpu.run(inputs)[0].as<float>(), ::testing::ElementsAre(101, 52));
}

TEST(DeviceExecutor, RefusesWrongInputsAndGoesOn) {
  Executor gpu(plan_for_gpu(small_mlp()), {.device = open_cuda(0)});
  const Tensor wide = numbers({2, 4}, 0), right = numbers({2, 3}, 0);
  const ConstTensorView wrong[] = {wide.view()}, inputs[] = {right.view()};
  EXPECT_THROW(gpu.run(wrong), Error);
  EXPECT_EQ(gpu.run(inputs)[0].shape, (Shape{2, 2}));
}

// Token ids [n] are data, although they look like a shape: a view of them travels as a feed, and replays see the ids of each run.
TEST(DeviceExecutor, AViewOfShortIntegerInputsIsDataOfTheRun) {
  const auto graph = [] {
    Graph g;
    const ValueId ids = g.add_input("ids", DType::kI64, {"n"});
    const ValueId column = add(g, "Unsqueeze", {ids, g.add_constant("axes", Tensor::of<int64_t>({1}, {1}))});
    g.outputs = {add(g, "Softmax", {add(g, "Gather", {constant(g, "table", {3, 2}, {1, 5, 2, 1, 0, 7}), column})})};
    return g;
  };
  Executor gpu(plan_for_gpu(graph()), {.device = open_cuda(0)});
  Executor cpu(make_plan(graph(), {.default_bound = 8}));
  for (int64_t run = 0; run < 5; ++run) {
    const Tensor ids = Tensor::of<int64_t>({3}, {run % 3, (run + 1) % 3, 0});
    const ConstTensorView inputs[] = {ids.view()};
    expect_near(gpu.run(inputs)[0], cpu.run(inputs)[0]);
  }
  EXPECT_THAT(gpu.capture_report(), HasSubstr("captured: 1 graph"));
}

// What a kernel reads on the host when it is launched, and what changes from run to run, is not frozen by capture.
TEST(DeviceExecutor, HostInputsThatDependOnDataAreReadInEachRun) {
  const auto graph = [](bool computed) {
    Graph g;
    const ValueId x = g.add_input("x", DType::kF32, {3, 3});
    ValueId k = g.add_input("k", DType::kI64, {});
    if (computed) k = add(g, "ReduceSum", {g.add_input("parts", DType::kI64, {"p"})}, {{"keepdims", int64_t{0}}});
    g.outputs = {add(g, "Softmax", {add(g, "Trilu", {add(g, "Relu", {x}), k})})};
    return g;
  };
  for (bool computed : {false, true}) {
    Executor gpu(plan_for_gpu(graph(computed)), {.device = open_cuda(0)});
    Executor cpu(make_plan(graph(computed), {.default_bound = 8}));
    const Tensor x = numbers({3, 3}, 1);
    for (int64_t run = 0; run < 6; ++run) {
      const Tensor k = Tensor::scalar<int64_t>(run % 3 - 1), parts = Tensor::of<int64_t>({2}, {run % 3, -1});
      std::vector<ConstTensorView> inputs{x.view(), k.view()};
      if (computed) inputs.push_back(parts.view());
      expect_near(gpu.run(inputs)[0], cpu.run(inputs)[0]);
    }
  }
}

TEST(DeviceExecutor, NeedsADevice) {
  try {
    Executor executor(plan_for_gpu(small_mlp()));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("needs a device"));
  }
}

TEST(DeviceExecutor, ProfilesEachStep) {
  Profiler profiler;
  Executor gpu(plan_for_gpu(small_mlp()), {.profiler = &profiler, .device = open_cuda(0)});
  const Tensor x = numbers({2, 3}, 0);
  const ConstTensorView inputs[] = {x.view()};
  gpu.run(inputs);
  gpu.run(inputs);
  EXPECT_FALSE(profiler.events().empty());
  EXPECT_THAT(gpu.capture_report(), HasSubstr("profiled"));
}

// tests/runtime/comm/cuda_nccl_test.cpp has what is done with NCCL.
TEST(DeviceExecutor, WithoutNcclCollectivesGoThroughTheHost) {
  const auto device = open_cuda(0);
  const auto ranks = make_local_communicator();
  const ConnectedDevices gpus = connect_devices(*ranks, device);
  if (gpus.communicator) GTEST_SKIP() << "NCCL is there";
  EXPECT_THAT(gpus.problem, ::testing::StartsWith("rank 0: NCCL is not used: "));
  EXPECT_EQ(ranks->devices(), nullptr);
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3});
  const auto begun = graph.add_node(newest_op("AllReduceStart", "tandem"), {add(graph, "Sigmoid", {x})}, 2);
  graph.outputs = {add(graph, "Tanh", {add(graph, "AllReduceWait", {begun[0], begun[1]}, {}, "tandem")})};
  Executor gpu(plan_for_gpu(graph), {.communicator = ranks.get(), .device = device});
  Executor cpu(make_plan(graph, {.default_bound = 8}), {.communicator = ranks.get()});
  for (int run = 0; run < 4; ++run) {
    const Tensor given = numbers({5, 3}, static_cast<float>(run));
    const ConstTensorView inputs[] = {given.view()};
    expect_near(gpu.run(inputs)[0], cpu.run(inputs)[0]);
  }
}

// What the GPU makes, the shape included, is brought to the host where a step can only be bound during the run.
TEST(DeviceExecutor, GoesOnWithTheCpuWhereAShapeIsData) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {6}), shape = graph.add_input("shape", DType::kI64, {2});
  const ValueId zero = graph.add_constant("zero", Tensor::of<int64_t>({2}, {0, 0}));
  const ValueId made = add(graph, "Add", {shape, zero});
  graph.outputs = {add(graph, "Exp", {add(graph, "Reshape", {add(graph, "Relu", {x}), made})})};
  Executor on_cpu(make_plan(graph, {})), on_gpu(plan_for_gpu(graph), {.device = open_cuda(0)});
  for (int run = 0; run < 4; ++run) {
    const Tensor values = numbers({6}, static_cast<float>(run)), dims = Tensor::of<int64_t>({2}, {run % 2 ? 2 : 3, run % 2 ? 3 : 2});
    const ConstTensorView inputs[] = {values.view(), dims.view()};
    const auto expected = on_cpu.run(inputs)[0], got = on_gpu.run(inputs)[0];
    EXPECT_EQ(got.shape, expected.shape);
    for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(got.as<float>()[i], expected.as<float>()[i], 1e-5f);
  }
}

}  // namespace
}  // namespace tandem
