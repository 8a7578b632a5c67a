// When the heap is trimmed, and that a server that was crowded becomes small again.
#include "serving/monitor/heap_keeper.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "serving/monitor/process_stats.h"

namespace tandem {
namespace {

constexpr int64_t kMiB = 1 << 20;

TEST(HeapWatch, GrowthIsAnsweredOnceItEnds) {
  HeapWatch watch;
  EXPECT_FALSE(watch.look(20 * kMiB));
  EXPECT_FALSE(watch.look(100 * kMiB)) << "it grows";
  EXPECT_FALSE(watch.look(200 * kMiB)) << "it still does";
  EXPECT_TRUE(watch.look(200 * kMiB));
  watch.trimmed(30 * kMiB);
  EXPECT_FALSE(watch.look(30 * kMiB));
  EXPECT_FALSE(watch.look(33 * kMiB));
  EXPECT_FALSE(watch.look(33 * kMiB)) << "too little";
}

TEST(HeapWatch, WhatIsInUseIsNotAskedForAgain) {
  HeapWatch watch;
  EXPECT_FALSE(watch.look(20 * kMiB));
  EXPECT_FALSE(watch.look(500 * kMiB));  // a model was loaded
  EXPECT_TRUE(watch.look(500 * kMiB));
  watch.trimmed(500 * kMiB);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(watch.look(500 * kMiB));
  EXPECT_FALSE(watch.look(100 * kMiB)) << "and unloaded";
  EXPECT_FALSE(watch.look(130 * kMiB));
  EXPECT_TRUE(watch.look(130 * kMiB)) << "growth counts from the least";
}

TEST(HeapWatch, WhatStaysOfAFloodThatWasTrimmedIsTrimmedAgain) {
  HeapWatch watch;
  EXPECT_FALSE(watch.look(20 * kMiB));
  EXPECT_FALSE(watch.look(300 * kMiB));
  EXPECT_TRUE(watch.look(300 * kMiB));
  watch.trimmed(280 * kMiB);  // still in use
  EXPECT_FALSE(watch.look(60 * kMiB)) << "it shrinks";
  EXPECT_TRUE(watch.look(60 * kMiB));
  watch.trimmed(22 * kMiB);
  EXPECT_FALSE(watch.look(22 * kMiB));
}

TEST(HeapKeeper, AFloodOfBlocksIsGivenBack) {
  const HeapKeeper keeper;
  std::this_thread::sleep_for(std::chrono::milliseconds(1'100));  // it has seen how small we are
  const int64_t before = resident_bytes();
  std::vector<std::unique_ptr<char[]>> top;
  std::thread([&] {  // an arena of its own, with a block in use above what is freed
    std::vector<std::unique_ptr<char[]>> blocks;
    for (int i = 0; i < 16'000; ++i) {
      blocks.push_back(std::make_unique<char[]>(4'000));
      if (i % 50 == 49) top.push_back(std::make_unique<char[]>(2'000));
    }
  })
      .join();
  EXPECT_GT(resident_bytes(), before + 40 * kMiB) << "the heap keeps it";
  for (int i = 0; i < 50 && resident_bytes() > before + 8 * kMiB; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LT(resident_bytes(), before + 8 * kMiB);
}

}  // namespace
}  // namespace tandem
