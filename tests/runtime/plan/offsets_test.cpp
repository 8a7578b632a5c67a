// Offset packing against its definition: blocks alive together never overlap, and the sum is never below the lower bound.
#include "runtime/plan/offsets.h"

#include <gtest/gtest.h>

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

TEST(Offsets, NothingNeedsNothing) {
  EXPECT_EQ(pack({}).bytes, 0);
  EXPECT_EQ(lower_bound({}), 0);
}

}  // namespace
}  // namespace tandem
