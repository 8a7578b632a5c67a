// A lane: one thread that owns an OpenMP team and runs the tasks of its queue one after the other. Other threads never compute.
//
// Each thread that meets a parallel region gets a team of its own in libgomp, so compute on request threads would mean (requests
// x cores) threads, and a mutex around it leaves the waiters' teams spinning. A lane with nothing to do sleeps outside any
// parallel region.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "runtime/device/task.h"

namespace tandem {

struct LaneOptions {
  int threads = 1;               // of the team, the owner thread among them
  std::vector<int> cpus = {};    // they are pinned to these; empty: wherever the creating thread may run
  size_t queue_capacity = 1024;  // tasks that wait; more are refused
  std::string name = "lane";     // of the thread too, as far as 15 characters go
};

class Lane {
 public:
  enum class Stop {
    kDrain,  // run what is queued
    kDrop,   // fail what is queued with Cancelled
  };

  // Throws InvalidArgument for options that make no sense, Unavailable if no thread can be started or pinned.
  explicit Lane(LaneOptions options);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane();  // drops

  const LaneOptions& options() const { return options_; }
  int threads() const { return options_.threads; }

  // Queues the task. Throws Unavailable if the queue is full or the lane stops; the task is then not run nor told.
  void submit(Task task);
  // The same with a future of the result of `run`, which also gives what it threw.
  template <class Run>
  auto call(Run run) {
    using Result = std::invoke_result_t<Run&>;
    auto promise = std::make_shared<std::promise<Result>>();
    std::future<Result> future = promise->get_future();
    submit(Task(
        [promise, run = std::move(run)]() mutable {
          if constexpr (std::is_void_v<Result>) {
            run();
            promise->set_value();
          } else {
            promise->set_value(run());
          }
        },
        [promise](const Error& error) { promise->set_exception(std::make_exception_ptr(error)); }));
    return future;
  }

  // Tasks that wait or run.
  size_t load() const;
  // Takes no more tasks, deals with the queued ones and ends the thread; the running one is finished. Not from a task of this
  // lane. Again: no-op.
  void stop(Stop how);

 private:
  void prepare_thread() const;
  void work(std::promise<void> started);
  void run_one(Task task) const noexcept;

  LaneOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> queue_;
  bool running_ = false, stopping_ = false;
  std::mutex stop_mutex_;  // one thread joins
  std::thread thread_;
};

struct LaneSetOptions {
  int lanes = 1;
  int threads = 1;  // of each
  size_t queue_capacity = 1024;
  bool pin = true;
};

// Lanes of equal width that share the work.
class LaneSet {
 public:
  // Throws InvalidArgument if lanes x threads is more than the process may compute with (allowed_cpus().threads), naming the
  // figures.
  explicit LaneSet(const LaneSetOptions& options);

  size_t size() const { return lanes_.size(); }
  Lane& operator[](size_t index) { return *lanes_[index]; }
  // The lane with the fewest tasks, the first of them.
  Lane& least_loaded();
  void stop(Lane::Stop how);

 private:
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace tandem
