#include "runtime/train/buckets.h"

#include <gtest/gtest.h>

#include <set>

namespace tandem {
namespace {

const std::vector<ParameterInfo> kParameters = {
    {"a.w", {10, 10}}, {"a.b", {10}}, {"b.w", {20, 10}}, {"b.b", {20}}, {"c.w", {5, 20}}};

TEST(Buckets, HoldEveryParameterOnceWithoutOverlap) {
  for (int64_t bytes : {1, 400, 1000, 1 << 20}) {
    std::set<size_t> seen;
    for (const Bucket& bucket : assign_buckets(kParameters, bytes)) {
      int64_t end = 0;
      for (const Bucket::Entry& entry : bucket.entries) {
        EXPECT_TRUE(seen.insert(entry.parameter).second);
        EXPECT_EQ(entry.offset, end);
        end += kParameters[entry.parameter].shape.elements();
        EXPECT_EQ(bucket.decays, kParameters[entry.parameter].shape.rank() > 1);
      }
      EXPECT_EQ(bucket.elements, end);
    }
    EXPECT_EQ(seen.size(), kParameters.size());
  }
}

TEST(Buckets, AreClosedAtTheirSizeAndStartWithTheLastParameter) {
  const auto buckets = assign_buckets(kParameters, 400);
  EXPECT_EQ(buckets[0].entries[0].parameter, 4u);  // c.w: its gradient is ready first
  EXPECT_EQ(buckets[0].elements, 100);
  EXPECT_EQ(buckets[1].entries[0].parameter, 2u);
}

TEST(Buckets, RefuseASizeOfZero) { EXPECT_THROW(assign_buckets(kParameters, 0), Error); }

}  // namespace
}  // namespace tandem
