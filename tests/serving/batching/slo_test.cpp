// Targets of latency: their parts, then a whole dispatcher whose model, machine and clock are simulated.
#include "serving/batching/slo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/philox.h"
#include "serving/batching/dispatcher.h"
#include "serving/batching/overloaded.h"
#include "tests/serving/batching/simulated_machine.h"
#include "tests/serving/held_lanes.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using Seconds = std::chrono::duration<double>;

TEST(Slo, IsReadAndWritten) {
  EXPECT_EQ(parse_slo("p99=20ms"), (Slo{0.99, 20ms}));
  EXPECT_EQ(parse_slo("p99.9=1s"), (Slo{0.999, 1s}));
  EXPECT_EQ(parse_slo("p50=750us"), (Slo{0.5, 750us}));
  for (const char* text : {"p99=20ms", "p95=1500us", "p90=3s"}) EXPECT_EQ(to_string(parse_slo(text)), text);
  for (const char* text : {"", "p99", "p99=", "p99=20", "p98=20ms", "p99=-1ms", "p99=0ms", "p99=1h", "p99=20ms ", "p99=9999999s", "20ms"})
    EXPECT_THROW(parse_slo(text), Error) << text;
}

TEST(BatchCost, FollowsAndInterpolates) {
  BatchCost cost;
  EXPECT_EQ(cost.seconds(4), 0);
  for (const int64_t rows : {1, 8, 16}) cost.observe(rows, 0.001 * static_cast<double>(rows) + 0.002);
  EXPECT_DOUBLE_EQ(cost.seconds(8), 0.010);
  EXPECT_NEAR(cost.seconds(12), 0.014, 1e-12);
  EXPECT_NEAR(cost.seconds(32), 0.036, 1e-12) << "beyond what was seen more rows gain nothing";
  for (int i = 0; i < 200; ++i) cost.observe(8, 0.020);
  EXPECT_NEAR(cost.seconds(8), 0.020, 1e-4) << "the machine became slower";
}

