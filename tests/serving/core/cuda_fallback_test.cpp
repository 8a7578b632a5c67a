// A model served from a GPU that fails: every call of CUDA is made to fail in turn, and no request may notice.
#include <gmock/gmock.h>

#include <cmath>
#include <mutex>
#include <thread>

#include "serving/core/model.h"
#include "tests/support/cuda_emulator/script.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using emulator::Failure;
using testing::add;
using testing::constant;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Text becomes a number on the CPU; two layers on the GPU.
Graph classifier() {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}, {"ai.onnx.ml", kOnnxMlOpset}};
  const ValueId size = graph.add_input("size", DType::kF32, {"batch", 2});
  const ValueId color = graph.add_input("color", DType::kString, {"batch", 2});
  const ValueId code = add(graph, "LabelEncoder", {color},
                           {{"keys_strings", std::vector<std::string>{"red", "green"}},
                            {"values_floats", std::vector<float>{1, 2}},
                            {"default_float", -1.0f}},
                           "ai.onnx.ml");
  const ValueId w = constant(graph, "w", {2, 3}, {1, 2, -3, -1, 0.5f, 1});
  const ValueId b = constant(graph, "b", {3}, {0.5f, -0.5f, 0});
  const ValueId h = add(graph, "Gemm", {add(graph, "Add", {code, size}), w, b});
  graph.outputs = {add(graph, "Softmax", {add(graph, "Relu", {h})}, {{"axis", int64_t{1}}})};
  return graph;
}

struct Request {
  Tensor size, color;
  std::vector<ConstTensorView> views() const { return {size.view(), color.view()}; }
};

Request request(int64_t rows, int64_t number) {
  Request made{Tensor(DType::kF32, {rows, 2}), {}};
  std::vector<std::string> colors;
  for (int64_t i = 0; i < rows * 2; ++i) {
    made.size.as<float>()[static_cast<size_t>(i)] = std::sin(static_cast<float>(i + number));
    colors.push_back((i + number) % 3 == 0 ? "red" : (i + number) % 3 == 1 ? "green" : "blue");
  }
  made.color = Tensor::strings({rows, 2}, std::span<const std::string>(colors));
  return made;
}

class CudaFallback : public ::testing::Test {
 protected:
  void SetUp() override { emulator::reset(); }
  void TearDown() override { emulator::reset(); }

  std::unique_ptr<Model> load(bool strict = false, int lanes = 1) {
    ModelOptions options{.lanes = lanes, .batch = 8};
    options.device = open_serving_device("cuda", strict);
    options.device.log = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      log_.push_back(line);
    };
    return std::make_unique<Model>("m", 1, classifier(), options);
  }

  // The second size is beyond what was planned at first.
  void ask(Model& model, int lane = 0, int64_t rounds = 2) {
    for (int64_t round = 0; round < rounds; ++round)
      for (const int64_t rows : {3, 3, 3, 20, 3}) expect_answer(model, lane, request(rows, round + rows));
  }

  void expect_answer(Model& model, int lane, const Request& asked) {
    const ConstTensorView got = model.run(lane, asked.views())[0];
    Model& cpu = *reference_.at(static_cast<size_t>(lane));
    const ConstTensorView wanted = cpu.run(0, asked.views())[0];
    ASSERT_EQ(got.shape, wanted.shape);
    for (int64_t i = 0; i < wanted.elements(); ++i)
      ASSERT_NEAR(got.as<float>()[static_cast<size_t>(i)], wanted.as<float>()[static_cast<size_t>(i)], 1e-5f);
  }

  // Loads and asks while the nth call fails. Returns whether there was an nth call.
  bool survives(int64_t n, cudaError_t error, Failure failure) {
    emulator::reset();
    log_.clear();
    emulator::fail_call(n, error, failure);
    const std::unique_ptr<Model> model = load();
    loading_ = emulator::calls();
    ask(*model);
    const bool failed = emulator::calls() >= n;
    const ModelDevice device = model->device();
    EXPECT_NE(device.on_device, !device.problem.empty()) << "call " << n << ": " << device.problem;
    // A capture that fails costs speed alone; at load that is told.
    const bool told = !device.on_device || device.errors > 0 || (n <= loading_ && !device.not_captured.empty());
    EXPECT_THAT(log_, SizeIs(told ? 1 : 0)) << "call " << n;
    if (error == cudaErrorMemoryAllocation && n > loading_) {
      EXPECT_TRUE(device.on_device) << "call " << n << ": " << device.problem;
    }
    // An error that stays is always noticed; one that goes away may have been met where CUDA only gives something back.
    if (!failed || failure == Failure::kSticky) {
      EXPECT_NE(device.on_device, failed) << "call " << n << ": " << device.problem;
    }
    return failed;
  }

  std::mutex mutex_;
  std::vector<std::string> log_;
  int64_t loading_ = 0;  // calls that the last load took
  std::vector<std::unique_ptr<Model>> reference_ = [] {
    std::vector<std::unique_ptr<Model>> models;
    for (int i = 0; i < 4; ++i) models.push_back(std::make_unique<Model>("cpu", 1, classifier(), ModelOptions{}));
    return models;
  }();
};

