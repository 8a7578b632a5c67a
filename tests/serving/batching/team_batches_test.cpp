// Batches that several lanes run together, beside those of one lane: under a simulated clock, then with real threads.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <thread>

#include "kernels/base/philox.h"
#include "serving/batching/dispatcher.h"
#include "serving/batching/lane_workers.h"
#include "tests/serving/batching/simulated_machine.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using testing::Each;
using testing::ElementsAre;

// A batch that was run, and on which lanes.
struct Seen {
  std::string model;
  int first = 0, lanes = 1;
  Clock::TimePoint begun, ended;
  int64_t rows = 0;
};

class TeamBatches : public testing::Test {
 protected:
  // Batches that run write to what the test has: they end, one after the other, before that goes.
  ~TeamBatches() override {
    dispatcher.stop();
    run_for(1h);
  }

  struct Request final : QueuedRequest {
    explicit Request(int& dropped) : dropped(dropped) {}
    void drop(const std::exception_ptr&) override { ++dropped; }
    int& dropped;
  };

  std::unique_ptr<Dispatcher::Queue> add(const std::string& model, int lanes_per_batch, Clock::TimePoint::duration takes, int64_t rows = 1) {
    return dispatcher.add(model, {.max_batch_size = rows, .lanes_per_batch = lanes_per_batch},
                          [this, model, lanes_per_batch, takes](int lane, std::span<const QueuedPtr> batch, Clock::TimePoint begun) {
                            EXPECT_EQ(begun, machine.now());
                            machine.work(lane, takes);
                            seen.push_back({model, lane, lanes_per_batch, begun, machine.now(), static_cast<int64_t>(batch.size())});
                          });
  }
  void submit(Dispatcher::Queue& queue, int requests = 1) {
    for (int i = 0; i < requests; ++i) queue.submit(std::make_shared<Request>(dropped));
  }
  void run_for(Clock::TimePoint::duration time) { machine.sleep_until(machine.now() + time); }

  int64_t rows_of(const std::string& model) const {
    int64_t rows = 0;
    for (const Seen& one : seen) rows += one.model == model ? one.rows : 0;
    return rows;
  }
  // Pairs of batches that had a lane at the same time.
  int overlaps() const {
    int count = 0;
    for (const Seen& a : seen)
      for (const Seen& b : seen)
        count += &a < &b && a.first < b.first + b.lanes && b.first < a.first + a.lanes && a.begun < b.ended && b.begun < a.ended;
    return count;
  }
  // Lane-seconds.
  double time_of(const std::string& model) const {
    double seconds = 0;
    for (const Seen& one : seen)
      if (one.model == model) seconds += one.lanes * std::chrono::duration<double>(one.ended - one.begun).count();
    return seconds;
  }

  SimulatedMachine machine{4};
  Dispatcher dispatcher{machine, machine};
  std::vector<Seen> seen;
  int dropped = 0;
};

TEST_F(TeamBatches, TheFirstOfIdleNeighboursRunsABatchOfAll) {
  const auto pairs = add("pairs", 2, 10ms), all = add("all", 4, 10ms), odd = add("single", 1, 1ms);
  submit(*pairs, 3);
  run_for(100ms);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].begun, seen[1].begun) << "two groups of two";
  EXPECT_EQ(std::min(seen[0].first, seen[1].first), 0);
  EXPECT_EQ(std::max(seen[0].first, seen[1].first), 2);
  EXPECT_EQ(seen[2].begun, seen[0].ended);
  seen.clear();
  submit(*all, 2);
  run_for(100ms);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].first, 0);
  EXPECT_EQ(seen[1].first, 0);
  EXPECT_EQ(seen[1].begun, seen[0].ended);
  EXPECT_THROW(add("three", 3, 1ms), Error) << "of four lanes";
  EXPECT_THROW(add("none", 0, 1ms), Error);
}

