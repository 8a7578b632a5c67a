#include "serving/batching/model_queue.h"

#include <algorithm>

#include "serving/batching/overloaded.h"

namespace tandem {
namespace {

using TimePoint = Clock::TimePoint;

constexpr std::chrono::milliseconds kRetryAfter{1'000};  // of a request that was taken and then could not be begun in time

void lower(std::optional<TimePoint>& least, const std::optional<TimePoint>& time) {
  if (time && (!least || *time < *least)) least = time;
}

}  // namespace

ModelQueue::ModelQueue(std::string model, BatchingOptions options) : model_(std::move(model)), options_(std::move(options)) {
  require(options_.max_batch_size >= 1, "a batch has at least one row", options_.max_batch_size);
  std::ranges::sort(options_.preferred_sizes);
}

const QueuePolicy& ModelQueue::policy_of(int64_t priority) const {
  const auto own = options_.priority_policies.find(priority);
  return own == options_.priority_policies.end() ? options_.policy : own->second;
}

void ModelQueue::push(QueuedPtr request, TimePoint now) {
  const int64_t levels = options_.priority_levels, asked = request->priority;
  // A model without levels takes any number and makes nothing of it, as Triton does.
  require(levels == 0 || (asked >= 0 && asked <= levels),
          "priority of a request to '" + model_ + "' must be 0 (the default) or 1 to " + std::to_string(levels), asked);
  const int64_t priority = levels == 0 ? 0 : asked > 0 ? asked : options_.default_priority;
  const QueuePolicy& policy = policy_of(priority);
  Level& level = levels_[priority];
  const auto waiting = static_cast<int64_t>(level.in_time.size() + level.delayed.size());
  check(size_ < options_.queue_length && (policy.max_size == 0 || waiting < policy.max_size), ErrorCode::kUnavailable,
        "Exceeds maximum queue size for '" + model_ + "' (the server's --queue-length, or max_queue_size of its configuration)",
        policy.max_size > 0 ? std::min(policy.max_size, options_.queue_length) : options_.queue_length);
  std::chrono::microseconds timeout = policy.timeout;
  if (policy.allow_override && request->timeout.count() > 0 && (timeout.count() == 0 || request->timeout < timeout))
    timeout = request->timeout;
  request->queued = now;
  Waiting item{std::move(request), {}};
  if (timeout.count() > 0) item.expires = now + timeout;
  sweep_at_least(item);
  rows_ += item.request->rows;
  level.in_time.push_back(std::move(item));
  ++size_;
}

// There is something to sweep when the item's times have passed.
void ModelQueue::sweep_at_least(const Waiting& item) {
  lower(sweep_at_, item.expires);
  lower(sweep_at_, item.request->deadline);
  lower(sweep_at_, item.request->begin_by);
}

// What is said of a request that is not to be run; null if it still is.
std::exception_ptr ModelQueue::refusal(const Waiting& item, TimePoint now, bool expires) const {
  if (item.request->deadline && now >= *item.request->deadline)
    return std::make_exception_ptr(Error(ErrorCode::kDeadlineExceeded, "Request timeout expired before '" + model_ + "' could run it"));
  if (item.request->begin_by && now >= *item.request->begin_by)
    return std::make_exception_ptr(Overloaded(
        "'" + model_ + "' is overloaded: the answer would miss " + (options_.slo ? to_string(*options_.slo) : "its target"), kRetryAfter));
  if (expires && item.expires && now >= *item.expires)
    return std::make_exception_ptr(Error(ErrorCode::kUnavailable, "Request timeout expired: it waited too long for '" + model_ + "'"));
  return nullptr;
}

void ModelQueue::sweep_level(int64_t priority, Level& level, TimePoint now, Dropped& dropped) {
  const bool delays = policy_of(priority).on_timeout == QueuePolicy::OnTimeout::kDelay;
  Level kept;
  for (Waiting& item : level.delayed)
    if (const auto why = refusal(item, now, false))
      dropped.emplace_back(std::move(item.request), why);
    else
      kept.delayed.push_back(std::move(item));
  for (Waiting& item : level.in_time) {
    if (const auto why = refusal(item, now, !delays)) {
      dropped.emplace_back(std::move(item.request), why);
    } else {
      const bool late = item.expires && now >= *item.expires;
      if (late) item.expires.reset();
      (late ? kept.delayed : kept.in_time).push_back(std::move(item));
    }
  }
  level = std::move(kept);
  for (const auto* queue : {&level.in_time, &level.delayed})
    for (const Waiting& item : *queue) sweep_at_least(item);
}

ModelQueue::Dropped ModelQueue::sweep(TimePoint now) {
  Dropped dropped;
  if (!sweep_at_ || now < *sweep_at_) return dropped;
  sweep_at_.reset();
  for (auto& [priority, level] : levels_) sweep_level(priority, level, now, dropped);
  size_ -= static_cast<int64_t>(dropped.size());
  for (const auto& [request, why] : dropped) rows_ -= request->rows;
  return dropped;
}

// Calls visit(request) in the order in which requests leave, until it gives false.
template <class Visit>
void ModelQueue::visit_in_order(Visit&& visit) const {
  for (const auto& [priority, level] : levels_)
    for (const auto* queue : {&level.in_time, &level.delayed})
      for (const Waiting& item : *queue)
        if (!visit(*item.request)) return;
}

// How many requests the batch has that is due; 0 if none is.
size_t ModelQueue::formed(TimePoint now) const {
  size_t count = 0, preferred = 0;
  int64_t rows = 0;
  bool closed = false;
  const QueuedRequest* first = nullptr;
  TimePoint oldest = now;
  visit_in_order([&](const QueuedRequest& request) {
    if (first && (rows + request.rows > options_.max_batch_size || request.shape_class != first->shape_class)) {
      closed = true;
      return false;
    }
    if (!first) first = &request;
    oldest = std::min(oldest, request.queued);
    rows += request.rows;
    ++count;
    if (std::ranges::binary_search(options_.preferred_sizes, rows)) preferred = count;
    closed = rows >= options_.max_batch_size;
    return !closed;
  });
  if (closed && rows >= options_.max_batch_size) return count;
  if (preferred > 0) return preferred;
  return closed || (count > 0 && now - oldest >= options_.max_delay) ? count : 0;
}

std::vector<QueuedPtr> ModelQueue::take(TimePoint now, int64_t most_rows) {
  std::vector<QueuedPtr> batch;
  size_t left = formed(now);
  int64_t rows = 0;
  for (auto& [priority, level] : levels_)
    for (auto* queue : {&level.in_time, &level.delayed})
      for (; left > 0 && !queue->empty(); --left) {
        rows += queue->front().request->rows;
        if (rows > most_rows && !batch.empty()) {
          left = 1;  // none after this one, which stays
          continue;
        }
        batch.push_back(std::move(queue->front().request));
        queue->pop_front();
      }
  size_ -= static_cast<int64_t>(batch.size());
  for (const QueuedPtr& request : batch) rows_ -= request->rows;
  return batch;
}

std::vector<QueuedPtr> ModelQueue::take_all() {
  std::vector<QueuedPtr> all;
  for (auto& [priority, level] : levels_)
    for (auto* queue : {&level.in_time, &level.delayed})
      for (Waiting& item : *queue) all.push_back(std::move(item.request));
  levels_.clear();
  size_ = rows_ = 0;
  return all;
}

std::optional<TimePoint> ModelQueue::next_event(TimePoint now) const {
  if (size_ == 0) return std::nullopt;
  std::optional<TimePoint> event = sweep_at_;
  if (is_due(now)) return event;
  TimePoint oldest = now;  // of few: more than a batch would be due
  visit_in_order([&](const QueuedRequest& request) {
    oldest = std::min(oldest, request.queued);
    return true;
  });
  lower(event, oldest + options_.max_delay);
  return event;
}

}  // namespace tandem
