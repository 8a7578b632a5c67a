// Under ThreadSanitizer a barrier that is missing from a kernel is a data race, reported with the line of the kernel. The same kernel is
// silent with its barriers, and so with all that the emulator does by itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "cuda_emulator.h"

extern "C" const char* __tsan_default_options() { return "halt_on_error=1"; }

namespace tandem::emulator {
namespace {

enum class Missing { kNone, kBeforeTheRead, kAfterTheRead, kWarpBarrier };

constexpr int kThreads = 64;

// Each thread adds its neighbour's number to its own, again and again.
constexpr int kWriteLine = __LINE__ + 4, kReadLine = __LINE__ + 6;
void neighbours(const int* x, int* y, Missing missing) {
  __shared__ int values[kThreads];
  for (int step = 0; step < 3; ++step) {
    values[threadIdx.x] = x[threadIdx.x] + step;
    if (missing != Missing::kBeforeTheRead) __syncthreads();
    y[threadIdx.x] += values[(threadIdx.x + 1) % kThreads];
    if (missing != Missing::kAfterTheRead) __syncthreads();
  }
}

// Lanes of a warp tell each other a number through shared memory.
constexpr int kWarpReadLine = __LINE__ + 5;
void in_a_warp(int* y, Missing missing) {
  __shared__ int values[kThreads];
  values[threadIdx.x] = 1;
  if (missing != Missing::kWarpBarrier) __syncwarp();
  y[threadIdx.x] = values[threadIdx.x ^ 1];
}

template <class Body>
void run(int blocks, Body body) {
  run_grid({{dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0}, "test_kernel", body});
}

void run_neighbours(Missing missing) {
  std::vector<int> x(kThreads, 1), y(kThreads);
  run(1, [&] { neighbours(x.data(), y.data(), missing); });
  EXPECT_THAT(y, ::testing::Each(6));
}
void run_in_a_warp(Missing missing) {
  std::vector<int> y(kThreads);
  run(1, [&] { in_a_warp(y.data(), missing); });
  EXPECT_THAT(y, ::testing::Each(1));
}

std::string race_at(int line) { return "WARNING: ThreadSanitizer: data race(.|\n)*race_test.cpp:" + std::to_string(line); }

class CudaRaceDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(CudaRaceDeathTest, NoneWithAllBarriers) {
  for (uint64_t seed : {0, 1, 2}) {
    set_schedule_seed(seed);
    run_neighbours(Missing::kNone);
    run_in_a_warp(Missing::kNone);
  }
}

TEST_F(CudaRaceDeathTest, MissingBarrierBeforeARead) {
  EXPECT_DEATH(run_neighbours(Missing::kBeforeTheRead), race_at(kReadLine));
  EXPECT_DEATH(run_neighbours(Missing::kBeforeTheRead), race_at(kWriteLine));
}

TEST_F(CudaRaceDeathTest, MissingBarrierBeforeTheNextWrite) {
  EXPECT_DEATH(run_neighbours(Missing::kAfterTheRead), race_at(kWriteLine));
}

TEST_F(CudaRaceDeathTest, MissingBarrierOfAWarp) { EXPECT_DEATH(run_in_a_warp(Missing::kWarpBarrier), race_at(kWarpReadLine)); }

// Blocks have no order between them; those of different processors are seen to have none.
TEST_F(CudaRaceDeathTest, BlocksThatWriteTheSameElement) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one processor runs all blocks in turn";
  EXPECT_DEATH(
      {
        int sum = 0;
        for (int launch = 0; launch < 50; ++launch) run(64, [&] { sum += 1; });
      },
      "WARNING: ThreadSanitizer: data race");
}

}  // namespace
}  // namespace tandem::emulator
