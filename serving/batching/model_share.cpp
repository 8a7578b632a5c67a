#include "serving/batching/model_share.h"

#include <algorithm>
#include <cmath>

namespace tandem {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr double kNewest = 0.2;  // of the average of a model's batches
constexpr std::chrono::microseconds kHop{100};  // for a lane to wake

void follow(double& average, double newest) { average = average == 0 ? newest : average + kNewest * (newest - average); }

Clock::TimePoint::duration duration_of(double seconds) { return std::chrono::duration_cast<Clock::TimePoint::duration>(Seconds(seconds)); }

}  // namespace

ModelShare::ModelShare(ModelQueue model_queue, BatchRunner runner, double weight)
    : queue(std::move(model_queue)), run(std::move(runner)), weight_(weight) {
  if (queue.options().slo) slo_.emplace(*queue.options().slo, queue.options().max_batch_size);
}

SloController::Ahead ModelShare::ahead(Clock::TimePoint now, std::span<const Clock::TimePoint> free_at) {
  until_free_.clear();
  for (size_t lane = 0; lane < free_at.size(); lane += static_cast<size_t>(lanes())) {
    const auto group = free_at.subspan(lane, static_cast<size_t>(lanes()));
    until_free_.push_back(std::max(0.0, Seconds(*std::ranges::max_element(group) - now).count()));
  }
  std::ranges::sort(until_free_);
  return {queue.rows(), until_free_};
}

std::optional<Overloaded> ModelShare::overload(Clock::TimePoint now, std::span<const Clock::TimePoint> free_at) {
  return slo_ ? overload(ahead(now, free_at)) : std::nullopt;
}

std::optional<Overloaded> ModelShare::overload(const SloController::Ahead& ahead) {
  if (slo_->admits(cost, ahead)) return std::nullopt;
  return Overloaded("'" + queue.model() + "' is overloaded: the answer would miss " + to_string(slo_->slo()),
                    std::chrono::milliseconds(static_cast<int64_t>(std::ceil(slo_->wait(cost, ahead) * 1e3))));
}

void ModelShare::push(QueuedPtr request, Clock::TimePoint now, std::span<const Clock::TimePoint> free_at) {
  if (slo_) {
    const SloController::Ahead ahead = this->ahead(now, free_at);
    if (const auto refusal = overload(ahead)) throw *refusal;
    request->expected_wait = slo_->wait(cost, ahead);
    // Even where the target is out of reach, what finds a free lane is run.
    const bool finds_a_lane = ahead.rows == 0 && !until_free_.empty() && until_free_[0] <= 0;
    if (cost.is_known() && !finds_a_lane) request->begin_by = now + duration_of(slo_->slack(cost)) + kHop;
  }
  queue.push(std::move(request), now);
  follow(interval_, std::min(Seconds(now - last_used).count(), 2 * kBrief));
  last_used = now;
}

// What fits into the target, or into max_batch_time; one request as long as nothing is known.
int64_t ModelShare::most_rows() {
  if (slo_) return slo_->batch(cost);
  const double limit = Seconds(queue.options().max_batch_time).count();
  if (limit == 0) return INT64_MAX;
  return row_seconds_ > 0 ? static_cast<int64_t>(std::min(limit / row_seconds_, 1e9)) : 1;
}

std::vector<QueuedPtr> ModelShare::take(Clock::TimePoint now) {
  std::vector<QueuedPtr> batch = queue.take(now, most_rows());
  if (slo_)
    for (const QueuedPtr& request : batch) slo_->began(request->expected_wait, Seconds(now - request->queued).count());
  return batch;
}

void ModelShare::account(int64_t rows, Clock::TimePoint begun, Clock::TimePoint ended, std::span<const Clock::TimePoint> queued) {
  const double seconds = Seconds(ended - begun).count();
  virtual_time += seconds * lanes() / weight_;
  if (rows == 0) return;
  follow(seconds_, seconds);
  follow(row_seconds_, seconds / static_cast<double>(rows));
  cost.observe(rows, seconds);
  if (slo_)
    for (const Clock::TimePoint since : queued) slo_->answered(Seconds(ended - since).count());
}

}  // namespace tandem
