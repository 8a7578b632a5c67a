// Statistics count what has been answered by the time that somebody asks.
#include "serving/monitor/model_statistics.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>

namespace tandem {
namespace {

using namespace std::chrono_literals;

TEST(StatisticsRecorder, AnswersThatAreOutAreCounted) {
  StatisticsRecorder recorder;
  std::optional<StatisticsRecorder::Answering> answering(std::in_place, recorder);
  std::future<ModelStatistics> asked = std::async(std::launch::async, [&] { return recorder.snapshot(); });
  EXPECT_EQ(asked.wait_for(20ms), std::future_status::timeout) << "the batch is not counted yet";
  recorder.add({.requests = 2, .rows = 3});
  answering.reset();
  const ModelStatistics statistics = asked.get();
  EXPECT_EQ(statistics.success.count, 2u);
  EXPECT_EQ(statistics.inferences, 3u);
  EXPECT_EQ(statistics.executions, 1u);
}

TEST(StatisticsRecorder, BatchesThatNeverEndTogetherKeepNobodyWaiting) {
  StatisticsRecorder recorder;
  std::optional<StatisticsRecorder::Answering> answering(std::in_place, recorder), next;
  std::future<ModelStatistics> asked = std::async(std::launch::async, [&] { return recorder.snapshot(); });
  while (asked.wait_for(0s) != std::future_status::ready) {
    next.emplace(recorder);
    answering.reset();
    answering.emplace(recorder);
    next.reset();
  }
}

}  // namespace
}  // namespace tandem
