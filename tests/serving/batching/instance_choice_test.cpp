// Whether lanes run batches each for itself or together, by what batches are said to take.
#include "serving/batching/instance_choice.h"

#include <gmock/gmock.h>

namespace tandem {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

// Seconds of a batch on one lane, and how a team of n lanes divides them: 1 means by n.
struct Machine {
  double fixed, row, efficiency = 1;
  std::vector<int> asked = {};

  BatchCost measure(int lanes_per_batch, double target) {
    asked.push_back(lanes_per_batch);
    BatchCost cost;
    for (int64_t rows = 1; rows <= 64; rows *= 2) {
      const double seconds = (fixed + row * static_cast<double>(rows)) / (1 + (lanes_per_batch - 1) * efficiency);
      cost.observe(rows, seconds);
      if (seconds > target) break;
    }
    return cost;
  }
  InstanceChoice choose(std::chrono::milliseconds target, int lanes, int64_t max_batch = 64) {
    const double seconds = std::chrono::duration<double>(target).count();
    return choose_instances({0.99, target}, max_batch, lanes, [&](int lanes_per_batch) { return measure(lanes_per_batch, seconds); });
  }
};

TEST(InstanceChoice, LanesStayAloneWhereTheTargetLeavesThemTime) {
  Machine machine{.fixed = 0, .row = 0.005};
  const InstanceChoice choice = machine.choose(100ms, 4);
  EXPECT_EQ(choice.lanes_per_batch, 1);
  EXPECT_EQ(choice.rows, 1) << "batches gain nothing";
  EXPECT_NEAR(choice.rows_per_second, 800, 1e-6) << "four lanes";
  EXPECT_EQ(choice.fitting, 2);
  EXPECT_THAT(machine.asked, ElementsAre(1)) << "larger teams need not be measured";
}

TEST(InstanceChoice, AsManyLanesRunABatchAsTheTargetNeeds) {
  Machine machine{.fixed = 0, .row = 0.040};  // two of 40 ms do not fit into 90% of 50 ms, nor two of 20 ms but for a hair
  const InstanceChoice choice = machine.choose(50ms, 8);
  EXPECT_EQ(choice.lanes_per_batch, 2);
  EXPECT_NEAR(choice.rows_per_second, 4 / 0.020, 1e-6);
  EXPECT_THAT(machine.asked, ElementsAre(1, 2));
  EXPECT_EQ(machine.choose(30ms, 8).lanes_per_batch, 4);
  EXPECT_EQ(machine.choose(12ms, 8).lanes_per_batch, 8) << "two of 5 ms";
  EXPECT_EQ(machine.choose(6ms, 8).fitting, 1);
  EXPECT_EQ(machine.choose(6ms, 8).lanes_per_batch, 8) << "the shortest there is";
}

TEST(InstanceChoice, LargerBatchesInAShorterTimeDoMore) {
  // A row alone costs nearly what sixteen do. One lane has time for 4 rows in 22 ms; two together, in half the time, for 16: twice the rows of twice 4.
  Machine machine{.fixed = 0.020, .row = 0.0005};
  const InstanceChoice choice = machine.choose(50ms, 2);
  EXPECT_EQ(choice.lanes_per_batch, 2);
  EXPECT_GT(choice.rows, 16);
  EXPECT_GT(choice.rows_per_second, 1.5 * 2 * 4 / 0.022);
  Machine limited{.fixed = 0.020, .row = 0.0005};
  EXPECT_EQ(limited.choose(50ms, 2, 4).lanes_per_batch, 1) << "no larger batches are allowed";
  EXPECT_THAT(limited.asked, ElementsAre(1));
}

TEST(InstanceChoice, TeamsThatLoseSomethingAreTakenForTheTargetAlone) {
  // 40 ms on one lane, 23.5 on two, 12.9 on four: of the first two only one fits into 45 ms, and two lanes by themselves do more.
  Machine machine{.fixed = 0, .row = 0.040, .efficiency = 0.7};
  EXPECT_EQ(machine.choose(50ms, 2).lanes_per_batch, 1);
  EXPECT_EQ(machine.choose(50ms, 8).lanes_per_batch, 4);
  EXPECT_THAT(machine.asked, ElementsAre(1, 2, 1, 2, 4));
}

TEST(InstanceChoice, ATeamThatGainsNothingIsNotTaken) {
  Machine machine{.fixed = 0, .row = 0.040, .efficiency = 0};
  EXPECT_EQ(machine.choose(50ms, 8).lanes_per_batch, 1);
  EXPECT_THAT(machine.asked, ElementsAre(1, 2)) << "nor are larger ones tried";
}

TEST(InstanceChoice, TeamsDivideTheLanes) {
  Machine machine{.fixed = 0, .row = 1};
  EXPECT_EQ(machine.choose(1ms, 12).lanes_per_batch, 12);
  EXPECT_THAT(machine.asked, ElementsAre(1, 2, 4, 12));
  machine.asked.clear();
  EXPECT_EQ(machine.choose(1ms, 7).lanes_per_batch, 7);
  EXPECT_THAT(machine.asked, ElementsAre(1, 7));
  machine.asked.clear();
  EXPECT_EQ(machine.choose(1ms, 1).lanes_per_batch, 1);
  EXPECT_THAT(machine.asked, ElementsAre(1));
}

TEST(InstanceChoice, WhatCannotBeMeasuredChangesNothing) {
  EXPECT_EQ(choose_instances({0.99, 1ms}, 8, 4, [](int) { return BatchCost(); }).lanes_per_batch, 1);
  const auto no_memory = [](int lanes_per_batch) {
    BatchCost cost;
    if (lanes_per_batch == 1) cost.observe(1, 1);
    return cost;
  };
  const InstanceChoice choice = choose_instances({0.99, 1ms}, 8, 4, no_memory);
  EXPECT_EQ(choice.lanes_per_batch, 1);
  EXPECT_TRUE(choice.cost.is_known());
}

}  // namespace
}  // namespace tandem
