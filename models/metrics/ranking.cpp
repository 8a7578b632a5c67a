#include "models/metrics/ranking.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/base/error.h"
#include "models/metrics/compensated_sum.h"

namespace tandem {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

std::vector<CurvePoint> thinned(const std::vector<CurvePoint>& points, size_t max_points) {
  if (points.size() <= max_points) return points;
  std::vector<CurvePoint> out;
  for (size_t i = 0; i < max_points; ++i) out.push_back(points[i * (points.size() - 1) / (max_points - 1)]);
  return out;
}

}  // namespace

Ranking::Ranking(const Predictions& predictions, int64_t positive) {
  require(predictions.rows() <= std::numeric_limits<uint32_t>::max(), "too many rows to rank", predictions.rows());
  const auto score = [&](uint32_t row) { return predictions.row(row)[static_cast<size_t>(positive)]; };
  std::vector<uint32_t> rows(predictions.labels.size());
  std::iota(rows.begin(), rows.end(), 0u);
  std::stable_sort(rows.begin(), rows.end(), [&](uint32_t a, uint32_t b) { return score(a) > score(b); });
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool last = i + 1 == rows.size() || score(rows[i + 1]) != score(rows[i]);
    order_.push_back({rows[i], predictions.labels[rows[i]] == positive, last});
  }
}

template <class Visit>
void Ranking::for_each_group(RowWeights weights, const Visit& visit) const {
  Counts group;
  for (const Entry& entry : order_) {
    (entry.positive ? group.positive : group.negative) += weights[entry.row];
    if (!entry.last_of_group) continue;
    visit(group);
    group = {};
  }
}

RankingAreas Ranking::areas(RowWeights weights) const {
  Counts seen;
  int64_t doubled_wins = 0;  // twice the pairs in which the positive row stands above, ties once
  CompensatedSum precision;
  for_each_group(weights, [&](const Counts& group) {
    doubled_wins += group.negative * (2 * seen.positive + group.positive);
    seen.positive += group.positive;
    seen.negative += group.negative;
    if (group.positive > 0)
      precision.add(static_cast<double>(group.positive) * static_cast<double>(seen.positive) /
                    static_cast<double>(seen.positive + seen.negative));
  });
  const auto positive = static_cast<double>(seen.positive), negative = static_cast<double>(seen.negative);
  return {seen.positive > 0 && seen.negative > 0 ? static_cast<double>(doubled_wins) / 2 / positive / negative : kUndefined,
          seen.positive > 0 ? precision.value() / positive : kUndefined};
}

std::vector<Ranking::Counts> Ranking::cumulative() const {
  std::vector<Counts> out;
  Counts seen;
  for_each_group(std::vector<uint32_t>(order_.size(), 1), [&](const Counts& group) {
    seen.positive += group.positive;
    seen.negative += group.negative;
    out.push_back(seen);
  });
  return out;
}

std::vector<CurvePoint> Ranking::roc_curve(size_t max_points) const {
  const std::vector<Counts> steps = cumulative();
  if (steps.empty() || steps.back().positive == 0 || steps.back().negative == 0) return {};
  std::vector<CurvePoint> points = {{0, 0}};
  for (const Counts& seen : steps)
    points.push_back({static_cast<double>(seen.negative) / static_cast<double>(steps.back().negative),
                      static_cast<double>(seen.positive) / static_cast<double>(steps.back().positive)});
  return thinned(points, max_points);
}

std::vector<CurvePoint> Ranking::pr_curve(size_t max_points) const {
  const std::vector<Counts> steps = cumulative();
  if (steps.empty() || steps.back().positive == 0) return {};
  std::vector<CurvePoint> points = {{0, 1}};
  for (const Counts& seen : steps)
    points.push_back({static_cast<double>(seen.positive) / static_cast<double>(steps.back().positive),
                      static_cast<double>(seen.positive) / static_cast<double>(seen.positive + seen.negative)});
  return thinned(points, max_points);
}

}  // namespace tandem
