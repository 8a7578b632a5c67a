// Every latency lies in its bucket, and buckets are narrow and in order.
#include "serving/monitor/latency_buckets.h"

#include <gtest/gtest.h>

#include <random>

namespace tandem {
namespace {

using std::chrono::nanoseconds;

int64_t end_of(int64_t ns) {
  LatencyBuckets buckets;
  buckets.add(nanoseconds(ns));
  const auto counts = buckets.counts();
  EXPECT_EQ(counts.size(), 1u);
  return counts.at(0).first;
}

TEST(LatencyBuckets, ABucketEndsAtOrAnEighthAboveItsLatency) {
  std::mt19937_64 random(1);
  for (int bits = 1; bits < 42; ++bits)
    for (int i = 0; i < 50; ++i) {
      const auto ns = static_cast<int64_t>(random() % (uint64_t{1} << bits));
      ASSERT_GE(end_of(ns), ns);
      ASSERT_LE(end_of(ns), ns + ns / 8);
      ASSERT_EQ(end_of(end_of(ns)), end_of(ns));
    }
}

TEST(LatencyBuckets, WhatIsBeyondCountsAtTheEnds) {
  EXPECT_EQ(end_of(-5), 0);
  EXPECT_EQ(end_of(INT64_MAX), (int64_t{1} << 42) - 1);
}

TEST(LatencyBuckets, CountsAscend) {
  LatencyBuckets buckets;
  for (const int64_t ns : {1'000'000, 5, 5, 300}) buckets.add(nanoseconds(ns));
  const auto counts = buckets.counts();
  ASSERT_EQ(counts.size(), 3u);
  EXPECT_EQ(counts[0], std::pair(int64_t{5}, uint64_t{2}));
  EXPECT_LT(counts[1].first, counts[2].first);
}

}  // namespace
}  // namespace tandem
