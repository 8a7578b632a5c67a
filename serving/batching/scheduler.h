// Between the front ends and the lanes: a bounded queue for each model and the rule by which requests leave it.
//
// The one rule so far is ImmediateScheduler: each request runs alone, in the order of its coming, as soon as a lane is free. A
// dynamic batcher is another Scheduler: it sees the same Work, whose `rows` may be put together. Tensors are none of this
// folder's business.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>

#include "kernels/base/error.h"
#include "serving/batching/clock.h"

namespace tandem {

// One request on its way. Exactly one of `run` and `drop` is called, once, on a lane's thread or (drop) on the one that stops the
// lanes.
struct Work {
  int64_t rows = 1;
  Clock::TimePoint queued{};                 // when submit took it
  std::optional<Clock::TimePoint> deadline;  // to be begun by
  std::function<void(int lane, Clock::TimePoint begun)> run;
  std::function<void(const Error& reason)> drop;
};

// Where work is done: the lanes, or a test's stand-in.
class Workers {
 public:
  virtual ~Workers() = default;
  // Calls `task` on a lane, or `dropped` if the lanes stop before its turn. Throws Unavailable, and calls neither, if they have
  // stopped. `task` must not throw.
  virtual void submit(std::function<void(int lane)> task, std::function<void(const Error&)> dropped) = 0;
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;
  // Throws Unavailable if the queue is full; `work` is then untouched by any other thread.
  virtual void submit(Work work) = 0;
  // Taken and not yet begun.
  virtual int64_t queued() const = 0;
};

class ImmediateScheduler final : public Scheduler {
 public:
  // `model` names the queue in errors. Must outlive what it has submitted, as must `workers` and `clock`.
  ImmediateScheduler(std::string model, int64_t queue_length, Workers& workers, const Clock& clock);

  void submit(Work work) override;
  int64_t queued() const override { return queued_.load(std::memory_order_relaxed); }

 private:
  void begin(Work& work, int lane);

  std::string model_;
  int64_t queue_length_;
  Workers& workers_;
  const Clock& clock_;
  std::atomic<int64_t> queued_{0};
};

}  // namespace tandem
