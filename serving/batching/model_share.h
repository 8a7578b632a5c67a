// One model as the dispatcher sees it: what waits, what its batches take, and its share of the lanes.
//
// Under the dispatcher's lock; a pure function of what it is told.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "serving/batching/batch_cost.h"
#include "serving/batching/model_queue.h"
#include "serving/batching/overloaded.h"
#include "serving/batching/slo_controller.h"

namespace tandem {

// Runs a batch on the lane's thread, or in its place (Workers::lend); must not throw.
using BatchRunner = std::function<void(int lane, std::span<const QueuedPtr> batch, Clock::TimePoint begun)>;

class ModelShare {
 public:
  ModelShare(ModelQueue queue, BatchRunner run, double weight);

  // What a request that comes now is refused with; nothing if it will be answered within the model's target, or there is none.
  std::optional<Overloaded> overload(Clock::TimePoint now, std::span<const Clock::TimePoint> free_at);
  // Queues a request, or throws Overloaded if it would miss the model's target. `free_at`: when each lane is expected to be free.
  void push(QueuedPtr request, Clock::TimePoint now, std::span<const Clock::TimePoint> free_at);
  // The batch that is due.
  std::vector<QueuedPtr> take(Clock::TimePoint now);
  // A batch of so many rows was run; 0 if nobody wants it any more. `queued`: when its requests came, if it has a target.
  void account(int64_t rows, Clock::TimePoint begun, Clock::TimePoint ended, std::span<const Clock::TimePoint> queued);

  bool has_target() const { return slo_.has_value(); }
  // Of a batch, together.
  int lanes() const { return queue.options().lanes_per_batch; }
  bool may_run() const { return running == 0 || !queue.options().preserve_ordering; }
  // Of its batches of late, averaged; 0: none was run.
  double batch_seconds() const { return seconds_; }
  // Whether what waits is run in less time than it takes to hand it over: each request in less than its bytes take to be read and answered, or the only one in
  // less than a lane takes to wake, if requests come so far apart that none would gather meanwhile.
  bool is_brief() const {
    if (seconds_ <= 0 || lanes() > 1) return false;
    const bool is_tiny = row_seconds_ * static_cast<double>(queue.rows()) < kTiny * static_cast<double>(queue.size());
    return is_tiny || (queue.size() == 1 && seconds_ < kBrief && interval_ > seconds_);
  }

  ModelQueue queue;
  const BatchRunner run;
  double virtual_time = 0;
  int running = 0;               // batches, now
  Clock::TimePoint last_used{};  // a request came
  BatchCost cost;
  double saved_seconds = 0;  // of batches that were not run, or not to their end, because nobody waited for them

 private:
  static constexpr double kBrief = 100e-6, kTiny = 25e-6;

  int64_t most_rows();
  SloController::Ahead ahead(Clock::TimePoint now, std::span<const Clock::TimePoint> free_at);
  std::optional<Overloaded> overload(const SloController::Ahead& ahead);

  const double weight_;
  std::optional<SloController> slo_;
  double row_seconds_ = 0;  // of a row of a batch
  double seconds_ = 0;
  double interval_ = 0;     // between requests
  std::vector<double> until_free_;  // of lanes, or of those that a batch has together, ascending; here to be allocated once
};

}  // namespace tandem
