#include <memory>

#include "serving/batching/scheduler.h"

namespace tandem {

ImmediateScheduler::ImmediateScheduler(std::string model, int64_t queue_length, Workers& workers, const Clock& clock)
    : model_(std::move(model)), queue_length_(queue_length), workers_(workers), clock_(clock) {}

void ImmediateScheduler::submit(Work work) {
  if (queued_.fetch_add(1, std::memory_order_relaxed) >= queue_length_) {
    queued_.fetch_sub(1, std::memory_order_relaxed);
    fail(ErrorCode::kUnavailable, "Exceeds maximum queue size for '" + model_ + "'", {queue_length_});
  }
  work.queued = clock_.now();
  try {
    const auto shared = std::make_shared<Work>(std::move(work));
    workers_.submit([this, shared](int lane) { begin(*shared, lane); },
                    [this, shared](const Error& reason) {
                      queued_.fetch_sub(1, std::memory_order_relaxed);
                      shared->drop(reason);
                    });
  } catch (...) {
    queued_.fetch_sub(1, std::memory_order_relaxed);
    throw;
  }
}

void ImmediateScheduler::begin(Work& work, int lane) {
  queued_.fetch_sub(1, std::memory_order_relaxed);
  const Clock::TimePoint now = clock_.now();
  if (work.deadline && now > *work.deadline)
    work.drop(Error(ErrorCode::kDeadlineExceeded, "Request timeout expired before '" + model_ + "' could run it"));
  else
    work.run(lane, now);
}

}  // namespace tandem
