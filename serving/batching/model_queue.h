// The requests of one model that wait, and which of them leave together: a pure function of what is there and of the time. Not
// for several threads at once.
//
// A batch is formed from the front: the most urgent priority first, in the order of coming, while shapes are equal and rows fit.
// It is due when it is full, when the next request cannot join it, when it has a preferred size (the largest that can be made),
// or when its oldest request has waited for max_delay. So with max_delay 0 whatever waits leaves as soon as somebody asks, and
// batches grow with the load by themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "serving/batching/batching_options.h"
#include "serving/batching/queued_request.h"

namespace tandem {

class ModelQueue {
 public:
  // A request to be dropped, and why.
  using Dropped = std::vector<std::pair<QueuedPtr, std::exception_ptr>>;

  // `model` names the queue in errors.
  ModelQueue(std::string model, BatchingOptions options);

  // Throws Unavailable if the queue is full, InvalidArgument for a priority that the model does not have.
  void push(QueuedPtr request, Clock::TimePoint now);
  // Takes out what has waited too long, or moves it behind the others, as the policy says.
  Dropped sweep(Clock::TimePoint now);
  // Whether take() would give a batch.
  bool is_due(Clock::TimePoint now) const { return formed(now) > 0; }
  // The batch that is due, in the order of the queue; empty if none is. At most `most_rows` of it, but one request at least. Call
  // sweep() before.
  std::vector<QueuedPtr> take(Clock::TimePoint now, int64_t most_rows = INT64_MAX);
  std::vector<QueuedPtr> take_all();
  // When sweep() or take() may have something to do if no request comes before. A batch that is due now is no event.
  std::optional<Clock::TimePoint> next_event(Clock::TimePoint now) const;

  int64_t size() const { return size_; }
  int64_t rows() const { return rows_; }  // of all that wait
  const std::string& model() const { return model_; }
  const BatchingOptions& options() const { return options_; }

 private:
  struct Waiting {
    QueuedPtr request;
    std::optional<Clock::TimePoint> expires;  // by the policy
  };
  struct Level {
    std::deque<Waiting> in_time, delayed;
  };
  const QueuePolicy& policy_of(int64_t priority) const;
  size_t formed(Clock::TimePoint now) const;
  template <class Visit>
  void visit_in_order(Visit&& visit) const;
  std::exception_ptr refusal(const Waiting& item, Clock::TimePoint now, bool expires) const;
  void sweep_at_least(const Waiting& item);
  void sweep_level(int64_t priority, Level& level, Clock::TimePoint now, Dropped& dropped);

  std::string model_;
  BatchingOptions options_;
  std::map<int64_t, Level> levels_;  // by priority
  int64_t size_ = 0, rows_ = 0;
  std::optional<Clock::TimePoint> sweep_at_;  // nothing waits too long before
};

}  // namespace tandem
