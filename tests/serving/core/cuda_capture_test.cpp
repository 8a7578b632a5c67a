// Graphs that are captured when a model is loaded: the first request of a declared batch size replays one, another does not.
#include <gmock/gmock.h>

#include <cmath>

#include "serving/core/model.h"
#include "tests/support/cuda_emulator/script.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Text becomes a number on the CPU; two steps on the GPU.
Graph classifier(const Dims& dims) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}, {"ai.onnx.ml", kOnnxMlOpset}};
  const ValueId size = graph.add_input("size", DType::kF32, dims);
  const ValueId color = graph.add_input("color", DType::kString, dims);
  const ValueId code = add(graph, "LabelEncoder", {color},
                           {{"keys_strings", std::vector<std::string>{"red", "green"}},
                            {"values_floats", std::vector<float>{1, 2}},
                            {"default_float", -1.0f}},
                           "ai.onnx.ml");
  graph.outputs = {add(graph, "Softmax", {add(graph, "Add", {code, size})}, {{"axis", int64_t{1}}})};
  return graph;
}

int64_t graphs() { return emulator::live_objects().graphs; }

class CudaCapture : public ::testing::Test {
 protected:
  void SetUp() override { emulator::reset(); }
  void TearDown() override { emulator::reset(); }

  Model& load(std::optional<std::vector<int64_t>> sizes, int lanes = 1, const Dims& dims = {"batch", 3}) {
    ModelOptions options{.lanes = lanes, .batch = 8, .max_batch = 200};
    if (sizes) options.batch_sizes = BatchSizes{*std::move(sizes), "config", true};
    reference_ = std::make_unique<Model>("cpu", 1, classifier(dims), options);
    options.device = open_serving_device("cuda", false);
    options.device.log = [this](const std::string& line) { log_.push_back(line); };
    model_ = std::make_unique<Model>("m", 1, classifier(dims), options);
    return *model_;
  }

  // Runs a request, compares the answer with the CPU's, and returns how many calls of CUDA it took.
  int64_t ask(int64_t rows, int lane = 0) {
    Tensor size(DType::kF32, {rows, 3});
    for (float& value : size.as<float>()) value = std::sin(static_cast<float>(++number_));
    std::vector<std::string> colors;
    for (int64_t i = 0; i < rows * 3; ++i) colors.push_back((i + number_) % 2 ? "red" : "green");
    const Tensor color = Tensor::strings({rows, 3}, std::span<const std::string>(colors));
    const std::vector<ConstTensorView> inputs{std::as_const(size).view(), color.view()};
    const int64_t before = emulator::calls();
    const ConstTensorView got = model_->run(lane, inputs)[0];
    const int64_t calls = emulator::calls() - before;
    const ConstTensorView wanted = reference_->run(lane, inputs)[0];
    EXPECT_EQ(got.shape, wanted.shape);
    for (size_t i = 0; i < wanted.as<float>().size(); ++i) EXPECT_NEAR(got.as<float>()[i], wanted.as<float>()[i], 1e-5f);
    return calls;
  }

  void expect_ready(int64_t rows, int lane = 0) {
    const int64_t before = graphs(), first = ask(rows, lane);
    EXPECT_EQ(first, ask(rows, lane)) << rows << " rows: the first request did more than the second";
    EXPECT_EQ(graphs(), before) << rows << " rows: something was captured";
  }

  std::vector<std::string> log_;
  std::unique_ptr<Model> model_, reference_;
  int64_t number_ = 0;
};

