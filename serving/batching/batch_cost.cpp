#include "serving/batching/batch_cost.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tandem {
namespace {

constexpr double kNewest = 0.1;         // of a mean, once it has been seen often
constexpr double kOfDeviation = 1.25;   // the standard deviation of a normal distribution over its mean deviation

size_t slot_of(int64_t rows) { return std::min<size_t>(31, static_cast<size_t>(std::bit_width(static_cast<uint64_t>(std::max<int64_t>(1, rows)) - 1))); }

}  // namespace

void BatchCost::observe(int64_t rows, double seconds) {
  Point& point = points_[slot_of(rows)];
  const double expected = this->seconds(rows), share = std::max(kNewest, 1.0 / static_cast<double>(++point.seen));
  if (point.seen > 1 && expected > 0) follow_machine(1 + share * (std::clamp(seconds / expected, 0.5, 2.0) - 1), point);
  const double off = seconds - point.seconds;
  if (point.seen > 1) point.deviation += share * (std::abs(off) - point.deviation);
  point.seconds += share * off;
  point.rows += share * (static_cast<double>(rows) - point.rows);
  known_ = true;
}

// A machine that became slower is so for batches of all sizes, also for those that were not run since.
void BatchCost::follow_machine(double factor, const Point& seen) {
  for (Point& point : points_)
    if (&point != &seen) point.seconds *= factor;
}

void BatchCost::start_from(const std::vector<Point>& points) {
  for (const Point& point : points) {
    if (!(point.rows >= 1 && point.rows < 1e9 && point.seconds > 0 && point.deviation >= 0) || point.seen < 1) continue;
    Point& own = points_[slot_of(static_cast<int64_t>(std::llround(point.rows)))];
    if (own.seen == 0) own = point;
    own.seen = std::min<int64_t>(own.seen, 10);  // what comes weighs as much as the mean does
    known_ = true;
  }
}

std::vector<BatchCost::Point> BatchCost::points() const {
  std::vector<Point> seen;
  for (const Point& point : points_)
    if (point.seen > 0) seen.push_back(point);
  return seen;
}

int64_t BatchCost::largest() const {
  double rows = 0;
  for (const Point& point : points_)
    if (point.seen > 0) rows = std::max(rows, point.rows);
  return static_cast<int64_t>(rows);
}

double BatchCost::at(int64_t rows, double deviations) const {
  const auto wanted = static_cast<double>(rows);
  const auto value = [&](const Point& point) { return point.seconds + deviations * kOfDeviation * point.deviation; };
  const Point *below = nullptr, *above = nullptr;
  for (const Point& point : points_) {
    if (point.seen == 0) continue;
    if (point.rows <= wanted) below = &point;
    if (point.rows >= wanted && !above) above = &point;
  }
  if (!below && !above) return 0;
  if (!below) return value(*above);                             // at most
  if (!above) return value(*below) * wanted / below->rows;      // as if more rows gained nothing
  if (above->rows == below->rows) return value(*below);
  const double share = (wanted - below->rows) / (above->rows - below->rows);
  return value(*below) + share * (value(*above) - value(*below));
}

}  // namespace tandem
