// The dispatcher under a clock and lanes of the test's own, then with real threads.
#include "serving/batching/dispatcher.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "serving/batching/alarm.h"
#include "serving/batching/lane_workers.h"
#include "tests/serving/held_lanes.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

struct Outcome {
  std::vector<ErrorCode> drops;
};

struct TestRequest final : QueuedRequest {
  TestRequest(int id, Outcome& outcome) : id(id), outcome(outcome) {}
  void drop(const std::exception_ptr& reason) override {
    try {
      std::rethrow_exception(reason);
    } catch (const Error& error) {
      outcome.drops.push_back(error.code());
    }
  }
  int id;
  Outcome& outcome;
};

class DispatcherTest : public testing::Test {
 protected:
  BatchRunner note(std::chrono::milliseconds takes = 0ms) {
    return [this, takes](int, std::span<const QueuedPtr> batch, Clock::TimePoint) {
      std::vector<int> ids;
      for (const QueuedPtr& request : batch) ids.push_back(static_cast<const TestRequest&>(*request).id);
      batches.push_back(ids);
      clock.time += takes;
    };
  }
  QueuedPtr request(int id) { return std::make_shared<TestRequest>(id, outcome); }

  TestClock clock;
  HeldWorkers workers{2};
  std::optional<Clock::TimePoint> wake_at;
  Dispatcher dispatcher{workers, clock, [this](std::optional<Clock::TimePoint> time) { wake_at = time; }};
  std::vector<std::vector<int>> batches;
  Outcome outcome;
};

TEST_F(DispatcherTest, OneRequestWakesOneLane) {
  const auto queue = dispatcher.add("m", {.max_batch_size = 8}, note());
  queue->submit(request(1));
  ASSERT_EQ(workers.woken.size(), 1u);
  EXPECT_EQ(queue->queued(), 1);
  workers.run_all();
  EXPECT_THAT(batches, ElementsAre(ElementsAre(1)));
  EXPECT_FALSE(wake_at) << "nothing to be woken for";
  EXPECT_EQ(queue->queued(), 0);
}

TEST_F(DispatcherTest, BriefWorkIsDoneWhereItComes) {
  workers.lends = true;
  std::chrono::microseconds takes{60};
  const RunLater at_once = [](const std::function<void()>& work) { work(); };
  std::function<void()> meanwhile;
  const auto queue = dispatcher.add("m", {.max_batch_size = 8}, [&](int lane, std::span<const QueuedPtr> batch, Clock::TimePoint begun) {
    note()(lane, batch, begun);
    clock.time += takes;
    if (meanwhile) std::exchange(meanwhile, nullptr)();
  });
  const auto submit_after = [&](std::chrono::microseconds time, int id, bool here = true) {
    clock.time += time;
    const QueuedPtr one = request(id);
    one->here = here ? &at_once : nullptr;
    queue->submit(one);
  };
  submit_after(1ms, 1);
  EXPECT_EQ(workers.woken.size(), 1u) << "nothing is known of it yet";
  workers.run_all();
  submit_after(1ms, 2);
  EXPECT_TRUE(workers.woken.empty());
  EXPECT_THAT(batches, ElementsAre(ElementsAre(1), ElementsAre(2)));
  meanwhile = [&] {
    workers.lends = false;
    queue->submit(request(4));
    queue->submit(request(5));
    queue->submit(request(6));
  };
  submit_after(1ms, 3);
  EXPECT_THAT(batches.back(), ElementsAre(3)) << "one batch: the rest is the lanes'";
  EXPECT_EQ(workers.woken.size(), 2u) << "the other lane, and then this one";
  workers.run_all();
  EXPECT_THAT(batches.back(), ElementsAre(4, 5, 6));

  for (int id = 10; id < 60; id += 2) {  // as they come, some gather while one runs
    submit_after(10us, id);
    queue->submit(request(id + 1));
    workers.run_all();
  }
  workers.lends = true;
  submit_after(10us, 60);
  EXPECT_EQ(workers.woken.size(), 1u) << "it is asked too often";
  workers.run_all();
  submit_after(1s, 70, false);
  EXPECT_EQ(workers.woken.size(), 1u) << "its thread has no time";
  workers.run_all();
  takes = 2ms;
  submit_after(1s, 61);
  EXPECT_TRUE(workers.woken.empty());
  submit_after(1s, 62);
  EXPECT_EQ(workers.woken.size(), 1u) << "it takes too long";
  workers.run_all();
  EXPECT_THAT(outcome.drops, IsEmpty());
}