TEST_F(CudaCapture, TheFirstRequestOfADeclaredSizeReplays) {
  const Model& model = load({{5, 2}}, 2);
  EXPECT_THAT(model.ready_batch_sizes(), ElementsAre(2, 5));
  EXPECT_GT(graphs(), 0);
  EXPECT_EQ(graphs() % 4, 0) << "two sizes, two lanes";
  EXPECT_EQ(model.device().captured_graphs, graphs());
  for (int lane : {1, 0})
    for (int64_t rows : {5, 2}) expect_ready(rows, lane);
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(CudaCapture, AnotherSizeIsCapturedAtItsSecondRequest) {
  load({{5, 2}});
  const int64_t loaded = graphs(), first = ask(3);
  EXPECT_EQ(graphs(), loaded);
  ask(3);
  EXPECT_EQ(graphs(), loaded + loaded / 2);
  EXPECT_LT(ask(3), first);
  EXPECT_EQ(model_->device().captured_graphs, graphs());
}

TEST_F(CudaCapture, WithoutADeclarationPowersOfTwoAreReady) {
  EXPECT_THAT(load(std::nullopt).ready_batch_sizes(), ElementsAre(1, 2, 4, 8));
  for (int64_t rows : {1, 2, 4, 8}) expect_ready(rows);
}

TEST_F(CudaCapture, ItCanBeTurnedOff) {
  EXPECT_THAT(load(std::vector<int64_t>{}).ready_batch_sizes(), IsEmpty());
  EXPECT_EQ(graphs(), 0);
  EXPECT_EQ(model_->device().captured_graphs, 0);
}

TEST_F(CudaCapture, AModelWithoutABatchDimensionHasOneShape) {
  EXPECT_THAT(load(std::nullopt, 1, {4, 3}).ready_batch_sizes(), ElementsAre(0));
  EXPECT_GT(graphs(), 0);
  expect_ready(4);
}

TEST_F(CudaCapture, ASizeBeyondWhatIsPlannedAtFirstMakesALargerPlan) {
  load({{2, 100}}, 2);
  for (int lane : {0, 1})
    for (int64_t rows : {100, 2}) expect_ready(rows, lane);
}

TEST_F(CudaCapture, ALargerPlanIsMadeReadyToo) {
  load({{2, 5}}, 2);
  const int64_t loaded = graphs();
  ask(50);
  EXPECT_EQ(graphs(), loaded);
  for (int lane : {0, 1})
    for (int64_t rows : {2, 5}) expect_ready(rows, lane);
}

// An executor keeps a limited number of shapes; those declared are not among what it forgets.
TEST_F(CudaCapture, DeclaredSizesOutliveManyOthers) {
  load({{2, 100}});
  for (int64_t rows = 1; rows <= 90; ++rows)
    for (int i = 0; i < 2; ++i) ask(rows);
  EXPECT_EQ(model_->device().captured_graphs, graphs());
  for (int64_t rows : {2, 100}) expect_ready(rows);
}

TEST_F(CudaCapture, AnOpenDimensionIsTold) {
  EXPECT_THAT(load({{2}}, 1, {"batch", "length"}).ready_batch_sizes(), IsEmpty());
  ASSERT_THAT(log_, SizeIs(1));
  EXPECT_THAT(log_[0], HasSubstr("dimension 'length' has no fixed size"));
  EXPECT_TRUE(model_->device().on_device);
  ask(2);
  log_.clear();
  load(std::nullopt, 1, {"batch", "length"});
  EXPECT_THAT(log_, IsEmpty()) << "nobody asked for any";
}

TEST_F(CudaCapture, WrongSizesAreRefusedOnAnyDevice) {
  for (const char* device : {"cpu", "cuda"})
    for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{0}, {2, 201}, {3, 3}}) {
      ModelOptions options{.max_batch = 200};
      options.device = open_serving_device(device, false);
      options.batch_sizes = BatchSizes{sizes, "config", true};
      EXPECT_THROW(Model("m", 1, classifier({"batch", 3}), options), Error);
    }
}

// Whichever call of the capture fails: it is told, and the GPU goes on without.
TEST_F(CudaCapture, WhatCannotBeCapturedIsLaunchedOneByOne) {
  int64_t met = 0;
  for (int64_t n = 1;; ++n) {
    emulator::reset();
    log_.clear();
    emulator::fail_call(n, cudaErrorStreamCaptureUnsupported);
    load({{2}});
    if (emulator::calls() < n) break;
    const ModelDevice device = model_->device();
    if (device.not_captured.empty()) continue;
    ++met;
    EXPECT_TRUE(device.on_device);
    EXPECT_THAT(device.not_captured, HasSubstr("cudaErrorStreamCaptureUnsupported"));
    ASSERT_THAT(log_, SizeIs(1));
    EXPECT_THAT(log_[0], HasSubstr("has no captured graphs for its batch sizes"));
    for (int i = 0; i < 3; ++i) ask(2);
  }
  EXPECT_GT(met, 3);
}

TEST_F(CudaCapture, AGpuThatFailsMeanwhileIsNotUsed) {
  load({{2}});
  const int64_t last = emulator::calls();
  model_.reset();
  emulator::reset();
  emulator::fail_call(last, cudaErrorIllegalAddress, emulator::Failure::kSticky);
  load({{2}});
  const ModelDevice device = model_->device();
  EXPECT_FALSE(device.on_device);
  EXPECT_EQ(device.captured_graphs, 0);
  EXPECT_EQ(device.errors, 1);
  EXPECT_THAT(device.problem, HasSubstr("cudaErrorIllegalAddress"));
  ASSERT_THAT(log_, SizeIs(1));
  EXPECT_THAT(log_[0], HasSubstr("cannot be served from the GPU"));
  EXPECT_THAT(model_->ready_batch_sizes(), IsEmpty());
  ask(2);
}

TEST_F(CudaCapture, AStrictDeviceThatFailsMeanwhileRefusesTheModel) {
  Graph graph;
  graph.outputs = {add(graph, "Softmax", {graph.add_input("x", DType::kF32, {"n", 2})}, {{"axis", int64_t{1}}})};
  ModelOptions options;
  options.device = open_serving_device("cuda", true);
  emulator::reset();
  Model counted("m", 1, graph, options);
  emulator::fail_call(emulator::calls(), cudaErrorIllegalAddress, emulator::Failure::kSticky);
  try {
    Model("m", 1, graph, options);
    ADD_FAILURE() << "it was loaded";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cudaErrorIllegalAddress"));
  }
}

TEST_F(CudaCapture, ADeclaredSizeThatDoesNotFitIsServedByTheCpu) {
  emulator::set_memory_limit(64 << 10);
  load(std::vector<int64_t>{2});
  EXPECT_TRUE(model_->device().on_device);
  model_.reset();
  emulator::set_memory_limit(8 << 10);
  load({{200}}, 4);
  EXPECT_FALSE(model_->device().on_device);
  EXPECT_THAT(model_->device().problem, HasSubstr("memory"));
  EXPECT_THAT(log_, SizeIs(1));
  ask(200, 3);
  EXPECT_EQ(emulator::live_objects().device_bytes, 0);
}

}  // namespace
}  // namespace tandem