TEST_F(CudaFallback, AHealthyDeviceAnswers) {
  const std::unique_ptr<Model> model = load();
  ask(*model);
  EXPECT_TRUE(model->device().on_device);
  EXPECT_THAT(model->device().asked, HasSubstr("cuda:0"));
  EXPECT_EQ(model->device().errors, 0);
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(CudaFallback, AnyCallMayFailOnce) {
  int64_t n = 1;
  while (survives(n, cudaErrorUnknown, Failure::kOnce)) ++n;
  EXPECT_GT(n, 40);
}

TEST_F(CudaFallback, AnyCallMayFailForGood) {
  int64_t n = 1;
  while (survives(n, cudaErrorIllegalAddress, Failure::kSticky)) ++n;
  EXPECT_GT(n, 40);
}

TEST_F(CudaFallback, AnyCallMayRunOutOfMemory) {
  int64_t n = 1;
  while (survives(n, cudaErrorMemoryAllocation, Failure::kOnce)) ++n;
  EXPECT_GT(n, 40);
}

TEST_F(CudaFallback, AKernelThatFaultsIsToldOnceAndCounted) {
  const std::unique_ptr<Model> model = load();
  ask(*model);
  emulator::fault_kernel(3, cudaErrorIllegalAddress);
  ask(*model);
  EXPECT_FALSE(model->device().on_device);
  EXPECT_EQ(model->device().errors, 1);
  ASSERT_THAT(log_, SizeIs(1));
  EXPECT_THAT(log_[0], HasSubstr("model 'm', version 1, failed on the GPU"));
  EXPECT_THAT(log_[0], HasSubstr("cudaErrorIllegalAddress"));
  EXPECT_THAT(log_[0], HasSubstr("the CPU answers from now on"));
}

TEST_F(CudaFallback, AllLanesGoOn) {
  const std::unique_ptr<Model> model = load(false, 4);
  emulator::fault_kernel(100, cudaErrorLaunchFailure);
  std::vector<std::thread> lanes;
  for (int lane = 0; lane < 4; ++lane) lanes.emplace_back([&, lane] { ask(*model, lane, 6); });
  for (std::thread& lane : lanes) lane.join();
  EXPECT_FALSE(model->device().on_device);
  EXPECT_THAT(log_, SizeIs(1));
}

TEST_F(CudaFallback, WhatDoesNotFitIsServedByTheCpu) {
  emulator::set_memory_limit(1024);
  const std::unique_ptr<Model> model = load();
  ask(*model);
  EXPECT_FALSE(model->device().on_device);
  EXPECT_THAT(model->device().problem, HasSubstr("memory"));
  EXPECT_THROW(load(true), Error);
}

TEST_F(CudaFallback, WithoutADriverTheReasonIsTold) {
  emulator::set_driver(0);
  const std::unique_ptr<Model> model = load();
  ask(*model);
  EXPECT_FALSE(model->device().on_device);
  EXPECT_THAT(model->device().problem, HasSubstr("no NVIDIA driver is installed"));
  EXPECT_THROW(load(true), Error);
  EXPECT_THROW(open_serving_device("auto", true), Error);
  EXPECT_EQ(open_serving_device("auto", false).problem, "");
}

int64_t used() { return (int64_t{4} << 30) - open_device("cuda")->free_bytes(); }

// Lane 0 has grown; there is no room for lane 1 to grow too. That must cost lane 1 this one size, and lane 0 nothing.
TEST_F(CudaFallback, ARequestThatDoesNotFitIsAnsweredByTheCpuAlone) {
  const std::unique_ptr<Model> model = load(false, 2);
  const int64_t small = used();
  expect_answer(*model, 0, request(1000, 1));
  const int64_t grown = used();
  ASSERT_GT(grown, small);
  emulator::set_memory_limit(static_cast<size_t>(grown + (grown - small) / 2));
  for (int lane : {0, 1, 1, 0}) expect_answer(*model, lane, request(3, lane));
  EXPECT_EQ(model->device().errors, 0);
  for (int64_t round = 1; round <= 3; ++round) {
    expect_answer(*model, 1, request(1000, round));
    for (int lane : {0, 1}) expect_answer(*model, lane, request(3, round));
    expect_answer(*model, 0, request(1000, round));
    EXPECT_EQ(model->device().errors, round);
  }
  EXPECT_TRUE(model->device().on_device);
  ASSERT_THAT(log_, SizeIs(1));
  EXPECT_THAT(log_[0], HasSubstr("the CPU answers it"));
}

// No lane has a plan of that size, and none must get one.
TEST_F(CudaFallback, APlanThatDoesNotFitIsNoPlanOfOthers) {
  const std::unique_ptr<Model> model = load(false, 2);
  emulator::set_memory_limit(static_cast<size_t>(used() + 4096));
  expect_answer(*model, 0, request(1000, 1));
  EXPECT_EQ(model->device().errors, 1);
  for (int lane : {0, 1}) expect_answer(*model, lane, request(9, lane));  // a plan of 16 rows does
  EXPECT_EQ(model->device().errors, 1);
  EXPECT_TRUE(model->device().on_device);
}

// What the layers hold fits the memory of the GPU, not what the host may use.
TEST_F(CudaFallback, WhatTheCpuCannotRunIsServedWithoutAFallback) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2});
  std::vector<float> weights(2 * 8192);
  weights[0] = weights[8193] = 1;  // the first two columns are those of x
  const ValueId wide = add(graph, "Relu", {add(graph, "MatMul", {x, constant(graph, "w", {2, 8192}, weights)})});
  const auto number = [&](std::string name, int64_t value) {
    return graph.add_constant(std::move(name), Tensor::of<int64_t>({1}, {value}));
  };
  graph.outputs = {add(graph, "Slice", {wide, number("starts", 0), number("ends", 2), number("axes", 1)})};
  ModelOptions options;
  options.memory_limit = 128 * 1024;
  try {
    Model("m", 1, graph, options);
    ADD_FAILURE() << "the CPU took more than it may";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("the limit is 131072"));
  }
  options.device = open_serving_device("cuda", false);
  options.device.log = [this](const std::string& line) { log_.push_back(line); };
  Model model("m", 1, graph, options);
  ASSERT_THAT(log_, SizeIs(1));
  EXPECT_THAT(log_[0], HasSubstr("can only be served from the GPU"));
  EXPECT_THAT(log_[0], HasSubstr("the limit is 131072"));
  EXPECT_EQ(model.max_batch(), 1024);
  ASSERT_THAT(model.signature().outputs, SizeIs(1));
  EXPECT_EQ(model.signature().outputs[0].name, graph.value(graph.outputs[0]).name);
  Tensor rows(DType::kF32, {100, 2});  // more than it was planned for
  rows.as<float>()[0] = -1;
  rows.as<float>()[199] = 0.5f;
  const std::vector<ConstTensorView> inputs{rows.view()};
  const std::span<const float> got = model.run(0, inputs)[0].as<float>();
  ASSERT_EQ(got.size(), 200u);
  EXPECT_EQ(got[0], 0);
  EXPECT_EQ(got[199], 0.5f);
  emulator::fault_kernel(1, cudaErrorIllegalAddress);
  for (int i = 0; i < 2; ++i) try {
      model.run(0, inputs);
      ADD_FAILURE() << "a request was answered";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
      EXPECT_THAT(error.what(), HasSubstr("the CPU cannot serve it"));
    }
  EXPECT_FALSE(model.usable());
  EXPECT_THAT(log_, SizeIs(2));
}

