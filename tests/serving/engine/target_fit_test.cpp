// A model's lanes divided by what profiles say of its batches, and its answers after that.
#include "serving/engine/target_fit.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

constexpr int64_t kWidth = 48;

// y = relu(x w)
Graph dense() {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, {"n", kWidth});
  Tensor w(DType::kF32, {kWidth, kWidth});
  float next = 0.1f;
  for (float& value : w.as<float>()) value = (next = 3.7f * next * (1 - next)) - 0.5f;
  const ValueId y = graph.add_node(newest_op("MatMul"), {x, graph.add_constant("w", std::move(w))}, 1)[0];
  graph.outputs = graph.add_node(newest_op("Relu"), {y}, 1);
  return graph;
}

class TargetFitTest : public testing::Test {
 protected:
  TargetFitTest() : folder_(fs::temp_directory_path() / ("tandem-target-fit-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    std::ofstream(folder_ / "model.onnx") << "a model";
    options_.lanes = 4;
    options_.device.log = [this](const std::string& line) { log_.push_back(line); };
  }
  ~TargetFitTest() override { fs::remove_all(folder_); }

  TargetFit fit(Model& model, std::chrono::microseconds target, BatchingOptions& batching) {
    batching.max_batch_size = 64;
    batching.slo = Slo{0.99, target};
    return fit_to_target(model, batching, folder_ / "costs", folder_ / "model.onnx");
  }
  // As if a row took so many seconds on lanes divided so.
  void write_profile(const std::string& lanes, double seconds) const {
    std::ofstream(folder_ / "costs" / (key_ + "-" + lanes + ".cost")) << "1 " << seconds << " 0 10\n2 " << 2 * seconds << " 0 10\n";
  }
  // The name that profiles of the model have on this machine.
  void learn_key() {
    Model model("m", 1, dense(), options_);
    BatchingOptions batching;
    fit(model, 1h, batching);
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_ / "costs")) {
      const std::string name = entry.path().filename().string();
      ASSERT_THAT(name, EndsWith("-4x1.cost")) << "an hour is enough for lanes by themselves";
      key_ = name.substr(0, name.find('-'));
    }
    ASSERT_FALSE(key_.empty());
  }

  const fs::path folder_;
  std::string key_;
  ModelOptions options_;
  std::vector<std::string> log_;
};

TEST_F(TargetFitTest, LanesAreDividedAsTheProfilesSay) {
  learn_key();
  Model model("m", 1, dense(), options_);
  Tensor x(DType::kF32, {3, kWidth});
  for (size_t i = 0; i < x.as<float>().size(); ++i) x.as<float>()[i] = static_cast<float>(i % 7) - 3;
  const std::array<ConstTensorView, 1> inputs{std::as_const(x).view()};
  const auto answer = [&](int lane) {
    const auto y = model.run(lane, inputs)[0].as<float>();
    return std::vector<float>(y.begin(), y.end());
  };
  const std::vector<float> before = answer(3);

  write_profile("4x1", 0.016);
  write_profile("2x2", 0.009);
  BatchingOptions batching;
  const TargetFit divided = fit(model, 20ms, batching);
  EXPECT_EQ(batching.lanes_per_batch, 2);
  EXPECT_TRUE(divided.divided);
  EXPECT_DOUBLE_EQ(divided.cost.seconds(1), 0.009);
  EXPECT_EQ(model.options().lanes, 2);
  EXPECT_EQ(model.options().threads, 2);
  EXPECT_EQ(model.config().instances.at(0).count, 2) << "as clients see it";
  EXPECT_EQ(model.memory().need.lanes, 2);
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_THAT(log_[0], HasSubstr("2 lanes together for p99=20ms: a row takes 9 ms so, 16 ms on one lane"));
  EXPECT_EQ(answer(0), before);
  EXPECT_EQ(answer(1), before);
}

TEST_F(TargetFitTest, WhatWasTriedInVainLeavesTheLanesAsTheyWere) {
  learn_key();
  write_profile("4x1", 0.016);
  write_profile("2x2", 0.016);
  Model model("m", 1, dense(), options_);
  BatchingOptions batching;
  const TargetFit tried = fit(model, 20ms, batching);
  EXPECT_EQ(batching.lanes_per_batch, 1);
  EXPECT_TRUE(tried.divided) << "and back";
  EXPECT_EQ(model.options().lanes, 4);
  EXPECT_EQ(model.options().threads, 1);
  EXPECT_TRUE(log_.empty());
  BatchingOptions easy;
  EXPECT_FALSE(fit(model, 100ms, easy).divided);
}

}  // namespace
}  // namespace tandem
