// Offset packing against its definition: blocks alive together never overlap, and the sum is never below the lower bound.
#include "runtime/plan/offsets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tandem {
namespace {

void expect_disjoint(const std::vector<Block>& blocks, const Packing& packing) {
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(packing.offsets[i] % kArenaAlignment, 0);
    EXPECT_LE(packing.offsets[i] + blocks[i].bytes, packing.bytes);
    for (size_t j = 0; j < i; ++j) {
      const bool together = blocks[i].first <= blocks[j].last && blocks[j].first <= blocks[i].last;
      if (!together || !blocks[i].bytes || !blocks[j].bytes) continue;
      EXPECT_TRUE(packing.offsets[i] + blocks[i].bytes <= packing.offsets[j] ||
                  packing.offsets[j] + blocks[j].bytes <= packing.offsets[i])
          << "blocks " << i << " and " << j;
    }
  }
}

TEST(Offsets, RandomBlocksNeverOverlapAndStayNearTheLowerBound) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<Block> blocks(static_cast<size_t>(1 + random() % 60));
    for (Block& block : blocks) {
      block.first = static_cast<int>(random() % 50);
      block.last = block.first + static_cast<int>(random() % 10);
      block.bytes = static_cast<int64_t>(random() % 4 == 0 ? 0 : random() % 100'000);
    }
    const Packing packing = pack(blocks);
    expect_disjoint(blocks, packing);
    EXPECT_GE(packing.bytes, lower_bound(blocks));
    EXPECT_LE(static_cast<double>(packing.bytes), 1.5 * static_cast<double>(lower_bound(blocks)) + 1);
  }
}

TEST(Offsets, AChainNeedsTwoBlocksOnly) {
  std::vector<Block> chain;
  for (int i = 0; i < 100; ++i) chain.push_back({1024, i, i + 1});
  EXPECT_EQ(pack(chain).bytes, 2048);
  EXPECT_EQ(lower_bound(chain), 2048);
}

// Sizes and times at which every greedy order leaves holes: the search closes them.
TEST(Offsets, TheSearchComesNearTheBoundWhereGreedyOrdersDoNot) {
  std::mt19937 random(7);
  int64_t packed = 0, bound = 0;
  for (int round = 0; round < 30; ++round) {
    std::vector<Block> blocks;
    for (int i = 0; i < 120; ++i)
      blocks.push_back({static_cast<int64_t>(1 + random() % 64) * 4096, i, i + 1 + static_cast<int>(random() % (i % 7 == 0 ? 40 : 4))});
    const Packing packing = pack(blocks);
    expect_disjoint(blocks, packing);
    packed += packing.bytes;
    bound += lower_bound(blocks);
  }
  EXPECT_LE(static_cast<double>(packed), 1.03 * static_cast<double>(bound));
}

// All alive to the end, as activations kept for a backward pass: too many pairs to look at.
// The first layers of MNASNet: all room is taken at three steps, so where the middle ones lie leaves the others one place each.
TEST(Offsets, BlocksThatFillTheArenaAtSeveralStepsFindTheirPlaces) {
  const std::vector<Block> blocks = {{147456, 0, 1}, {393216, 1, 2}, {393216, 2, 3}, {196608, 3, 4}, {589824, 4, 5}, {147456, 5, 6}};
  EXPECT_EQ(lower_bound(blocks), 786432);
  EXPECT_EQ(pack(blocks).bytes, 786432);
}

TEST(Offsets, VeryManyBlocksArePackedByTime) {
  constexpr int kSteps = 50'000;
  std::vector<Block> blocks;
  for (int i = 0; i < kSteps; ++i) blocks.push_back({256, i, 2 * kSteps - i}), blocks.push_back({128, i, i + 1});
  const Packing packing = pack(blocks);
  EXPECT_GE(packing.bytes, lower_bound(blocks));
  EXPECT_LE(static_cast<double>(packing.bytes), 1.01 * static_cast<double>(lower_bound(blocks)));
  std::vector<std::pair<int64_t, int64_t>> at_the_middle;
  for (size_t i = 0; i < blocks.size(); ++i)
    if (blocks[i].first <= kSteps - 1 && blocks[i].last >= kSteps - 1) at_the_middle.emplace_back(packing.offsets[i], blocks[i].bytes);
  std::ranges::sort(at_the_middle);
  for (size_t i = 1; i < at_the_middle.size(); ++i)
    ASSERT_LE(at_the_middle[i - 1].first + at_the_middle[i - 1].second, at_the_middle[i].first);
}

TEST(Offsets, NothingNeedsNothing) {
  EXPECT_EQ(pack({}).bytes, 0);
  EXPECT_EQ(lower_bound({}), 0);
}

}  // namespace
}  // namespace tandem