TEST_F(DispatcherTest, WhatComesAtOnceIsRunTogetherWhereItComes) {
  workers.lends = true;
  std::vector<std::function<void()>> put_off, put_off_elsewhere;
  const RunLater here = [&](std::function<void()> work) { put_off.push_back(std::move(work)); };
  const RunLater elsewhere = [&](std::function<void()> work) { put_off_elsewhere.push_back(std::move(work)); };
  const auto run_all = [](std::vector<std::function<void()>>& all) {
    for (const auto& work : std::exchange(all, {})) work();
  };
  const auto runner = [&](std::chrono::microseconds row) {
    return [&, row](int lane, std::span<const QueuedPtr> batch, Clock::TimePoint begun) {
      note()(lane, batch, begun);
      for (const QueuedPtr& one : batch) clock.time += row * one->rows;
    };
  };
  const auto queue = dispatcher.add("m", {.max_batch_size = 8}, runner(10us)), slow = dispatcher.add("slow", {.max_batch_size = 8}, runner(5ms));
  const auto submit = [&](Dispatcher::Queue& to, int id, const RunLater* later, int64_t rows = 1) {
    const QueuedPtr one = request(id);
    one->here = later;
    one->rows = rows;
    to.submit(one);
  };
  submit(*queue, 1, &here);
  submit(*slow, 2, &here);
  workers.run_all();  // what they take is known now
  batches.clear();

  for (int id = 10; id < 14; ++id) submit(*queue, id, &here);
  EXPECT_TRUE(workers.woken.empty());
  ASSERT_EQ(put_off.size(), 1u) << "the others go with the first";
  EXPECT_THAT(batches, IsEmpty());
  run_all(put_off);
  EXPECT_THAT(batches, ElementsAre(ElementsAre(10, 11, 12, 13)));

  submit(*queue, 20, &here);
  submit(*queue, 21, &elsewhere);
  EXPECT_EQ(put_off_elsewhere.size(), 1u) << "in the name of the other lane";
  run_all(put_off_elsewhere);
  EXPECT_THAT(batches.back(), ElementsAre(20, 21)) << "whoever comes first has all";
  run_all(put_off);
  EXPECT_TRUE(workers.woken.empty());

  submit(*queue, 30, &here);
  submit(*slow, 31, &here);
  EXPECT_EQ(workers.woken.size(), 1u) << "what is long is a lane's";
  workers.run_all();
  run_all(put_off);
  EXPECT_EQ(batches.size(), 4u);

  submit(*queue, 40, &here);
  submit(*queue, 41, nullptr, 7);
  batches.clear();
  run_all(put_off);
  EXPECT_THAT(batches, IsEmpty()) << "not brief any more";
  EXPECT_EQ(workers.woken.size(), 2u);
  workers.run_all();
  EXPECT_THAT(batches, ElementsAre(ElementsAre(40, 41)));
  EXPECT_THAT(outcome.drops, IsEmpty());
}

TEST_F(DispatcherTest, ARequestWithoutRowsIsAnswered) {
  const auto queue = dispatcher.add("m", {.max_batch_size = 8}, note());
  const QueuedPtr empty = request(1);
  empty->rows = 0;
  queue->submit(empty);
  workers.run_all();
  EXPECT_THAT(batches, ElementsAre(ElementsAre(1)));
}

TEST_F(DispatcherTest, WhatComesWhileLanesAreBusyLeavesTogether) {
  const auto queue = dispatcher.add("m", {.max_batch_size = 8}, note());
  for (int id = 1; id <= 5; ++id) queue->submit(request(id));
  EXPECT_EQ(workers.woken.size(), 2u) << "no more lanes than there are";
  workers.run_all();
  EXPECT_THAT(batches, ElementsAre(ElementsAre(1, 2, 3, 4, 5)));
}

TEST_F(DispatcherTest, ADelayedBatchLeavesWhenTheAlarmRings) {
  const auto queue = dispatcher.add("m", {.max_batch_size = 8, .max_delay = 3ms}, note());
  queue->submit(request(1));
  EXPECT_TRUE(workers.woken.empty());
  ASSERT_TRUE(wake_at);
  EXPECT_EQ(*wake_at, clock.time + 3ms);
  clock.time += 3ms;
  dispatcher.tick();
  workers.run_all();
  EXPECT_THAT(batches, ElementsAre(ElementsAre(1)));
}

TEST_F(DispatcherTest, TheModelThatIsBehindGoesNext) {
  const auto slow = dispatcher.add("slow", {}, note(100ms));
  const auto quick = dispatcher.add("quick", {}, note(10ms));
  for (int id = 1; id <= 3; ++id) slow->submit(request(id));
  for (int id = 11; id <= 14; ++id) quick->submit(request(id));
  workers.run_all();
  EXPECT_THAT(batches, ElementsAre(ElementsAre(1), ElementsAre(11), ElementsAre(12), ElementsAre(13), ElementsAre(14),
                                   ElementsAre(2), ElementsAre(3)));
}

