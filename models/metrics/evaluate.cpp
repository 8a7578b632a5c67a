#include "models/metrics/evaluate.h"

#include <cmath>
#include <limits>

#include "kernels/base/error.h"
#include "models/metrics/calibration.h"
#include "models/metrics/compensated_sum.h"
#include "models/metrics/confusion.h"
#include "models/metrics/ranking.h"

namespace tandem {
namespace {

// What does not change between resamples is computed once: sorted rankings, losses by row, predicted classes.
class ClassifierScores {
 public:
  static constexpr size_t kCount = 9;

  explicit ClassifierScores(const Predictions& predictions)
      : predictions_(predictions),
        predicted_(predicted_classes(predictions)),
        log_losses_(log_losses(predictions)),
        brier_scores_(brier_scores(predictions)),
        reliability_(predictions) {
    for (int64_t id = predictions.classes == 2 ? 1 : 0; id < predictions.classes; ++id) rankings_.emplace_back(predictions, id);
  }

  void compute(RowWeights weights, std::span<double> out) const {
    const ConfusionMatrix confusion(predictions_.labels, predicted_, predictions_.classes, weights);
    const PrecisionRecall rates = precision_recall(confusion);
    const RankingAreas areas = mean_areas(weights);
    out[0] = static_cast<double>(confusion.correct()) / static_cast<double>(confusion.total());
    out[1] = rates.precision;
    out[2] = rates.recall;
    out[3] = rates.f1;
    out[4] = areas.roc_auc;
    out[5] = areas.average_precision;
    out[6] = weighted_mean(log_losses_, weights);
    out[7] = weighted_mean(brier_scores_, weights);
    out[8] = reliability_.expected_error(weights);
  }

 private:
  RankingAreas mean_areas(RowWeights weights) const {
    double roc = 0, precision = 0;
    int roc_count = 0, precision_count = 0;
    for (const Ranking& ranking : rankings_) {
      const RankingAreas areas = ranking.areas(weights);
      if (!std::isnan(areas.roc_auc)) roc += areas.roc_auc, ++roc_count;
      if (!std::isnan(areas.average_precision)) precision += areas.average_precision, ++precision_count;
    }
    const auto mean = [](double sum, int count) { return count ? sum / count : std::numeric_limits<double>::quiet_NaN(); };
    return {mean(roc, roc_count), mean(precision, precision_count)};
  }

  const Predictions& predictions_;
  std::vector<int64_t> predicted_;
  std::vector<double> log_losses_;
  std::vector<double> brier_scores_;
  Reliability reliability_;
  std::vector<Ranking> rankings_;
};

void compute_regression(std::span<const float> targets, std::span<const float> predicted, RowWeights weights,
                        std::span<double> out) {
  CompensatedSum sum, squared, absolute, spread;
  int64_t count = 0;
  for (size_t i = 0; i < targets.size(); ++i) {
    const double error = double{predicted[i]} - double{targets[i]};
    sum.add(double{targets[i]} * weights[i]);
    squared.add(error * error * weights[i]);
    absolute.add(std::abs(error) * weights[i]);
    count += weights[i];
  }
  const auto n = static_cast<double>(count);
  const double mean = sum.value() / n;
  for (size_t i = 0; i < targets.size(); ++i) spread.add((targets[i] - mean) * (targets[i] - mean) * weights[i]);
  out[0] = squared.value() / n;
  out[1] = absolute.value() / n;
  out[2] = spread.value() > 0 ? 1 - squared.value() / spread.value() : squared.value() == 0 ? 1 : 0;
}

struct MetricName {
  const char* name;
  bool higher_is_better;
};

// The statistic of all rows once, and its bootstrap intervals.
std::vector<Metric> measure(int64_t rows, std::span<const MetricName> names, const Statistic& statistic,
                            const BootstrapOptions& options) {
  std::vector<double> values(names.size());
  statistic(std::vector<uint32_t>(static_cast<size_t>(rows), 1), values);
  const std::vector<Interval> intervals = bootstrap_intervals(rows, names.size(), statistic, options);
  std::vector<Metric> metrics;
  for (size_t i = 0; i < names.size(); ++i) {
    const double none = std::numeric_limits<double>::quiet_NaN();
    const Interval interval = std::isnan(values[i]) ? Interval{none, none} : intervals[i];
    metrics.push_back({names[i].name, values[i], interval.low, interval.high, names[i].higher_is_better});
  }
  return metrics;
}

}  // namespace

std::vector<Metric> evaluate_classifier(const Predictions& predictions, const BootstrapOptions& options) {
  check_predictions(predictions);
  static constexpr MetricName kNames[ClassifierScores::kCount] = {{"accuracy", true},  {"precision", true}, {"recall", true},
                                                                  {"f1", true},        {"roc_auc", true},   {"pr_auc", true},
                                                                  {"log_loss", false}, {"brier", false},    {"ece", false}};
  const ClassifierScores scores(predictions);
  std::vector<Metric> metrics = measure(
      predictions.rows(), kNames, [&](RowWeights weights, std::span<double> out) { scores.compute(weights, out); }, options);
  const int64_t hits = std::llround(metrics[0].value * static_cast<double>(predictions.rows()));
  const Interval wilson = wilson_interval(hits, predictions.rows());
  metrics[0].low = wilson.low;
  metrics[0].high = wilson.high;
  return metrics;
}

std::vector<Metric> evaluate_regressor(std::span<const float> targets, std::span<const float> predicted,
                                       const BootstrapOptions& options) {
  require(targets.size() == predicted.size(), "targets and predictions differ in number", targets.size(), predicted.size());
  require(!targets.empty(), "there are no rows to evaluate");
  for (size_t i = 0; i < targets.size(); ++i)
    require(std::isfinite(targets[i]) && std::isfinite(predicted[i]), "target or prediction is not finite",
            "row " + std::to_string(i), targets[i], predicted[i]);
  static constexpr MetricName kNames[] = {{"mse", false}, {"mae", false}, {"r2", true}};
  const auto statistic = [&](RowWeights weights, std::span<double> out) { compute_regression(targets, predicted, weights, out); };
  return measure(static_cast<int64_t>(targets.size()), kNames, statistic, options);
}

const Metric& find_metric(const std::vector<Metric>& metrics, std::string_view name) {
  for (const Metric& metric : metrics)
    if (metric.name == name) return metric;
  fail(ErrorCode::kNotFound, "there is no metric of this name", {name});
}

}  // namespace tandem