TEST_F(TeamBatches, WaitsForBusyNeighboursAndKeepsThemIdleMeanwhile) {
  const auto all = add("all", 4, 10ms), single = add("single", 1, 10ms);  // the first of equals goes first
  submit(*single, 1);
  run_for(5ms);
  submit(*all, 1);
  run_for(1ms);
  submit(*single, 8);  // would keep some lane busy for ever, were it not that model's turn
  run_for(200ms);
  ASSERT_EQ(seen.size(), 10u);
  EXPECT_EQ(seen[1].model, "all");
  EXPECT_EQ(seen[1].begun, seen[0].ended);
  EXPECT_EQ(overlaps(), 0);
  EXPECT_EQ(seen[2].begun, seen[1].ended);
  EXPECT_EQ(seen[5].begun, seen[1].ended) << "then all four lanes work at once";
}

TEST_F(TeamBatches, TimeIsSharedByLanesNotByBatches) {
  const auto single = add("single", 1, 10ms), all = add("all", 4, 10ms);
  submit(*single, 400);
  submit(*all, 400);
  run_for(1s);
  EXPECT_EQ(overlaps(), 0);
  // Lanes that wait for their neighbours are idle for a batch at most each turn.
  EXPECT_NEAR(time_of("single") / time_of("all"), 1, 0.1);
  EXPECT_GT(time_of("single") + time_of("all"), 0.5 * 4 * 1);
}

TEST_F(TeamBatches, ManyModelsOfAllSizesAreAllServed) {
  const auto single = add("single", 1, 3ms, 4), pairs = add("pairs", 2, 5ms, 4), all = add("all", 4, 2ms, 4);
  std::map<Dispatcher::Queue*, int64_t> asked;
  for (uint64_t i = 0; i < 600; ++i) {
    const std::array<uint32_t, 4> random = philox(11, i, 0);
    Dispatcher::Queue& queue = *std::array{single.get(), pairs.get(), all.get()}[random[0] % 3];
    const int count = static_cast<int>(random[1] % 4);
    submit(queue, count);
    asked[&queue] += count;
    run_for(std::chrono::microseconds(random[2] % 5'000));
  }
  run_for(1s);
  EXPECT_EQ(rows_of("single"), asked[single.get()]);
  EXPECT_EQ(rows_of("pairs"), asked[pairs.get()]);
  EXPECT_EQ(rows_of("all"), asked[all.get()]);
  EXPECT_EQ(overlaps(), 0);
  EXPECT_EQ(dropped, 0);
}

TEST_F(TeamBatches, OneThatGoesWhileLanesWaitForItHoldsNobodyUp) {
  auto all = add("all", 4, 10ms);  // the first of equals goes first
  const auto single = add("single", 1, 10ms);
  submit(*single, 1);
  run_for(5ms);
  submit(*all, 1);
  submit(*single, 3);
  run_for(1ms);
  const Clock::TimePoint gone = machine.now();
  all.reset();
  EXPECT_EQ(dropped, 1);
  run_for(100ms);
  EXPECT_EQ(rows_of("single"), 4);
  EXPECT_EQ(std::ranges::count(seen, gone, &Seen::begun), 3) << "by all lanes that waited";
}

TEST_F(TeamBatches, WhatIsDoneBeforeTheNeighboursAreGoesMeanwhile) {
  const auto all = add("all", 4, 10ms), slow = add("slow", 1, 100ms), quick = add("quick", 1, 1ms);
  submit(*slow);
  submit(*quick);
  run_for(1s);  // what they take is known
  seen.clear();
  submit(*slow);
  run_for(5ms);
  submit(*all);
  run_for(1ms);
  submit(*quick, 12);
  submit(*slow, 3);  // would end after the first
  run_for(1s);
  ASSERT_EQ(seen.size(), 17u);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)].model, "quick") << i;
  EXPECT_EQ(seen[12].model, "slow");
  EXPECT_EQ(seen[13].model, "all");
  EXPECT_EQ(seen[13].begun, seen[12].ended);
  EXPECT_EQ(overlaps(), 0);
}

