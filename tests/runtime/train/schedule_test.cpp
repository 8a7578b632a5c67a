// Schedules against their closed forms.
#include "runtime/train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "runtime/exec/executor.h"

namespace tandem {
namespace {

std::vector<float> rates(const ScheduleConfig& config, int64_t steps) {
  Graph graph;
  const ValueId step = graph.add_input("step", DType::kI64, {});
  graph.outputs = {append_schedule(graph, config, step)};
  Executor executor(make_plan(graph, {}));
  std::vector<float> out;
  for (int64_t s = 0; s < steps; ++s) {
    const Tensor number = Tensor::scalar<int64_t>(s);
    const ConstTensorView inputs[] = {number.view()};
    out.push_back(executor.run(inputs)[0].as<float>()[0]);
  }
  return out;
}

TEST(Schedule, Constant) {
  for (float rate : rates({.learning_rate = 0.25f}, 3)) EXPECT_EQ(rate, 0.25f);
}

TEST(Schedule, WarmUpRisesLinearlyToThePeak) {
  const auto got = rates({.learning_rate = 1, .warmup_steps = 4}, 6);
  for (size_t s = 0; s < 6; ++s) EXPECT_FLOAT_EQ(got[s], std::min(1.0f, static_cast<float>(s + 1) / 4));
}

TEST(Schedule, CosineFallsFromThePeakToItsFinalFraction) {
  const auto got = rates({.kind = ScheduleKind::kCosine, .learning_rate = 2, .total_steps = 10, .final_fraction = 0.1f}, 13);
  for (size_t s = 0; s < 13; ++s) {
    const double t = std::min(1.0, static_cast<double>(s) / 10);
    EXPECT_NEAR(got[s], 2 * (0.1 + 0.9 * (1 + std::cos(std::numbers::pi * t)) / 2), 1e-5);
  }
}

TEST(Schedule, StepDropsByGamma) {
  const auto got = rates({.kind = ScheduleKind::kStep, .learning_rate = 1, .step_size = 3, .gamma = 0.5f}, 9);
  for (size_t s = 0; s < 9; ++s) EXPECT_FLOAT_EQ(got[s], std::pow(0.5f, static_cast<float>(s / 3)));
}

TEST(Schedule, ACosineMustEndAfterItsWarmUp) {
  EXPECT_THROW(rates({.kind = ScheduleKind::kCosine, .warmup_steps = 5, .total_steps = 5}, 1), Error);
}

}  // namespace
}  // namespace tandem
