// The loop against servers that are simulated under a clock of the test's own.
#include "serving/load/load_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/serving/held_lanes.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;

// One lane that takes requests in their order; `takes` says how long one that is begun at a time takes.
class SimulatedServer final : public LoadClient {
 public:
  SimulatedServer(TestClock& clock, int connections, std::function<Clock::TimePoint::duration(Clock::TimePoint)> takes)
      : clock_(clock), connections_(connections), takes_(std::move(takes)) {}

  int connections() const override { return connections_; }
  void send(int connection) override {
    const Clock::TimePoint begin = std::max(clock_.time, lane_free_);
    lane_free_ = begin + takes_(begin);
    under_way_.push_back({connection, AnswerKind::kOk, lane_free_});
    most_ = std::max(most_, under_way_.size());
  }
  void wait(Clock::TimePoint from, Clock::TimePoint until, std::vector<LoadAnswer>& answers) override {
    clock_.time = std::max(clock_.time, from);
    if (!under_way_.empty() && under_way_.front().at <= until) {
      clock_.time = std::max(clock_.time, under_way_.front().at);
      answers.push_back(under_way_.front());
      under_way_.erase(under_way_.begin());
    } else {
      clock_.time = std::max(clock_.time, until);
    }
  }
  const std::string& first_problem() const override { return problem_; }
  size_t most() const { return most_; }

 private:
  TestClock& clock_;
  int connections_;
  std::function<Clock::TimePoint::duration(Clock::TimePoint)> takes_;
  Clock::TimePoint lane_free_{};
  std::vector<LoadAnswer> under_way_;
  size_t most_ = 0;
  std::string problem_;
};

TEST(LoadRun, AClosedLoopKeepsEveryConnectionBusy) {
  TestClock clock;
  SimulatedServer server(clock, 4, [](auto) { return 10ms; });
  const LoadResult result = run_load(server, clock, {.warmup = 1s, .time = 10s});
  EXPECT_EQ(server.most(), 4u);
  EXPECT_NEAR(result.rate(), 100, 1);
  EXPECT_NEAR(static_cast<double>(result.latency.percentile(0.5).count()), 40e6, 1e6) << "three others go before";
  EXPECT_EQ(result.unanswered, 0);
}

TEST(LoadRun, AnOpenLoopComesAtItsRate) {
  TestClock clock;
  SimulatedServer server(clock, 16, [](auto) { return 1ms; });
  const LoadResult result = run_load(server, clock, {.rate = 200, .warmup = 1s, .time = 50s});
  EXPECT_NEAR(result.rate(), 200, 6) << "10,000 arrivals of a Poisson process: a standard deviation of 2 a second";
  // M/D/1 at a load of 0.2: the mean wait is load * service / (2 (1 - load)) = 0.125 ms (Pollaczek-Khinchine).
  EXPECT_NEAR(static_cast<double>(result.latency.mean().count()), 1.125e6, 0.03e6);
}

TEST(LoadRun, ConstantArrivalsAreEvenlySpaced) {
  TestClock clock;
  SimulatedServer server(clock, 2, [](auto) { return 1ms; });
  const LoadResult result = run_load(server, clock, {.rate = 100, .arrivals = Arrivals::kConstant, .warmup = 0s, .time = 10s});
  EXPECT_NEAR(static_cast<double>(result.ok), 1'000, 1);
  EXPECT_EQ(result.latency.max(), std::chrono::nanoseconds(1ms));
}

TEST(LoadRun, AStallIsFeltByAllThatWereDueMeanwhile) {
  TestClock clock;
  const Clock::TimePoint stall = clock.time + 5s;
  bool stalled = false;
  SimulatedServer server(clock, 1, [&](Clock::TimePoint begin) -> Clock::TimePoint::duration {
    return begin >= stall && !std::exchange(stalled, true) ? 1s : 1ms;
  });
  const LoadResult result = run_load(server, clock, {.rate = 100, .arrivals = Arrivals::kConstant, .warmup = 0s, .time = 10s});
  // 100 requests were due during the stall, 10% of all: they wait from 1 s down to none.
  EXPECT_GT(result.latency.percentile(0.99), 850ms);
  EXPECT_GT(result.latency.percentile(0.95), 400ms);
  EXPECT_LT(result.latency.percentile(0.85), 2ms);
}

TEST(LoadRun, WhatIsDueWhileThisThreadStandsStillCountsToo) {
  TestClock clock;
  const Clock::TimePoint begin = clock.time;
  bool stood_still = false;
  SimulatedServer server(clock, 4, [&](Clock::TimePoint now) {
    if (now - begin >= 500ms && !std::exchange(stood_still, true)) clock.time += 3s;  // beyond the end of the load
    return 1ms;
  });
  const LoadResult result = run_load(server, clock, {.rate = 100, .arrivals = Arrivals::kConstant, .warmup = 0s, .time = 1s});
  EXPECT_NEAR(static_cast<double>(result.ok), 100, 1);
  EXPECT_GT(result.latency.percentile(0.9), 2s);
}

TEST(LoadRun, WhatIsDueInTheWarmUpDoesNotCount) {
  TestClock clock;
  const Clock::TimePoint begin = clock.time;
  SimulatedServer server(clock, 1, [&](Clock::TimePoint now) { return now - begin < 1s ? 100ms : 1ms; });
  const LoadResult result = run_load(server, clock, {.warmup = 2s, .time = 1s});
  EXPECT_EQ(result.latency.max(), std::chrono::nanoseconds(1ms));
}

TEST(LoadRun, WhatIsNeverAnsweredIsTold) {
  TestClock clock;
  SimulatedServer server(clock, 2, [](auto) { return 100s; });
  const LoadResult result =
      run_load(server, clock, {.rate = 10, .arrivals = Arrivals::kConstant, .warmup = 0s, .time = 1s, .patience = 3s});
  EXPECT_EQ(result.ok, 0);
  EXPECT_NEAR(static_cast<double>(result.unanswered), 10, 1);
}

}  // namespace
}  // namespace tandem