TEST_F(TeamBatches, ALaneThatIsStuckIsNotWaitedFor) {
  const auto all = add("all", 4, 10ms), stuck = add("stuck", 1, 60s), quick = add("quick", 1, 1ms);
  submit(*stuck);
  run_for(5ms);
  submit(*all);
  run_for(1ms);
  submit(*quick, 8);
  run_for(2s);
  dispatcher.tick();
  run_for(100ms);
  EXPECT_EQ(rows_of("quick"), 8);
  submit(*quick, 8);
  run_for(100ms);
  EXPECT_EQ(rows_of("quick"), 16);
  run_for(60s);
  EXPECT_EQ(rows_of("all"), 1);
}

TEST_F(TeamBatches, ALaneKeptForQuickModelsIsNotAllThatATeamEverFinds) {
  const auto quick = add("quick", 1, 1ms), slow = add("slow", 1, 50ms), pairs = add("pairs", 2, 50ms);
  for (Dispatcher::Queue* queue : {quick.get(), slow.get(), pairs.get()}) submit(*queue);
  run_for(1s);  // what they take is known
  seen.clear();
  submit(*slow, 200);
  submit(*pairs, 200);
  for (int i = 0; i < 200; ++i) {
    submit(*quick);
    run_for(10ms);
  }
  EXPECT_EQ(rows_of("quick"), 200);
  EXPECT_NEAR(time_of("pairs") / time_of("slow"), 1, 0.25);
  EXPECT_EQ(overlaps(), 0);
}

TEST_F(TeamBatches, OneThatIsCancelledWhileLanesWaitForItHoldsNobodyUp) {
  const auto all = add("all", 4, 10ms), single = add("single", 1, 10ms);
  submit(*single, 1);
  run_for(5ms);
  const auto request = std::make_shared<Request>(dropped);
  all->submit(request);
  submit(*single, 3);
  request->cancel();
  run_for(100ms);
  EXPECT_EQ(dropped, 1);
  EXPECT_EQ(rows_of("single"), 4);
  EXPECT_EQ(rows_of("all"), 0);
  submit(*all, 1);
  run_for(100ms);
  EXPECT_EQ(rows_of("all"), 1);
}

TEST(TeamBatchThreads, EveryRequestIsAnsweredOnceAndNoLaneHasTwoBatches) {
  constexpr int kThreads = 3, kRequests = 1'000, kLanes = 2;
  struct Counted final : QueuedRequest {
    explicit Counted(std::atomic<int>& answered) : answered(answered) {}
    void drop(const std::exception_ptr&) override { ++answered; }
    std::atomic<int>& answered;
  };
  SteadyClock clock;
  LaneSet lanes({.lanes = kLanes, .threads = 1, .pin = false});
  LaneWorkers workers(lanes, true);
  std::atomic<int> answered{0}, collisions{0};
  std::array<std::atomic<int>, kLanes> busy{};
  {
    Dispatcher dispatcher(workers, clock);
    std::vector<std::unique_ptr<Dispatcher::Queue>> queues;
    for (const int size : {1, kLanes})
      queues.push_back(dispatcher.add("m", {.max_batch_size = 8, .lanes_per_batch = size, .queue_length = kThreads * kRequests},
                                      [&, size](int lane, std::span<const QueuedPtr> batch, Clock::TimePoint) {
                                        for (int i = lane; i < lane + size; ++i) collisions += busy[static_cast<size_t>(i)]++ != 0;
                                        for (const QueuedPtr& request : batch) ++static_cast<const Counted&>(*request).answered;
                                        for (int i = lane; i < lane + size; ++i) --busy[static_cast<size_t>(i)];
                                      }));
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        const RunLater here = [](const std::function<void()>& work) { work(); };
        for (int i = 0; i < kRequests; ++i) {
          auto request = std::make_shared<Counted>(answered);
          if (i % 7 == 0) request->cancel();
          if (i % 3 == 0) request->here = &here;
          queues[static_cast<size_t>((i + t) % 5 < 2)]->submit(request);
          if (i % 64 == 0) std::this_thread::yield();
        }
      });
    for (std::thread& thread : threads) thread.join();
    for (int i = 0; i < 10'000 && answered < kThreads * kRequests; ++i) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(answered, kThreads * kRequests);
    EXPECT_EQ(collisions, 0);
    lanes.stop(Lane::Stop::kDrop);
  }
}

}  // namespace
}  // namespace tandem
