// All collectives for several numbers of ranks and sizes, against scalar sums in rank order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>

#include "kernels/base/error.h"
#include "kernels/base/philox.h"
#include "runtime/comm/segment.h"
#include "tests/runtime/comm/rank_threads.h"

namespace tandem {
namespace {

using testing::Each;
using testing::IsEmpty;

// Values of very different sizes, so that another order of summation gives other bits.
std::vector<float> values_of(int rank, size_t count, uint64_t salt = 0) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    const auto words = philox(salt, i, static_cast<uint64_t>(rank));
    values[i] = std::ldexp(unit_float(words[0]) - 0.5f, static_cast<int>(words[1] % 24));
  }
  return values;
}

std::vector<float> sum_in_rank_order(int ranks, size_t count, uint64_t salt = 0) {
  std::vector<float> sum = values_of(0, count, salt);
  for (int rank = 1; rank < ranks; ++rank) {
    const std::vector<float> values = values_of(rank, count, salt);
    for (size_t i = 0; i < count; ++i) sum[i] = sum[i] + values[i];
  }
  return sum;
}

void expect_same_bits(const std::vector<float>& got, const std::vector<float>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  check(got.empty() || std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)) == 0, ErrorCode::kInternal,
        "bits differ");
}

class Collectives : public testing::TestWithParam<int> {};

constexpr size_t kChunk = kSlotBytes / sizeof(float);
constexpr size_t kSizes[] = {0, 1, 15, 17, 511, 513, 2048, 2049, 5000, kChunk - 1, kChunk, kChunk + 1, 2 * kChunk + 77};

TEST_P(Collectives, AllReduceHasTheBitsOfTheSumInRankOrder) {
  for (size_t size : kSizes)
    EXPECT_THAT(run_as_threads(GetParam(),
                               [&](Communicator& ranks) {
                                 std::vector<float> values = values_of(ranks.rank(), size);
                                 ranks.all_reduce_sum(values);
                                 expect_same_bits(values, sum_in_rank_order(ranks.size(), size));
                               }),
                Each(IsEmpty()))
        << size;
}

TEST_P(Collectives, AsynchronousOnesOverlapAndKeepTheirOrder) {
  const auto body = [](Communicator& ranks) {
    for (int64_t step = 0; step < 3; ++step) {
      ranks.set_step(step);
      std::vector<std::vector<float>> buckets;
      for (size_t bucket = 0; bucket < 20; ++bucket) buckets.push_back(values_of(ranks.rank(), 1 + bucket * 499, bucket));
      std::vector<Communicator::Handle> handles;
      for (std::vector<float>& bucket : buckets) handles.push_back(ranks.begin_all_reduce(bucket, "grad"));
      ranks.barrier();
      // Ranks wait in different orders; the collectives still run in the order of issue.
      for (size_t i = 0; i < 20; ++i) ranks.wait(handles[ranks.rank() % 2 ? 19 - i : i]);
      for (size_t bucket = 0; bucket < 20; ++bucket)
        expect_same_bits(buckets[bucket], sum_in_rank_order(ranks.size(), buckets[bucket].size(), bucket));
    }
  };
  EXPECT_THAT(run_as_threads(GetParam(), body), Each(IsEmpty()));
}

TEST_P(Collectives, BucketsDoNotChangeBits) {
  const auto body = [](Communicator& ranks) {
    constexpr size_t kCount = 10007;
    std::vector<float> whole = values_of(ranks.rank(), kCount), parts = whole;
    ranks.all_reduce_sum(whole);
    for (size_t first = 0; first < kCount; first += 1234)
      ranks.all_reduce_sum(std::span(parts).subspan(first, std::min<size_t>(1234, kCount - first)));
    expect_same_bits(parts, whole);
  };
  EXPECT_THAT(run_as_threads(GetParam(), body), Each(IsEmpty()));
}

TEST_P(Collectives, MoreInFlightThanTheQueueHolds) {
  const auto body = [](Communicator& ranks) {
    std::vector<float> values(1000, 1.0f);
    Communicator::Handle last = 0;
    for (float& value : values) last = ranks.begin_all_reduce({&value, 1});
    ranks.wait(last);
    expect_same_bits(values, std::vector<float>(1000, static_cast<float>(ranks.size())));
  };
  EXPECT_THAT(run_as_threads(GetParam(), body), Each(IsEmpty()));
}

TEST_P(Collectives, BroadcastFromEveryRoot) {
  const auto body = [](Communicator& ranks) {
    for (size_t size : {size_t{0}, size_t{1}, size_t{1000}, 2 * kSlotBytes + 3})
      for (int root = 0; root < ranks.size(); ++root) {
        std::vector<std::byte> bytes(size, static_cast<std::byte>(ranks.rank()));
        ranks.broadcast(bytes, root);
        check(bytes == std::vector<std::byte>(size, static_cast<std::byte>(root)), ErrorCode::kInternal, "broadcast differs",
              root);
      }
  };
  EXPECT_THAT(run_as_threads(GetParam(), body), Each(IsEmpty()));
}

TEST_P(Collectives, AllGatherOfUnevenBlobs) {
  const auto blob_of = [](int rank, size_t scale) {
    return std::string(static_cast<size_t>(rank) * scale, static_cast<char>('a' + rank));
  };
  const auto body = [&](Communicator& ranks) {
    for (size_t scale : {size_t{0}, size_t{1}, size_t{100}, kSlotBytes - 5}) {
      const std::vector<std::string> blobs = ranks.all_gather(blob_of(ranks.rank(), scale));
      check(blobs.size() == static_cast<size_t>(ranks.size()), ErrorCode::kInternal, "blobs are missing");
      for (int rank = 0; rank < ranks.size(); ++rank)
        check(blobs[static_cast<size_t>(rank)] == blob_of(rank, scale), ErrorCode::kInternal, "blob differs", rank, scale);
    }
  };
  EXPECT_THAT(run_as_threads(GetParam(), body), Each(IsEmpty()));
}

TEST_P(Collectives, NobodyPassesABarrierBeforeAllReachedIt) {
  std::atomic<int> reached = 0;
  const auto body = [&](Communicator& ranks) {
    for (int round = 1; round <= 50; ++round) {
      ++reached;
      ranks.barrier();
      check(reached >= round * ranks.size(), ErrorCode::kInternal, "passed early", round);
      ranks.barrier();
    }
  };
  EXPECT_THAT(run_as_threads(GetParam(), body), Each(IsEmpty()));
}

INSTANTIATE_TEST_SUITE_P(Ranks, Collectives, testing::Values(1, 2, 3, 4, 8));

TEST(LocalCommunicator, LeavesDataAsItIs) {
  const std::unique_ptr<Communicator> local = make_local_communicator();
  std::vector<float> values{1, 2};
  local->wait(local->begin_all_reduce(values, "grad.0"));
  EXPECT_THAT(values, testing::ElementsAre(1, 2));
  EXPECT_THAT(local->all_gather("x"), testing::ElementsAre("x"));
  EXPECT_THROW(local->wait(1), Error);
  local->abort("enough");
  EXPECT_THROW(local->barrier(), Error);
}

}  // namespace
}  // namespace tandem
