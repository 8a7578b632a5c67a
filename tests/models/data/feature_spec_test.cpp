#include "models/data/feature_spec.h"

#include <gmock/gmock.h>

#include <cmath>

#include "kernels/base/error.h"

namespace tandem {
namespace {

using testing::ElementsAre;

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
const std::vector<int64_t> kTrain = {0, 1, 2, 3};  // row 4 is not for fitting

Table table_of(std::vector<double> numbers) { return Table({Column{"x", ColumnKind::kNumeric, std::move(numbers)}}); }

TEST(FeatureSpec, FitsNumbersOnTrainingRows) {
  const NumericFeature x = fit_features(table_of({1, kMissing, 2, 9, 1e9}), kTrain).numeric.at(0);
  EXPECT_EQ(x.fill, 2);  // the median of 1, 2, 9
  EXPECT_EQ(x.missing, 1);
  EXPECT_DOUBLE_EQ(x.mean, 3.5);  // of 1, 2, 2, 9
  EXPECT_DOUBLE_EQ(x.deviation, std::sqrt((6.25 + 2.25 + 2.25 + 30.25) / 4));
}

TEST(FeatureSpec, FillsWithTheMeanAndTakesLogarithms) {
  const NumericFeature x =
      fit_features(table_of({0, kMissing, 3, 3, 0}), kTrain, {.impute = Impute::kMean, .log1p = {"x"}}).numeric.at(0);
  EXPECT_EQ(x.fill, 2);
  EXPECT_DOUBLE_EQ(x.mean, (0 + std::log(3.0) + 2 * std::log(4.0)) / 4);
}

TEST(FeatureSpec, AConstantColumnIsNotScaled) {
  EXPECT_EQ(fit_features(table_of({0.1, 0.1, 0.1, 0.1, 7}), kTrain).numeric.at(0).deviation, 1);
}

TEST(FeatureSpec, ListsCategories) {
  const Table table({Column{"job", ColumnKind::kText, {}, {"b", "a", "", "a", "z"}}});
  const TextFeature job = fit_features(table, kTrain).text.at(0);
  EXPECT_THAT(job.categories, ElementsAre("a", "b"));
  EXPECT_THAT(job.counts, ElementsAre(2, 1));
  EXPECT_EQ(job.missing, 1);
  const TextFeature frequent = fit_features(table, kTrain, {.min_count = 2}).text.at(0);
  EXPECT_THAT(frequent.categories, ElementsAre("a"));
  EXPECT_EQ(frequent.rare, 1);
}

TEST(FeatureSpec, RefusesColumnsItCannotFit) {
  EXPECT_THROW(fit_features(table_of({kMissing, kMissing, kMissing, kMissing, 1}), kTrain), Error);
  EXPECT_THROW(fit_features(table_of({-1, 0, 0, 0, 0}), kTrain, {.log1p = {"x"}}), Error);
  EXPECT_THROW(fit_features(table_of({1, 1, 1, 1, 1}), kTrain, {.log1p = {"y"}}), Error);
  EXPECT_THROW(fit_features(table_of({1}), {}), Error);
}

}  // namespace
}  // namespace tandem
