// A request as a queue sees it. What its tensors hold is none of this folder's business.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/base/error.h"
#include "serving/batching/clock.h"
#include "serving/batching/run_later.h"

namespace tandem {

// Exactly one of these happens to a queued request, once: it is in a batch that is run, or drop() is called (on a lane's thread,
// on that of the alarm, or on the one that stops the dispatcher).
class QueuedRequest {
 public:
  virtual ~QueuedRequest() = default;
  virtual void drop(const std::exception_ptr& reason) = 0;  // an Error

  // Any thread: the client does not want the answer any more.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  int64_t rows = 1;
  std::vector<int64_t> shape_class;          // requests run together if theirs are equal
  int64_t priority = 0;                      // 0: the model's default
  std::chrono::microseconds timeout{0};      // asked for, to wait in the queue; 0: none
  std::optional<Clock::TimePoint> deadline;  // to be begun by, whatever the model's policy is
  const RunLater* here = nullptr;            // of the thread that brings it, if that has time to run what is brief
  Clock::TimePoint queued{};                 // set by the queue

  // Set by the dispatcher, for models with a target: when it is refused if it was not begun, and how long it is expected to wait.
  std::optional<Clock::TimePoint> begin_by;
  double expected_wait = 0;  // seconds

 private:
  std::atomic<bool> cancelled_{false};
};

using QueuedPtr = std::shared_ptr<QueuedRequest>;

}  // namespace tandem