TEST_F(DispatcherTest, WeightsShareTheTime) {
  const auto heavy = dispatcher.add("a", {}, note(10ms), 3);
  const auto light = dispatcher.add("b", {}, note(10ms), 1);
  for (int id = 1; id <= 6; ++id) heavy->submit(request(id));
  for (int id = 11; id <= 16; ++id) light->submit(request(id));
  workers.run_all();
  int of_heavy = 0;
  for (size_t i = 0; i < 8; ++i) of_heavy += batches[i][0] < 10;
  EXPECT_EQ(of_heavy, 6);
}

TEST_F(DispatcherTest, LongBatchesLeaveALaneWhileOthersAreInUse) {
  std::function<void()> while_slow_runs;
  const auto slow = dispatcher.add("slow", {}, [&](int lane, std::span<const QueuedPtr> batch, Clock::TimePoint begun) {
    note(100ms)(lane, batch, begun);
    if (while_slow_runs) std::exchange(while_slow_runs, nullptr)();
  });
  const auto quick = dispatcher.add("quick", {}, note(1ms));
  slow->submit(request(1));
  quick->submit(request(2));
  workers.run_all();  // now it is known how long they take
  batches.clear();
  slow->submit(request(3));
  slow->submit(request(4));
  while_slow_runs = [&] {
    quick->submit(request(5));
    auto other = std::move(workers.woken.back().second);
    workers.woken.pop_back();
    other();
    EXPECT_THAT(batches, ElementsAre(ElementsAre(3), ElementsAre(5))) << "the other lane is kept from request 4";
  };
  workers.run_all();
  EXPECT_THAT(batches, ElementsAre(ElementsAre(3), ElementsAre(5), ElementsAre(4)));
}

TEST_F(DispatcherTest, OneBatchAtATimeWhereOrderIsPreserved) {
  std::vector<int> seen;
  std::function<void()> on_run;
  const auto queue =
      dispatcher.add("m", {.preserve_ordering = true}, [&](int, std::span<const QueuedPtr> batch, Clock::TimePoint) {
        seen.push_back(static_cast<const TestRequest&>(*batch[0]).id);
        if (on_run) std::exchange(on_run, nullptr)();
      });
  queue->submit(request(1));
  queue->submit(request(2));
  ASSERT_EQ(workers.woken.size(), 2u);
  on_run = [&] {
    auto other = std::move(workers.woken.back().second);  // the second lane comes while the first runs
    workers.woken.pop_back();
    other();
    EXPECT_THAT(seen, ElementsAre(1));
  };
  workers.run_all();
  EXPECT_THAT(seen, ElementsAre(1, 2));
}

TEST_F(DispatcherTest, CancelledRequestsAreNotRun) {
  const auto queue = dispatcher.add("m", {.max_batch_size = 8}, note());
  const QueuedPtr first = request(1);
  queue->submit(first);
  queue->submit(request(2));
  first->cancel();
  workers.run_all();
  EXPECT_THAT(batches, ElementsAre(ElementsAre(2)));
  EXPECT_THAT(outcome.drops, ElementsAre(ErrorCode::kCancelled));
}

TEST_F(DispatcherTest, WorkThatNobodyWaitsForIsSavedAndTeachesNothing) {
  std::vector<QueuedPtr> cancel_at_half;
  const auto queue = dispatcher.add("m", {.max_batch_size = 8}, [&](int, std::span<const QueuedPtr>, Clock::TimePoint) {
    clock.time += 5ms;
    if (cancel_at_half.empty()) clock.time += 5ms;
    for (const QueuedPtr& request : cancel_at_half) request->cancel();  // which ends the run
  });
  queue->submit(request(1));
  workers.run_all();
  EXPECT_DOUBLE_EQ(queue->cost().seconds(1), 0.010);
  EXPECT_EQ(queue->saved_seconds(), 0);

  const QueuedPtr second = request(2);
  queue->submit(second);
  second->cancel();
  workers.run_all();
  EXPECT_NEAR(queue->saved_seconds(), 0.010, 1e-9) << "not run at all";

  cancel_at_half = {request(3)};
  queue->submit(cancel_at_half[0]);
  workers.run_all();
  EXPECT_NEAR(queue->saved_seconds(), 0.015, 1e-9) << "stopped half-way";
  EXPECT_DOUBLE_EQ(queue->cost().seconds(1), 0.010);
}

TEST_F(DispatcherTest, AQueueThatGoesDropsWhatWaits) {
  auto queue = dispatcher.add("m", {}, note());
  queue->submit(request(1));
  queue.reset();
  EXPECT_THAT(outcome.drops, ElementsAre(ErrorCode::kUnavailable));
  workers.run_all();
  EXPECT_THAT(batches, IsEmpty());
}

