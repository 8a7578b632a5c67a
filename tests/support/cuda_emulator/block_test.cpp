// The emulated thread block: coordinates, barriers, warp collectives, shared memory, and what ends the program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <vector>

#include "cuda_emulator.h"

namespace tandem::emulator {
namespace {

using ::testing::Each;

template <class Body>
void run(dim3 grid, dim3 block, Body body, size_t shared = 0) {
  run_grid({{grid, block, shared}, "test_kernel", body});
}

class EmulatedBlock : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  void TearDown() override { set_schedule_seed(0); }
};

TEST_F(EmulatedBlock, EveryThreadOfEveryBlockRunsOnceAndKnowsItsPlace) {
  const dim3 grid(3, 4, 2), block(5, 2, 3);
  std::vector<int> runs(3 * 4 * 2 * 5 * 2 * 3);
  run(grid, block, [&] {
    EXPECT_EQ(gridDim.y, 4u);
    EXPECT_EQ(blockDim.z, 3u);
    const unsigned in_grid = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const unsigned in_block = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    EXPECT_EQ(this_thread().linear, in_block);
    ++runs[in_grid * 30 + in_block];
  });
  EXPECT_THAT(runs, Each(1));
}

TEST_F(EmulatedBlock, ManyBlocksRunOnManyProcessors) {
  std::vector<int> runs(1000 * 64);
  for (int launch = 0; launch < 20; ++launch) run(1000, 64, [&] { ++runs[blockIdx.x * 64 + threadIdx.x]; });
  EXPECT_THAT(runs, Each(20));
}

// Each thread writes, and then reads what all others of the block wrote.
void rotate(std::vector<int>& out, bool with_barrier) {
  std::vector<int> written(256, -1);
  run(1, 256, [&] {
    for (unsigned step = 1; step < 4; ++step) {
      written[threadIdx.x] = static_cast<int>(threadIdx.x * step);
      if (with_barrier) __syncthreads();
      out[threadIdx.x] = written[(threadIdx.x + 1) % 256];
      if (with_barrier) __syncthreads();
    }
  });
}

TEST_F(EmulatedBlock, BarrierSeparatesWritesFromReads) {
  for (uint64_t seed : {0, 1, 2, 3}) {
    set_schedule_seed(seed);
    std::vector<int> out(256);
    rotate(out, true);
    for (unsigned i = 0; i < 256; ++i) EXPECT_EQ(out[i], static_cast<int>((i + 1) % 256 * 3));
#if !defined(__SANITIZE_THREAD__)  // it would report the race
    std::vector<int> without(256);
    rotate(without, false);
    EXPECT_NE(without, out) << "a missing barrier shows";
#endif
  }
}

TEST_F(EmulatedBlock, SeedChangesTheOrderOfThreads) {
  const auto order = [](uint64_t seed) {
    set_schedule_seed(seed);
    std::vector<unsigned> turns(64);
    std::atomic<unsigned> turn = 0;
    run(1, 64, [&] { turns[turn++] = threadIdx.x; });
    return turns;
  };
  std::vector<unsigned> ascending(64);
  std::iota(ascending.begin(), ascending.end(), 0);
  EXPECT_EQ(order(0), ascending);
  EXPECT_NE(order(1), ascending);
  EXPECT_NE(order(1), order(2));
  EXPECT_EQ(order(2), order(2));
}

TEST_F(EmulatedBlock, ShufflesMoveValuesBetweenLanes) {
  for (uint64_t seed : {0, 7}) {
    set_schedule_seed(seed);
    run(2, 96, [] {
      const int lane = static_cast<int>(threadIdx.x % 32), mine = static_cast<int>(threadIdx.x) * 10, warp = static_cast<int>(threadIdx.x) - lane;
      EXPECT_EQ(__shfl_sync(~0u, mine, 5), (warp + 5) * 10);
      EXPECT_EQ(__shfl_sync(~0u, mine, 5, 8), (warp + lane / 8 * 8 + 5) * 10);
      EXPECT_EQ(__shfl_xor_sync(~0u, mine, 3), (warp + (lane ^ 3)) * 10);
      EXPECT_EQ(__shfl_down_sync(~0u, mine, 4), lane < 28 ? mine + 40 : mine);
      EXPECT_EQ(__shfl_up_sync(~0u, mine, 1, 16), lane % 16 ? mine - 10 : mine);
      EXPECT_EQ(__shfl_sync(~0u, mine + 0.5, 31), (warp + 31) * 10 + 0.5);
    });
  }
}

TEST_F(EmulatedBlock, VotesSeeAllLanesOfTheMask) {
  run(1, 64, [] {
    const unsigned lane = threadIdx.x % 32;
    EXPECT_EQ(__ballot_sync(~0u, lane % 2), 0xAAAAAAAAu);
    EXPECT_TRUE(__any_sync(~0u, lane == 7));
    EXPECT_FALSE(__all_sync(~0u, lane == 7));
    EXPECT_TRUE(__all_sync(~0u, lane < 32));
  });
}

TEST_F(EmulatedBlock, PartsOfAWarpExchangeApart) {
  run(1, 32, [] {
    const bool low = threadIdx.x < 12;
    int sum = 0;
    for (int i = 0; i < (low ? 1 : 3); ++i)
      sum += __shfl_sync(low ? 0x00000FFFu : 0xFFFFF000u, static_cast<int>(threadIdx.x), low ? 3 : 20);
    EXPECT_EQ(sum, low ? 3 : 60);
  });
}

TEST_F(EmulatedBlock, LastWarpMayBePartial) {
  run(1, 40, [] {
    const int lanes = threadIdx.x < 32 ? 32 : 8;
    EXPECT_EQ(__ballot_sync(~0u, 1), lanes == 32 ? ~0u : 0xFFu);
  });
}

TEST_F(EmulatedBlock, SharedMemoryIsTheBlocksOwnAndStartsAsNaN) {
  std::vector<float> sums(50);
  run(
      50, 64,
      [&] {
        float* values = cuda::dynamic_shared<float>();
        EXPECT_TRUE(std::isnan(values[threadIdx.x]));
        __shared__ float scale;
        if (threadIdx.x == 0) scale = static_cast<float>(blockIdx.x);
        values[threadIdx.x] = 1;
        __syncthreads();
        if (threadIdx.x == 0) sums[blockIdx.x] = scale * std::accumulate(values, values + 64, 0.0f);
      },
      64 * sizeof(float));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(sums[static_cast<size_t>(i)], 64.0f * static_cast<float>(i));
}

TEST_F(EmulatedBlock, IntegersAddAtomically) {
  int sum = 0;
  run(200, 128, [&] { atomicAdd(&sum, static_cast<int>(threadIdx.x)); });
  EXPECT_EQ(sum, 200 * 127 * 64);
}

using EmulatedBlockDeathTest = EmulatedBlock;

TEST_F(EmulatedBlockDeathTest, BarrierThatNotAllReach) {
  const auto diverge = [] {
    run(1, 64, [] {
      if (threadIdx.x != 5) __syncthreads();
    });
  };
  EXPECT_DEATH(diverge(), "not all of its threads reach in test_kernel, block \\(0,0,0\\)\n  thread 0 waits at __syncthreads");
  EXPECT_DEATH(diverge(), "63 threads wait, 1 have ended");
}

TEST_F(EmulatedBlockDeathTest, ShuffleThatALaneMisses) {
  EXPECT_DEATH(run(1, 32, [] {
                 if (threadIdx.x) __shfl_sync(~0u, 1, 0);
               }),
               "thread 1 waits at a warp collective");
}

TEST_F(EmulatedBlockDeathTest, MaskWithoutItsOwnLane) {
  EXPECT_DEATH(run(1, 32, [] { __shfl_sync(1u, 1, 0); }), "a lane that its own mask does not name");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
int deeper(int n) {
  volatile char room[1024];
  room[n % 1024] = static_cast<char>(n);
  return n == 0 ? 0 : deeper(n - 1) + room[n % 1024];
}

TEST_F(EmulatedBlockDeathTest, StackUsedUp) {
  EXPECT_DEATH(run(1, 32,
                   [] {
                     __syncthreads();
                     deeper(1000);
                   }),
               "cuda emulator: thread 31 of test_kernel uses more than the 64 KiB of stack");
}
#endif

}  // namespace
}  // namespace tandem::emulator
