#include "runtime/exec/timing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "kernels/base/error.h"
#include "runtime/exec/sample_inputs.h"

namespace tandem {
namespace {

TEST(Timing, RunsAtLeastFiveTimesAndOrdersWhatItFinds) {
  size_t calls = 0;
  const Timing timing = time_runs(1e-9, [&] { ++calls; });
  EXPECT_EQ(timing.runs, calls);
  EXPECT_GE(calls, 5u);
  EXPECT_GE(timing.min_ms, 0);
  EXPECT_LE(timing.min_ms, timing.median_ms);
  EXPECT_LE(timing.median_ms, timing.p99_ms);
}

TEST(SampleInputs, FollowTheDeclaredTypes) {
  Graph graph;
  graph.add_input("pixels", DType::kF32, {"batch", 3, "side"});
  graph.add_input("words", DType::kI64, {"batch", Dim()});
  graph.add_input("mask", DType::kBool, {2});
  graph.add_input("text", DType::kString, {1});
  const auto feed = sample_inputs(graph, {{"batch", 2}, {"side", 5}, {"words.1", 4}});
  EXPECT_EQ(feed.at("pixels").shape(), (Shape{2, 3, 5}));
  float least = 1, most = 0;
  for (const float x : feed.at("pixels").as<float>()) least = std::min(least, x), most = std::max(most, x);
  EXPECT_TRUE(0 <= least && least < 0.5f && 0.5f < most && most < 1) << least << " " << most;
  EXPECT_EQ(feed.at("words").shape(), (Shape{2, 4}));
  for (const int64_t x : feed.at("words").as<int64_t>()) EXPECT_EQ(x, 1);
  EXPECT_TRUE(feed.at("mask").as<bool>()[1]);
  EXPECT_EQ(feed.at("text").dtype(), DType::kString);
}

TEST(SampleInputs, NamesAllDimensionsThatLackASize) {
  Graph graph;
  graph.add_input("x", DType::kF32, {"batch", "length"});
  graph.add_input("y", DType::kF32, {"batch", Dim()});
  try {
    sample_inputs(graph, {{"batch", 2}});
    FAIL() << "made up a size";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("length, y.1"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace tandem