TEST_F(DispatcherTest, AfterStopNothingIsTaken) {
  const auto queue = dispatcher.add("m", {}, note());
  queue->submit(request(1));
  dispatcher.stop();
  EXPECT_THAT(outcome.drops, ElementsAre(ErrorCode::kUnavailable));
  EXPECT_THROW(queue->submit(request(2)), Error);
  workers.run_all();
  EXPECT_THAT(batches, IsEmpty());
}

TEST(AlarmThread, RingsAtTheTimeThatWasSetLast) {
  std::mutex mutex;
  std::condition_variable rung;
  std::vector<Clock::TimePoint> rings;
  Alarm alarm([&] {
    const std::lock_guard lock(mutex);
    rings.push_back(std::chrono::steady_clock::now());
    rung.notify_all();
  });
  const auto wait_for = [&](size_t count) {
    std::unique_lock lock(mutex);
    return rung.wait_for(lock, 30s, [&] { return rings.size() >= count; });
  };
  const Clock::TimePoint begin = std::chrono::steady_clock::now();
  alarm.set(begin + 1h);
  alarm.set(begin + 5ms);  // earlier than it sleeps
  ASSERT_TRUE(wait_for(1));
  EXPECT_GE(rings[0], begin + 5ms);
  // Far enough away that even a slow machine has set the second time before the first has come.
  const Clock::TimePoint second = std::chrono::steady_clock::now();
  alarm.set(second + 500ms);
  alarm.set(second + 550ms);  // later
  ASSERT_TRUE(wait_for(2));
  EXPECT_GE(rings[1], second + 550ms);
  const Clock::TimePoint third = std::chrono::steady_clock::now();
  alarm.set(third + 500ms);
  alarm.set(std::nullopt);
  alarm.set(third + 550ms);  // after it was taken back
  ASSERT_TRUE(wait_for(3));
  EXPECT_GE(rings[2], third + 550ms);
}

TEST(AlarmThread, TimesThatAreTakenBackWakeNobody) {
  Alarm alarm([] {});
  const auto switches = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw;
  };
  std::this_thread::sleep_for(1ms);
  const auto before = switches();
  for (int i = 0; i < 200; ++i) {
    alarm.set(std::chrono::steady_clock::now() + 1h);
    std::this_thread::sleep_for(100us);  // it would have gone to sleep again
    alarm.set(std::nullopt);
  }
  EXPECT_LT(switches() - before, 200 + 100) << "more than those of this thread";
}

// By lanes, and by the threads that bring requests: those run what is brief once they have brought all that came at once.
class DispatcherThreads : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(All, DispatcherThreads, testing::Bool(), [](const auto& info) { return info.param ? "WhereTheyCome" : "OnLanes"; });

TEST_P(DispatcherThreads, EveryRequestIsAnsweredOnce) {
  constexpr int kThreads = 3, kRequests = 2'000;
  struct Counted final : QueuedRequest {
    explicit Counted(std::atomic<int>& answered) : answered(answered) {}
    void drop(const std::exception_ptr&) override { ++answered; }
    std::atomic<int>& answered;
  };
  SteadyClock clock;
  LaneSet lanes({.lanes = 2, .threads = 1, .pin = false});
  LaneWorkers workers(lanes, GetParam());
  std::atomic<int> answered{0}, most{0};
  {
    std::optional<Alarm> alarm;
    Dispatcher dispatcher(workers, clock, [&](std::optional<Clock::TimePoint> time) { alarm->set(time); });
    alarm.emplace([&] { dispatcher.tick(); });
    const auto queue = dispatcher.add(
        "m", {.max_batch_size = 8, .max_delay = 50us, .queue_length = kThreads * kRequests},
        [&](int, std::span<const QueuedPtr> batch, Clock::TimePoint) {
          for (const QueuedPtr& request : batch) ++static_cast<const Counted&>(*request).answered;
          int before = most;
          while (static_cast<int>(batch.size()) > before && !most.compare_exchange_weak(before, static_cast<int>(batch.size()))) {
          }
        });
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&] {
        std::vector<std::function<void()>> put_off;
        const RunLater later = [&](std::function<void()> work) { put_off.push_back(std::move(work)); };
        for (int i = 0; i < kRequests; ++i) {
          auto request = std::make_shared<Counted>(answered);
          if (i % 7 == 0) request->cancel();
          if (GetParam()) request->here = &later;
          queue->submit(request);
          if (i % 64 == 0) std::this_thread::yield();
          if (i % 5 != 4 && i + 1 < kRequests) continue;
          for (const auto& work : std::exchange(put_off, {})) work();
        }
        EXPECT_TRUE(put_off.empty());
      });
    for (std::thread& thread : threads) thread.join();
    for (int i = 0; i < 10'000 && answered < kThreads * kRequests; ++i) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(answered, kThreads * kRequests);
    EXPECT_LE(most, 8);
    lanes.stop(Lane::Stop::kDrop);
    alarm.reset();
  }
}

}  // namespace
}  // namespace tandem
