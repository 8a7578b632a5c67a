#include "models/metrics/evaluate.h"

#include <gmock/gmock.h>

#include <cmath>

#include "kernels/base/error.h"
#include "kernels/base/philox.h"
#include "models/metrics/calibration.h"
#include "models/metrics/confusion.h"
#include "models/metrics/ranking.h"

namespace tandem {
namespace {

// Binary predictions from the probability of class 1.
struct Binary {
  std::vector<int64_t> labels;
  std::vector<double> probabilities;
  Binary(std::vector<int64_t> y, const std::vector<double>& p) : labels(std::move(y)) {
    for (double value : p) probabilities.insert(probabilities.end(), {1 - value, value});
  }
  Predictions view() const { return {labels, probabilities, 2}; }
};

std::vector<uint32_t> ones(size_t n) { return std::vector<uint32_t>(n, 1); }

double value(const Binary& data, std::string_view name) { return find_metric(evaluate_classifier(data.view()), name).value; }

TEST(Metrics, FollowFromTheirDefinitions) {
  const Binary data({0, 0, 1, 1}, {0.1, 0.6, 0.35, 0.8});
  EXPECT_DOUBLE_EQ(value(data, "accuracy"), 0.5);
  EXPECT_DOUBLE_EQ(value(data, "precision"), 0.5);
  EXPECT_DOUBLE_EQ(value(data, "recall"), 0.5);
  EXPECT_DOUBLE_EQ(value(data, "f1"), 0.5);
  EXPECT_DOUBLE_EQ(value(data, "roc_auc"), 0.75);  // of the four pairs only (0.35, 0.6) is wrong
  EXPECT_DOUBLE_EQ(value(data, "pr_auc"), 0.5 * 1 + 0.5 * 2 / 3);
  EXPECT_DOUBLE_EQ(value(data, "log_loss"), -(std::log(0.9) + std::log(0.4) + std::log(0.35) + std::log(0.8)) / 4);
  EXPECT_DOUBLE_EQ(value(data, "brier"), (0.01 + 0.36 + 0.4225 + 0.04) / 4);
  // Each row is alone in its bin of width 1/15: confidences 0.9, 0.6, 0.65, 0.8; right, wrong, wrong, right. 0.6 is a bound: bin
  // (8/15, 9/15].
  EXPECT_NEAR(value(data, "ece"), (0.1 + 0.6 + 0.65 + 0.2) / 4, 1e-15);
}

TEST(Metrics, ConstantScoresRankNothing) {
  const Binary data({0, 1, 1, 0, 1}, {0.5, 0.5, 0.5, 0.5, 0.5});
  EXPECT_DOUBLE_EQ(value(data, "roc_auc"), 0.5);
  EXPECT_DOUBLE_EQ(value(data, "pr_auc"), 0.6);  // the share of positives
}

TEST(Metrics, CertainAndWrongIsClippedNotInfinite) {
  EXPECT_DOUBLE_EQ(value(Binary({1, 0}, {0, 0}), "log_loss"), (-std::log(0x1p-52) - std::log(1 - 0x1p-52)) / 2);
}

TEST(Metrics, AreUndefinedForOneClass) {
  const std::vector<Metric> metrics = evaluate_classifier(Binary({0, 0}, {0.1, 0.2}).view());
  EXPECT_TRUE(std::isnan(find_metric(metrics, "roc_auc").value));
  EXPECT_TRUE(std::isnan(find_metric(metrics, "roc_auc").low));
  EXPECT_EQ(find_metric(metrics, "accuracy").value, 1);
  EXPECT_EQ(find_metric(metrics, "recall").value, 0);
}

TEST(Metrics, RefuseWrongPredictionsNamingTheRow) {
  const auto refusal = [](const Predictions& predictions) -> std::string {
    try {
      evaluate_classifier(predictions);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  using testing::HasSubstr;
  EXPECT_THAT(refusal(Binary({0, 1}, {0.1, std::nan("")}).view()), HasSubstr("[0, 1]: row 1"));
  EXPECT_THAT(refusal(Binary({0, 1}, {0.1, 1.5}).view()), HasSubstr("[0, 1]: row 1"));
  EXPECT_THAT(refusal(Binary({0, 2}, {0.1, 0.5}).view()), HasSubstr("not a class: row 1, 2, 2"));
  EXPECT_THAT(refusal(Binary({}, {}).view()), HasSubstr("no rows"));
  const std::vector<int64_t> label = {0};
  const std::vector<double> half = {0.5, 0.1};
  EXPECT_THAT(refusal({label, half, 2}), HasSubstr("sum to 1: row 0"));
}

// Weights must mean what repeating the rows means.
TEST(Metrics, WeightsCountRows) {
  const Binary once({0, 1, 1, 0}, {0.3, 0.3, 0.9, 0.6}), repeated({0, 1, 1, 1, 0, 0, 0}, {0.3, 0.3, 0.9, 0.9, 0.6, 0.6, 0.6});
  const std::vector<uint32_t> weights = {1, 1, 2, 3};
  const RankingAreas a = Ranking(once.view(), 1).areas(weights), b = Ranking(repeated.view(), 1).areas(ones(7));
  EXPECT_DOUBLE_EQ(a.roc_auc, b.roc_auc);
  EXPECT_DOUBLE_EQ(a.average_precision, b.average_precision);
  EXPECT_DOUBLE_EQ(Reliability(once.view()).expected_error(weights), Reliability(repeated.view()).expected_error(ones(7)));
  EXPECT_DOUBLE_EQ(weighted_mean(log_losses(once.view()), weights), weighted_mean(log_losses(repeated.view()), ones(7)));
}

TEST(Curves, BeginAndEndWhereTheyShould) {
  const Binary data({0, 1, 1, 0}, {0.3, 0.3, 0.9, 0.6});
  const std::vector<CurvePoint> roc = Ranking(data.view(), 1).roc_curve(100), pr = Ranking(data.view(), 1).pr_curve(100);
  ASSERT_EQ(roc.size(), 4u);  // three distinct thresholds
  EXPECT_EQ(roc[1].x, 0);
  EXPECT_EQ(roc[1].y, 0.5);
  EXPECT_EQ(roc[3].x, 1);
  EXPECT_EQ(roc[3].y, 1);
  EXPECT_EQ(pr[0].y, 1);
  EXPECT_EQ(pr[3].x, 1);
  EXPECT_EQ(pr[3].y, 0.5);
  EXPECT_EQ(Ranking(data.view(), 1).roc_curve(2).back().x, 1);
}

// Closed forms of the formula: p = 1/2 gives 1/2 -+ z / (2 sqrt(n + z^2)).
TEST(Interval, Wilson) {
  const double z = 1.959963984540054;
  const Interval half = wilson_interval(50, 100);
  EXPECT_NEAR(half.low, 0.5 - z / (2 * std::sqrt(100 + z * z)), 1e-15);
  EXPECT_NEAR(half.high, 0.5 + z / (2 * std::sqrt(100 + z * z)), 1e-15);
  EXPECT_EQ(wilson_interval(0, 10).low, 0);
  EXPECT_NEAR(wilson_interval(0, 10).high, z * z / (10 + z * z), 1e-15);
  EXPECT_EQ(wilson_interval(10, 10).high, 1);
}

Statistic mean_of_rows(int64_t rows) {
  return [rows](RowWeights weights, std::span<double> out) {
    double sum = 0;
    for (int64_t i = 0; i < rows; ++i) sum += static_cast<double>(i) * weights[static_cast<size_t>(i)];
    out[0] = sum / static_cast<double>(rows);
  };
}

// The mean of n draws from 0 .. n-1 is close to normal with a known deviation.
TEST(Interval, BootstrapOfAMeanIsNormal) {
  const int64_t rows = 400;
  const Interval interval = bootstrap_intervals(rows, 1, mean_of_rows(rows), {.resamples = 20'000, .seed = 1})[0];
  const double mean = (rows - 1) / 2.0, deviation = std::sqrt((rows * rows - 1) / 12.0 / rows);
  EXPECT_NEAR(interval.low, mean - 1.96 * deviation, 0.08 * deviation);
  EXPECT_NEAR(interval.high, mean + 1.96 * deviation, 0.08 * deviation);
}

TEST(Interval, BootstrapDependsOnTheSeedNotOnThreads) {
  const auto run = [](uint64_t seed, int threads) {
    return bootstrap_intervals(50, 1, mean_of_rows(50), {.resamples = 200, .seed = seed, .threads = threads})[0];
  };
  EXPECT_EQ(run(1, 1).low, run(1, 3).low);
  EXPECT_EQ(run(1, 1).high, run(1, 3).high);
  EXPECT_NE(run(1, 1).low, run(2, 1).low);
}

TEST(Interval, CarriesExceptionsOutOfItsThreads) {
  const Statistic broken = [](RowWeights, std::span<double>) { fail(ErrorCode::kInternal, "broken"); };
  EXPECT_THROW(bootstrap_intervals(5, 1, broken, {.resamples = 10, .threads = 2}), Error);
}

TEST(Regression, FollowsFromItsDefinitions) {
  const std::vector<float> y = {1, 2, 3, 6}, p = {1, 3, 3, 4};
  const std::vector<Metric> metrics = evaluate_regressor(y, p);
  EXPECT_DOUBLE_EQ(find_metric(metrics, "mse").value, 5.0 / 4);
  EXPECT_DOUBLE_EQ(find_metric(metrics, "mae").value, 3.0 / 4);
  EXPECT_DOUBLE_EQ(find_metric(metrics, "r2").value, 1 - 5.0 / 14);
  EXPECT_THROW(evaluate_regressor(y, std::vector<float>{1}), Error);
}

}  // namespace
}  // namespace tandem
