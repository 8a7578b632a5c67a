// The queue under a clock and workers of the test's own: nothing here waits.
#include "serving/batching/scheduler.h"

#include <gmock/gmock.h>

#include <deque>

namespace tandem {
namespace {

using namespace std::chrono_literals;

class TestClock final : public Clock {
 public:
  TimePoint now() const override { return time; }
  TimePoint time{1h};
};

// Holds tasks until the test lets them run.
class HeldWorkers final : public Workers {
 public:
  void submit(std::function<void(int lane)> task, std::function<void(const Error&)> dropped) override {
    if (broken) throw std::runtime_error("stopped");
    tasks.push_back(std::move(task));
    drops.push_back(std::move(dropped));
  }
  void run_next(int lane = 0) {
    auto task = std::move(tasks.front());
    tasks.pop_front();
    drops.pop_front();
    task(lane);
  }
  std::deque<std::function<void(int lane)>> tasks;
  std::deque<std::function<void(const Error&)>> drops;
  bool broken = false;
};

struct Outcome {
  int runs = 0, drops = 0, lane = -1;
  Clock::TimePoint begun{};
  std::string reason;
  ErrorCode code = ErrorCode::kInternal;
};

Work work_of(Outcome& outcome, std::optional<Clock::TimePoint> deadline = {}) {
  Work work;
  work.deadline = deadline;
  work.run = [&](int lane, Clock::TimePoint begun) {
    ++outcome.runs;
    outcome.lane = lane;
    outcome.begun = begun;
  };
  work.drop = [&](const Error& error) {
    ++outcome.drops;
    outcome.reason = error.what();
    outcome.code = error.code();
  };
  return work;
}

class SchedulerTest : public testing::Test {
 protected:
  TestClock clock;
  HeldWorkers workers;
  ImmediateScheduler scheduler{"m", 2, workers, clock};
};

TEST_F(SchedulerTest, RunsEachRequestOnceOnTheLaneThatTakesIt) {
  Outcome a;
  scheduler.submit(work_of(a));
  EXPECT_EQ(scheduler.queued(), 1);
  clock.time += 5ms;
  workers.run_next(3);
  EXPECT_EQ(a.runs, 1);
  EXPECT_EQ(a.lane, 3);
  EXPECT_EQ(a.begun, clock.time);
  EXPECT_EQ(scheduler.queued(), 0);
}

TEST_F(SchedulerTest, AFullQueueRefusesAndRecovers) {
  Outcome a, b, c;
  scheduler.submit(work_of(a));
  scheduler.submit(work_of(b));
  try {
    scheduler.submit(work_of(c));
    ADD_FAILURE() << "the third of two was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), testing::HasSubstr("Exceeds maximum queue size for 'm'"));
  }
  EXPECT_EQ(scheduler.queued(), 2);
  workers.run_next();
  scheduler.submit(work_of(c));
  workers.run_next();
  workers.run_next();
  EXPECT_EQ(a.runs + b.runs + c.runs, 3);
}

TEST_F(SchedulerTest, PastItsDeadlineARequestIsDroppedWithoutRunning) {
  Outcome late, just;
  scheduler.submit(work_of(late, clock.now() + 10ms));
  scheduler.submit(work_of(just, clock.now() + 11ms));
  clock.time += 11ms;
  workers.run_next();
  workers.run_next();
  EXPECT_EQ(late.runs, 0);
  EXPECT_EQ(late.drops, 1);
  EXPECT_EQ(late.code, ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(late.reason, testing::HasSubstr("Request timeout expired"));
  EXPECT_EQ(just.runs, 1);
}

TEST_F(SchedulerTest, WorkThatTheLanesDropIsToldSo) {
  Outcome a;
  scheduler.submit(work_of(a));
  workers.drops.front()(Error(ErrorCode::kCancelled, "the lane stops"));
  EXPECT_EQ(a.runs, 0);
  EXPECT_EQ(a.drops, 1);
  EXPECT_EQ(a.code, ErrorCode::kCancelled);
  EXPECT_EQ(scheduler.queued(), 0);
}

TEST_F(SchedulerTest, WorkersThatRefuseLeaveTheQueueAsItWas) {
  Outcome a;
  workers.broken = true;
  EXPECT_THROW(scheduler.submit(work_of(a)), std::runtime_error);
  EXPECT_EQ(scheduler.queued(), 0);
}

}  // namespace
}  // namespace tandem
