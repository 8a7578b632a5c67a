#include "serving/batching/slo_controller.h"

#include <algorithm>
#include <cmath>

namespace tandem {
namespace {

constexpr int64_t kLook = 64;           // calls between two choices of a batch
constexpr double kWorthMore = 1.02;     // rows a second that a larger batch must gain
constexpr int64_t kWindow = 500;        // answers between two looks at how many were late
constexpr double kDown = 0.9, kUp = 0.01, kLeast = 0.4, kMost = 0.95;
constexpr double kNewest = 0.05, kSlowest = 8;

}  // namespace

// Standard deviations above the mean that a quantile of a normal distribution lies.
double SloController::deviations() const {
  if (slo_.quantile >= 0.999) return 3.09;
  if (slo_.quantile >= 0.99) return 2.33;
  if (slo_.quantile >= 0.95) return 1.64;
  return slo_.quantile >= 0.9 ? 1.28 : 0;
}

int64_t SloController::batch(const BatchCost& cost) {
  if (!cost.is_known()) return 1;
  if (batch_ > 0 && until_next_-- > 0) return batch_;
  until_next_ = kLook;
  batch_ = 1;
  double best = 1 / cost.seconds(1);
  const int64_t most = std::min(max_batch_, cost.largest());  // larger ones are taken to gain nothing
  for (int64_t rows = 2; rows <= most && 2 * cost.seconds(rows, deviations()) <= budget(); ++rows) {
    const double rate = static_cast<double>(rows) / cost.seconds(rows);
    if (rate < best * kWorthMore) continue;
    best = rate;
    batch_ = rows;
  }
  // Where the largest batches known are the fastest, larger ones are tried.
  const int64_t larger = std::min(2 * cost.largest(), max_batch_);
  if (batch_ >= cost.largest() && 2 * cost.seconds(larger, deviations()) <= budget()) batch_ = std::max(batch_, larger);
  return batch_;
}

double SloController::wait(const BatchCost& cost, const Ahead& ahead) {
  if (ahead.lanes.empty()) return 0;
  const int64_t rows = batch(cost), before = ahead.rows / rows;
  const auto lanes = static_cast<int64_t>(ahead.lanes.size());
  const double rounds = static_cast<double>(before / lanes) * cost.seconds(rows);
  return (ahead.lanes[static_cast<size_t>(before % lanes)] + rounds) * slower_;
}

double SloController::slack(const BatchCost& cost) { return std::max(0.0, budget() - cost.seconds(batch(cost), deviations())); }

bool SloController::admits(const BatchCost& cost, const Ahead& ahead) {
  const bool finds_a_lane = ahead.rows == 0 && !ahead.lanes.empty() && ahead.lanes[0] <= 0;
  return !cost.is_known() || finds_a_lane || wait(cost, ahead) <= slack(cost);
}

void SloController::began(double said, double waited) {
  if (said <= 0.1 * seconds()) return;  // too little to learn from
  const double ratio = std::clamp(waited / (said / slower_), 1.0, kSlowest);
  slower_ += kNewest * (ratio - slower_);
}

void SloController::answered(double seconds_taken) {
  ++answers_;
  late_ += seconds_taken > seconds();
  const double allowed = (1 - slo_.quantile) * kWindow;
  const bool too_many = static_cast<double>(late_) > allowed;
  if (!too_many && answers_ < kWindow) return;
  share_ = too_many ? std::max(kLeast, share_ * kDown) : std::min(kMost, share_ + kUp);
  answers_ = late_ = 0;
}

}  // namespace tandem