TEST(BatchCost, DeviationsAreThoseOfTheTimes) {
  BatchCost cost;
  for (uint64_t i = 0; i < 5'000; ++i) cost.observe(4, 0.010 + 0.002 * (unit_float(philox(3, i, 0)[0]) - 0.5));
  // Uniform over 2 ms: the mean deviation is 0.5 ms.
  EXPECT_NEAR(cost.seconds(4), 0.010, 3e-4);
  EXPECT_NEAR(cost.seconds(4, 1) - cost.seconds(4), 1.25 * 0.0005, 2.5e-4);
}

TEST(BatchCost, WhatWasMeasuredBeforeGivesWayToWhatIsSeen) {
  BatchCost before, now;
  before.observe(1, 0.001);
  before.observe(8, 0.004);
  now.start_from(before.points());
  EXPECT_DOUBLE_EQ(now.seconds(8), 0.004);
  for (int i = 0; i < 100; ++i) now.observe(8, 0.008);
  EXPECT_NEAR(now.seconds(8), 0.008, 1e-4);
  EXPECT_NEAR(now.seconds(1), 0.002, 2e-4) << "the machine is slower by half, for one row too";
  BatchCost damaged;
  damaged.start_from({{NAN, 1, 0, 1}, {1, -1, 0, 1}, {0, 1, 0, 1}, {1, 1, NAN, 1}});
  EXPECT_FALSE(damaged.is_known());
}

// A batch of b rows takes 2 ms + b * 0.5 ms: 400 rows a second one by one, 1,600 in batches of 16.
double cost_of(int64_t rows) { return 0.002 + 0.0005 * static_cast<double>(rows); }

// By a machine that takes so many times as long.
BatchCost measured(double slower = 1) {
  BatchCost cost;
  for (int64_t rows = 1; rows <= 64; rows *= 2) cost.observe(rows, slower * cost_of(rows));
  return cost;
}

TEST(SloController, ABatchIsTheFastestOfWhichTwoFit) {
  const BatchCost cost = measured();
  const auto batch = [&](std::chrono::microseconds target, const BatchCost& of) { return SloController({0.99, target}, 64).batch(of); };
  EXPECT_EQ(batch(4ms, cost), 1) << "not even one: it runs alone";
  const int64_t chosen = batch(25ms, cost);  // 90% of it is planned with: 2 (2 + b / 2) <= 22.5
  EXPECT_GE(chosen, 16);
  EXPECT_LE(chosen, 18);
  EXPECT_GE(batch(1s, cost), 50) << "within 2% of the fastest, with fewer rows";
  BatchCost linear;  // batches gain nothing
  for (const int64_t rows : {1, 2, 4, 8, 16}) linear.observe(rows, 0.001 * static_cast<double>(rows));
  EXPECT_EQ(batch(100ms, linear), 1);
  EXPECT_EQ(batch(100ms, BatchCost{}), 1) << "nothing is known yet";
}

TEST(SloController, RefusesWhatWouldBeLateAndNothingElse) {
  const BatchCost cost = measured();
  SloController slo({0.99, 25ms}, 64);
  const double lanes[] = {0.004, 0.006};
  EXPECT_TRUE(slo.admits(cost, {.rows = 0, .lanes = lanes}));
  EXPECT_FALSE(slo.admits(cost, {.rows = 400, .lanes = lanes}));
  // The refusals begin where the next batch would end beyond the target, and never end again.
  int64_t most = 0;
  while (slo.admits(cost, {.rows = most, .lanes = lanes})) ++most;
  EXPECT_GT(slo.wait(cost, {.rows = most, .lanes = lanes}) + cost.seconds(slo.batch(cost)), 0.9 * 0.025);
  const double idle[] = {0.0, 0.006};
  SloController hopeless({0.99, 1ms}, 64);
  EXPECT_TRUE(hopeless.admits(cost, {.rows = 0, .lanes = idle})) << "out of reach, but a lane is free";
  EXPECT_FALSE(hopeless.admits(cost, {.rows = 1, .lanes = idle}));
}

// What clients see of a load.
struct Seen {
  int64_t offered = 0, answered = 0, in_time = 0, refused = 0;
  std::vector<double> latencies;
  double longest_refusal = 0;
  double goodput(double seconds) const { return static_cast<double>(in_time) / seconds; }
  double p99() {
    std::ranges::sort(latencies);
    return latencies.empty() ? 0 : latencies[latencies.size() * 99 / 100];
  }
};

class SimulatedService {
 public:
  static constexpr auto kTarget = 25ms;

  explicit SimulatedService(BatchCost known, double slower = 1, int lanes_per_batch = 1) : slower_(slower) {
    queue_ = dispatcher_.add("m", {.max_batch_size = 64, .slo = Slo{0.99, kTarget}, .lanes_per_batch = lanes_per_batch},
                             [this](int lane, std::span<const QueuedPtr> batch, Clock::TimePoint) { run(lane, batch); }, 1, known);
  }

  // Poisson arrivals at a rate, over some time.
  Seen load(double rate, Clock::TimePoint::duration time, uint64_t seed) {
    Seen seen;
    const Clock::TimePoint end = machine_.now() + time;
    uint64_t count = 0;
    for (Clock::TimePoint next = machine_.now(); next < end; ++count) {
      sleep_until(next);
      offer(seen);
      const double u = unit_float(philox(seed, count, 0)[0]);
      next += std::chrono::duration_cast<Clock::TimePoint::duration>(Seconds(-std::log1p(-u) / rate));
    }
    sleep_until(end + 200ms);
    return seen;
  }

 private:
  struct Asked final : QueuedRequest {
    Asked(Seen& seen, const Clock& clock) : seen(seen), clock(clock), came(clock.now()) {}
    void drop(const std::exception_ptr&) override { refuse(); }
    void refuse() {
      ++seen.refused;
      seen.longest_refusal = std::max(seen.longest_refusal, Seconds(clock.now() - came).count());
    }
    void answer() {
      ++seen.answered;
      seen.in_time += clock.now() - came <= kTarget;
      seen.latencies.push_back(Seconds(clock.now() - came).count());
    }
    Seen& seen;
    const Clock& clock;
    const Clock::TimePoint came;
  };

  void offer(Seen& seen) {
    const auto request = std::make_shared<Asked>(seen, machine_);
    ++seen.offered;
    try {
      queue_->submit(request);
    } catch (const Overloaded&) {
      request->refuse();
    }
  }

  void run(int lane, std::span<const QueuedPtr> batch) {
    machine_.work(lane, std::chrono::duration_cast<Clock::TimePoint::duration>(Seconds(slower_ * cost_of(static_cast<int64_t>(batch.size())))));
    for (const QueuedPtr& request : batch) static_cast<Asked&>(*request).answer();
  }

  // With the ticks that fall due meanwhile.
  void sleep_until(Clock::TimePoint time) {
    while (alarm_ && *alarm_ <= time) {
      machine_.sleep_until(*alarm_);
      alarm_.reset();
      dispatcher_.tick();
    }
    machine_.sleep_until(time);
  }

  double slower_;
  std::optional<Clock::TimePoint> alarm_;
  SimulatedMachine machine_{2};
  Dispatcher dispatcher_{machine_, machine_, [this](std::optional<Clock::TimePoint> time) { alarm_ = time; }};
  std::unique_ptr<Dispatcher::Queue> queue_;
};

double peak_goodput() {
  double peak = 0;
  for (double rate = 1'600; rate <= 4'000; rate += 400) {
    SimulatedService service(measured());
    peak = std::max(peak, service.load(rate, 2s, 7).goodput(2));
  }
  return peak;
}

TEST(SloBatching, ARefusalIsForeseenAsItWouldCome) {
  TestClock clock;
  HeldWorkers workers(2);
  Dispatcher dispatcher(workers, clock);
  const auto queue = dispatcher.add("m", {.max_batch_size = 64, .slo = Slo{0.99, 25ms}}, [](int, auto, auto) {}, 1, measured());
  const auto plain = dispatcher.add("n", {}, [](int, auto, auto) {});
  struct Request final : QueuedRequest {
    void drop(const std::exception_ptr&) override {}
  };
  int taken = 0;
  for (; !queue->overload(); ++taken) ASSERT_NO_THROW(queue->submit(std::make_shared<Request>()));
  EXPECT_GT(taken, 16) << "a batch";
  EXPECT_EQ(queue->queued(), taken) << "to ask queues nothing";
  EXPECT_FALSE(plain->overload()) << "has no target";
  try {
    queue->submit(std::make_shared<Request>());
    FAIL() << "one more would be late";
  } catch (const Overloaded& refusal) {
    const auto foreseen = queue->overload();
    ASSERT_TRUE(foreseen);
    EXPECT_STREQ(foreseen->what(), refusal.what());
    EXPECT_EQ(foreseen->retry_after(), refusal.retry_after());
  }
  dispatcher.stop();
  EXPECT_FALSE(queue->overload()) << "submit() says that the server is shutting down";
  EXPECT_THROW(queue->submit(std::make_shared<Request>()), Error);
}

TEST(SloBatching, TenfoldOverloadKeepsGoodputAndTheTarget) {
  const double peak = peak_goodput();
  EXPECT_GT(peak, 2'500) << "two lanes, 1,600 a second each in batches of 16";
  SimulatedService service(measured());
  Seen overload = service.load(10 * peak, 5s, 1);
  EXPECT_GE(overload.goodput(5), 0.9 * peak);
  EXPECT_LE(overload.p99(), 0.025);
  EXPECT_EQ(overload.offered, overload.answered + overload.refused) << "each is answered once, or refused once";
  EXPECT_LE(overload.longest_refusal, 0.025) << "refused before its target is over, most at once";
  Seen after = service.load(0.5 * peak, 2s, 2);
  EXPECT_LE(after.p99(), 0.025) << "recovered within the 200 ms that the simulation waits";
  EXPECT_GE(static_cast<double>(after.in_time), 0.99 * static_cast<double>(after.offered));
}

TEST(SloBatching, LightLoadIsAnsweredAtOnce) {
  SimulatedService service(measured());
  Seen light = service.load(100, 5s, 3);
  EXPECT_EQ(light.refused, 0);
  EXPECT_LE(light.p99(), 2 * cost_of(1)) << "nobody waits for a batch to fill";
}

// A model of which a row takes 15 ms on one lane of two: two of them do not fit into 25 ms.
TEST(SloBatching, LanesTogetherKeepATargetThatOneAloneMisses) {
  SimulatedService alone(measured(6), 6), together(measured(3), 3, 2);
  constexpr double kRate = 100;  // of 133 rows a second that the lanes do each for itself, one by one, and together as well
  Seen refused = alone.load(kRate, 20s, 9), kept = together.load(kRate, 20s, 9);
  EXPECT_LT(static_cast<double>(refused.in_time), 0.9 * static_cast<double>(refused.offered)) << "whoever finds both lanes busy";
  EXPECT_GT(static_cast<double>(kept.in_time), 0.95 * static_cast<double>(kept.offered));
  EXPECT_LE(kept.p99(), 0.025);
  Seen crowd = together.load(2'000, 5s, 10);
  EXPECT_LE(crowd.p99(), 0.025) << "what is refused is foreseen for a group of lanes";
  // Two of 3 (2 + b / 2) ms fit into 22.5 ms up to b = 3, and into 80% of the target still for b = 2: 222 a second.
  EXPECT_GE(crowd.goodput(5), 0.9 * 2 / 0.009);
}

TEST(SloBatching, LearnsWhatIsNotKnownBeforehand) {
  SimulatedService service(BatchCost{});
  service.load(3'000, 3s, 4);
  Seen settled = service.load(10'000, 3s, 5);
  EXPECT_LE(settled.p99(), 0.025);
  EXPECT_GE(settled.goodput(3), 0.8 * 3'200);
}

TEST(SloBatching, FollowsAMachineThatIsSlowerThanMeasured) {
  SimulatedService service(measured(), 1.7);
  service.load(5'000, 3s, 6);
  Seen settled = service.load(10'000, 3s, 8);
  EXPECT_LE(settled.p99(), 0.025);
  // Two batches of 1.7 (2 + b / 2) ms fit into 22.5 ms up to b = 9; two lanes with 9 rows in 11 ms are 1,630 a second.
  EXPECT_GE(settled.goodput(3), 0.8 * 1'600);
}

}  // namespace
}  // namespace tandem
