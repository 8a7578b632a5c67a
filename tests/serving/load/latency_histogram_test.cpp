// Percentiles against the sorted values themselves.
#include "serving/load/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/base/philox.h"

namespace tandem {
namespace {

using std::chrono::nanoseconds;

std::vector<int64_t> spread_values(uint64_t key, size_t count) {
  std::vector<int64_t> values;
  for (size_t i = 0; i < count; ++i)
    values.push_back(static_cast<int64_t>(std::exp(23 * unit_float(philox(key, i, 0)[0]))));  // 1 ns to 10 s
  return values;
}

LatencyHistogram histogram_of(const std::vector<int64_t>& values) {
  LatencyHistogram histogram;
  for (const int64_t value : values) histogram.add(nanoseconds(value));
  return histogram;
}

TEST(LatencyHistogram, PercentilesAreThoseOfTheValuesToOnePercent) {
  std::vector<int64_t> values = spread_values(1, 20'000);
  const LatencyHistogram histogram = histogram_of(values);
  std::ranges::sort(values);
  for (const double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size()))) - 1;
    const auto exact = static_cast<double>(values[rank]);
    const auto got = static_cast<double>(histogram.percentile(share).count());
    EXPECT_GE(got, exact) << share;
    EXPECT_LE(got, exact * 1.01) << share;
  }
  EXPECT_EQ(histogram.max().count(), values.back());
  EXPECT_EQ(histogram.count(), 20'000);
}

TEST(LatencyHistogram, SmallValuesAreExact) {
  const LatencyHistogram histogram = histogram_of({0, 1, 2, 255});
  EXPECT_EQ(histogram.percentile(0.25).count(), 0);
  EXPECT_EQ(histogram.percentile(0.5).count(), 1);
  EXPECT_EQ(histogram.percentile(0.75).count(), 2);
  EXPECT_EQ(histogram.percentile(1).count(), 255);
  EXPECT_DOUBLE_EQ(static_cast<double>(histogram.mean().count()), 64);
}

TEST(LatencyHistogram, MergingIsCountingAllValues) {
  const std::vector<int64_t> a = spread_values(2, 1'000), b = spread_values(3, 500);
  std::vector<int64_t> both = a;
  both.insert(both.end(), b.begin(), b.end());
  LatencyHistogram merged = histogram_of(a);
  merged.merge(histogram_of(b));
  const LatencyHistogram whole = histogram_of(both);
  EXPECT_EQ(merged.count(), whole.count());
  EXPECT_EQ(merged.max(), whole.max());
  for (const double share : {0.01, 0.5, 0.99}) EXPECT_EQ(merged.percentile(share), whole.percentile(share));
}

TEST(LatencyHistogram, CountsWhatKeptWithinALimit) {
  const LatencyHistogram histogram = histogram_of({10, 20, 1'000'000, 2'000'000});
  EXPECT_EQ(histogram.count_within(nanoseconds(9)), 0);
  EXPECT_EQ(histogram.count_within(nanoseconds(20)), 2);
  EXPECT_EQ(histogram.count_within(nanoseconds(1'500'000)), 3);
  EXPECT_EQ(histogram.count_within(std::chrono::seconds(1)), 4);
}

TEST(LatencyHistogram, NothingIsZero) {
  const LatencyHistogram none;
  EXPECT_EQ(none.percentile(0.99).count(), 0);
  EXPECT_EQ(none.mean().count(), 0);
}

}  // namespace
}  // namespace tandem
