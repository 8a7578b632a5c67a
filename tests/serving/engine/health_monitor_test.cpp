// The watchdog and the probes, by a clock that the test moves and lanes that run when it says so.
#include "serving/engine/health_monitor.h"

#include <gmock/gmock.h>

#include <future>

#include "kernels/base/error.h"
#include "runtime/device/lane.h"
#include "serving/batching/lane_workers.h"
#include "tests/serving/held_lanes.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class HealthMonitorTest : public testing::Test {
 protected:
  void probe(int lane) {
    probed.push_back(lane);
    if (lane == broken) fail(ErrorCode::kDevice, "a product came out wrong");
  }

  TestClock clock;
  HeldWorkers workers{2};
  LaneWatch watch{2};
  std::vector<int> probed;
  int broken = -1;
  std::vector<std::string> lines;
  HealthMonitor health{workers, watch, clock, {.stuck_after = 60s, .probe_every = 10s}, [this](int lane) { probe(lane); },
                       [this](const std::string& line) { lines.push_back(line); }};
};

TEST_F(HealthMonitorTest, IdleLanesAreAskedNowAndThen) {
  health.tick();
  EXPECT_EQ(workers.woken.size(), 2u);
  health.tick();
  EXPECT_EQ(workers.woken.size(), 2u) << "one at a time";
  workers.run_all();
  EXPECT_THAT(probed, ElementsAre(0, 1));
  clock.time += 9s;
  health.tick();
  EXPECT_TRUE(workers.woken.empty());
  clock.time += 1s;
  health.tick();
  EXPECT_EQ(workers.woken.size(), 2u);
}

TEST_F(HealthMonitorTest, ALaneAtWorkIsNotAsked) {
  for (int i = 0; i < 20; ++i) {
    for (int lane : {0, 1}) WatchedBatch batch(&watch, lane, "m", clock);
    clock.time += 5s;
    health.tick();
  }
  EXPECT_TRUE(workers.woken.empty());
  EXPECT_EQ(health.why_not_ready(), "");
}

TEST_F(HealthMonitorTest, ABatchThatDoesNotEndIsToldAndThenForgotten) {
  watch.begin(1, "slow", clock.time);
  clock.time += 60s;
  EXPECT_EQ(health.why_not_ready(), "");
  clock.time += 1s;
  EXPECT_THAT(health.why_not_ready(), HasSubstr("lane 1 has been at a batch of 'slow' for 61 s"));
  EXPECT_TRUE(health.is_alive()) << "the other lane works";
  health.tick();
  health.tick();
  EXPECT_THAT(lines, ElementsAre(HasSubstr("lane 1 has been at a batch of 'slow'"))) << "once";
  watch.begin(0, "slow", clock.time - 70s);
  EXPECT_FALSE(health.is_alive());
  watch.end(0, clock.time);
  watch.end(1, clock.time);
  EXPECT_TRUE(health.is_alive());
  EXPECT_EQ(health.why_not_ready(), "");
  health.tick();
  EXPECT_THAT(lines.back(), HasSubstr("lane 1 works again"));
}

TEST_F(HealthMonitorTest, ALaneThatTakesNothingIsStuck) {
  health.tick();
  clock.time += 61s;
  EXPECT_THAT(health.why_not_ready(), HasSubstr("lane 0 has not begun what it was given for 61 s"));
  EXPECT_FALSE(health.is_alive());
  workers.run_all();
  EXPECT_TRUE(health.is_alive());
}

// A probe waits behind the batches that came before it; those that end prove the lane.
TEST_F(HealthMonitorTest, ABusyLaneMayLeaveAProbeWaiting) {
  health.tick();
  for (int i = 0; i < 30; ++i) {
    for (int lane : {0, 1}) WatchedBatch batch(&watch, lane, "m", clock);
    clock.time += 5s;
    EXPECT_EQ(health.why_not_ready(), "");
  }
}

TEST_F(HealthMonitorTest, ALaneThatComputesWronglyIsToldUntilItDoesNot) {
  broken = 1;
  health.tick();
  workers.run_all();
  EXPECT_THAT(health.problems(), ElementsAre(IsEmpty(), HasSubstr("lane 1 does not compute as it should: a product came out wrong")));
  EXPECT_TRUE(health.is_alive());
  broken = -1;
  clock.time += 10s;
  health.tick();
  workers.run_all();
  EXPECT_EQ(health.why_not_ready(), "");
}

TEST(HealthMonitor, AKernelThatBlocksIsFound) {
  Lane lane({.name = "lane"});
  struct : Workers {
    Lane* lane;
    int lanes() const override { return 1; }
    void submit(int, std::function<void()> task, std::function<void(const Error&)> dropped) override { lane->submit(Task(std::move(task), std::move(dropped))); }
  } workers;
  workers.lane = &lane;
  TestClock clock;
  LaneWatch watch(1);
  std::promise<void> begun, release;
  workers.submit(0, [&] {
    const WatchedBatch batch(&watch, 0, "m", clock);
    begun.set_value();
    release.get_future().wait();
  }, [](const Error&) {});
  begun.get_future().wait();
  HealthMonitor health(workers, watch, clock, {}, [](int) {}, [](const std::string&) {});
  EXPECT_EQ(health.why_not_ready(), "");
  clock.time += 61s;
  EXPECT_NE(health.why_not_ready(), "");
  EXPECT_FALSE(health.is_alive());
  release.set_value();
  lane.stop(Lane::Stop::kDrain);
  EXPECT_EQ(health.why_not_ready(), "");
}

TEST(ProductProbe, HoldsOnEveryLane) {
  const HealthMonitor::Probe probe = product_probe(2, 1, {});
  for (int lane : {0, 1, 0}) EXPECT_NO_THROW(probe(lane));
}

}  // namespace
}  // namespace tandem
