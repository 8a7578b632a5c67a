#include "runtime/device/lane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <set>

#include "runtime/device/affinity.h"
#include "runtime/device/topology.h"

namespace tandem {
namespace {

using testing::HasSubstr;

ErrorCode code_of(std::future<void> future) {
  try {
    future.get();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

TEST(Lane, RunsTasksInOrderOnOneThread) {
  Lane lane({});
  std::vector<int> order;
  std::set<std::thread::id> threads;
  for (int i = 0; i < 100; ++i)
    lane.submit(Task([&, i] {
      order.push_back(i);
      threads.insert(std::this_thread::get_id());
    }));
  lane.call([] {}).get();
  EXPECT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(threads.size(), 1u);
  EXPECT_EQ(threads.count(std::this_thread::get_id()), 0u);
}

TEST(Lane, GivesResultsAndTakesMoveOnlyWork) {
  Lane lane({});
  auto owned = std::make_unique<int>(42);
  EXPECT_EQ(lane.call([owned = std::move(owned)] { return *owned; }).get(), 42);
}

TEST(Lane, ExceptionsAreToldOnceAndDoNotEndIt) {
  Lane lane({});
  EXPECT_EQ(code_of(lane.call([] { throw Error(ErrorCode::kNotFound, "x"); })), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(lane.call([] { throw std::bad_alloc(); })), ErrorCode::kOutOfMemory);
  EXPECT_EQ(code_of(lane.call([] { throw std::runtime_error("x"); })), ErrorCode::kInternal);
  EXPECT_EQ(code_of(lane.call([] { throw 7; })), ErrorCode::kInternal);
  lane.submit(Task([] { throw 7; }));                                                           // nobody to tell
  lane.submit(Task([] { throw 7; }, [](const Error&) { throw std::runtime_error("again"); }));  // a teller that throws
  EXPECT_EQ(lane.call([] { return 1; }).get(), 1);
}

// Holds a lane in a task until released.
struct Hold {
  std::latch entered{1}, release{1};
  void in(Lane& lane) {
    lane.submit(Task([this] {
      entered.count_down();
      release.wait();
    }));
    entered.wait();
  }
};

TEST(Lane, AFullQueueRefuses) {
  Hold hold;
  Lane lane({.threads = 1, .cpus = {}, .queue_capacity = 2, .name = "small"});
  hold.in(lane);
  lane.submit(Task([] {}));
  lane.submit(Task([] {}));
  EXPECT_EQ(lane.load(), 3u);
  try {
    lane.submit(Task([] {}));
    ADD_FAILURE() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("queue of the lane is full: small, 2"));
  }
  hold.release.count_down();
  lane.stop(Lane::Stop::kDrain);
  EXPECT_EQ(lane.load(), 0u);
}

TEST(Lane, DrainRunsAndDropCancelsWhatIsQueued) {
  for (const Lane::Stop how : {Lane::Stop::kDrain, Lane::Stop::kDrop}) {
    Hold hold;
    Lane lane({});
    hold.in(lane);
    std::future<void> queued = lane.call([] {});
    std::thread stopper([&] { lane.stop(how); });
    if (how == Lane::Stop::kDrop) {
      EXPECT_EQ(code_of(std::move(queued)), ErrorCode::kCancelled);  // told while another task still runs
    }
    hold.release.count_down();
    stopper.join();
    if (how == Lane::Stop::kDrain) queued.get();
    EXPECT_THROW(lane.submit(Task([] {})), Error);
    lane.stop(how);
  }
}

TEST(Lane, TasksMaySubmitTasks) {
  Lane lane({});
  std::promise<int> promise;
  lane.submit(Task([&] { lane.submit(Task([&] { promise.set_value(3); })); }));
  EXPECT_EQ(promise.get_future().get(), 3);
}

TEST(Lane, ItsTeamHasItsWidthAndItsProcessors) {
  const std::vector<int> cpus = allowed_cpus().cpus;
  Lane lane({.threads = 2, .cpus = {cpus.back()}, .queue_capacity = 8, .name = "pinned"});
  std::atomic<int> members = 0, elsewhere = 0, nested = 0;
  lane.call([&] {
        EXPECT_EQ(omp_get_max_threads(), 2);
#pragma omp parallel
        {
          ++members;
          if (thread_cpus() != std::vector<int>{cpus.back()}) ++elsewhere;
#pragma omp parallel num_threads(4)
          ++nested;
        }
      })
      .get();
  EXPECT_EQ(members, 2);
  EXPECT_EQ(elsewhere, 0);
  EXPECT_EQ(nested, 2);  // inner regions have one thread
}

TEST(Lane, WrongOptions) {
  EXPECT_THROW(Lane({.threads = 0, .cpus = {}, .queue_capacity = 1, .name = "x"}), Error);
  EXPECT_THROW(Lane({.threads = 1, .cpus = {}, .queue_capacity = 0, .name = "x"}), Error);
  EXPECT_THROW(Lane({.threads = 1, .cpus = {8191}, .queue_capacity = 1, .name = "x"}), Error);
}

TEST(LaneSet, NeverWiderThanTheProcessMayBe) {
  const int allowed = allowed_cpus().threads;
  for (int lanes = 1; lanes <= allowed + 1; ++lanes)
    for (int threads = 1; threads <= allowed + 1; ++threads) {
      const LaneSetOptions options{.lanes = lanes, .threads = threads, .queue_capacity = 8, .pin = true};
      if (lanes * threads > allowed) {
        EXPECT_THROW(LaneSet{options}, Error) << lanes << " x " << threads;
        continue;
      }
      LaneSet set(options);
      std::set<int> used;
      size_t sum = 0;
      for (size_t lane = 0; lane < set.size(); ++lane) {
        const std::vector<int> cpus = set[lane].call([] { return thread_cpus(); }).get();
        EXPECT_GE(cpus.size(), static_cast<size_t>(threads));
        used.insert(cpus.begin(), cpus.end());
        sum += cpus.size();
      }
      EXPECT_EQ(used.size(), sum) << "lanes share processors";
    }
}

TEST(LaneSet, TheLeastLoadedTakesTheTask) {
  if (allowed_cpus().threads < 2) GTEST_SKIP() << "one processor only";
  LaneSet set({.lanes = 2, .threads = 1, .queue_capacity = 8, .pin = false});
  EXPECT_EQ(&set.least_loaded(), &set[0]);
  Hold hold;
  hold.in(set[0]);
  EXPECT_EQ(&set.least_loaded(), &set[1]);
  hold.release.count_down();
  set.stop(Lane::Stop::kDrain);
}

}  // namespace
}  // namespace tandem