TEST_F(CudaFallback, AStrictDeviceNeedsAGpu) {
  try {
    open_serving_device("cpu", true);
    ADD_FAILURE() << "a strict CPU";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("--strict-device needs a GPU"));
  }
  EXPECT_NE(open_serving_device("auto", true).device, nullptr);
}

TEST_F(CudaFallback, AStrictDeviceRefusesOpsThatItLacks) {
  try {
    load(true);
    ADD_FAILURE() << "a LabelEncoder of texts was placed on a GPU";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("LabelEncoder"));
  }
}

TEST_F(CudaFallback, AStrictDeviceRefusesTheRequestThatDoesNotFitAlone) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2});
  graph.outputs = {add(graph, "Relu", {x})};
  ModelOptions options;
  options.device = open_serving_device("cuda", true);
  Model model("m", 1, graph, options);
  emulator::set_memory_limit(static_cast<size_t>(used() + 256));
  const Tensor few(DType::kF32, {2, 2}), many(DType::kF32, {1000, 2});
  for (int i = 0; i < 2; ++i) {
    try {
      model.run(0, std::vector<ConstTensorView>{many.view()});
      ADD_FAILURE() << "a request was answered";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
    }
    EXPECT_NO_THROW(model.run(0, std::vector<ConstTensorView>{few.view()}));
  }
  EXPECT_TRUE(model.usable());
  EXPECT_TRUE(model.device().on_device);
}

TEST_F(CudaFallback, AStrictDeviceThatFailsMakesTheModelNotReady) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2});
  graph.outputs = {add(graph, "Relu", {x})};
  ModelOptions options;
  options.device = open_serving_device("cuda", true);
  Model model("m", 1, graph, options);
  const Tensor rows(DType::kF32, {2, 2});
  const std::vector<ConstTensorView> inputs{rows.view()};
  EXPECT_NO_THROW(model.run(0, inputs));
  EXPECT_TRUE(model.usable());
  emulator::fault_kernel(1, cudaErrorIllegalAddress);
  for (int i = 0; i < 2; ++i) try {
      model.run(0, inputs);
      ADD_FAILURE() << "a request was answered";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    }
  EXPECT_FALSE(model.usable());
}

}  // namespace
}  // namespace tandem
