// Products by weights or of rows that come from memory: however the panels are read (beside each other, in turns, one after the other), every tier
// gives the bits that it gives when they are near, and these are right.
#include "kernels/cpu/gemm/far_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <tuple>
#include <vector>

#include "kernels/cpu/bf16/block.h"
#include "kernels/cpu/gemm/integer_tier.h"
#include "kernels/cpu/gemm/tier.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

using test::Guarded;

constexpr int64_t panels_of(int64_t columns, int64_t width) { return (columns + width - 1) / width; }

// C of a block whose panels lie one after the other, whatever the tier does about them.
std::vector<float> product(const GemmTier<float>& tier, int64_t rows, int64_t cols, int64_t k, const float* a, const float* panels, bool far,
                           bool in_streams) {
  std::vector<float> c(static_cast<size_t>(rows * cols), -7.0f);
  GemmBlock<float> block;
  block.rows = rows, block.cols = cols, block.k = k;
  const int64_t tiles = (rows + tier.mr - 1) / tier.mr, tile = (rows + tiles - 1) / tiles;
  block.a = a, block.a_tile = tile * k, block.a_row = k, block.a_k = 1, block.tile_rows = tile;
  block.b = panels, block.b_panel = k * tier.nr, block.b_k = tier.nr;
  block.b_is_far = far, block.b_in_streams = in_streams;
  block.c = c.data(), block.ldc = cols;
  tier.multiply(block);
  return c;
}

void expect_same_bits(const GemmTier<float>& tier, int64_t rows, int64_t cols, int64_t k) {
  const Guarded<float> a = Guarded<float>::random(rows * k, 1), panels = Guarded<float>::random(panels_of(cols, tier.nr) * tier.nr * k, 2);
  const std::vector<float> near = product(tier, rows, cols, k, a.data(), panels.data(), false, true);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < k; ++i) sum += double(a[r * k + i]) * double(panels[(c / tier.nr * k + i) * tier.nr + c % tier.nr]);
      ASSERT_NEAR(near[static_cast<size_t>(r * cols + c)], sum, 1e-5) << rows << " rows, row " << r << ", column " << c;
    }
  EXPECT_EQ(product(tier, rows, cols, k, a.data(), panels.data(), true, true), near) << rows << " rows in streams";
  EXPECT_EQ(product(tier, rows, cols, k, a.data(), panels.data(), true, false), near) << rows << " rows in order";
}

TEST(FarWeights, OfFloatsGiveTheBitsOfNearOnes) {
  for (const Isa isa : available_isas())
    for (const int64_t many : {1, 4000})  // columns of the whole product: tiers may have a tile for many
      for (const int64_t rows : {1, 2, 3, 4, 7, 8, 12, 16, 24, 25}) {
        SCOPED_TRACE(std::string(name(isa)));
        const GemmTier<float>& tier = gemm_tier<float>(isa, many);
        expect_same_bits(tier, rows, 5 * tier.nr + 3, 61);
      }
}

std::vector<std::byte> bytes_of(int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(static_cast<size_t>(n));
  for (std::byte& x : bytes) x = static_cast<std::byte>(random());
  return bytes;
}

TEST(FarWeights, OfBytesGiveTheSumsOfTheDefinition) {
  constexpr int64_t kColumns = 85, kPanels = panels_of(kColumns, kPanelColumns);
  const std::vector<int32_t> seeds(kPanels * kPanelColumns, 5);
  for (const Isa isa : available_isas())
    for (const auto& [rows, depth, in_order, rows_are_far] : std::vector<std::tuple<int64_t, int64_t, bool, bool>>{
             {1, 64, true, false}, {2, 64, true, false}, {13, 64, true, false}, {1, 1600, true, false}, {1, 1600, false, false}, {7, 1600, false, false}, {13, 1600, false, false}, {30, 1600, false, false},
             {13, 64, false, true}, {25, 64, false, true}, {30, 1600, false, true}}) {
      SCOPED_TRACE(std::string(name(isa)));
      const std::vector<std::byte> a = bytes_of(rows * depth, 1), panels = bytes_of(kPanels * kPanelColumns * depth, 2);
      std::vector<int32_t> sums(static_cast<size_t>(rows * kColumns));
      IntegerBlock block;
      block.a = a.data(), block.a_stride = depth, block.rows = rows, block.depth = depth;
      block.step = block_depth(depth, integer_tier(isa).block.step).step;
      block.panels = panels.data(), block.columns = kColumns, block.seeds = seeds.data();
      block.in_order = in_order, block.rows_are_far = rows_are_far;
      block.result.sums = sums.data(), block.result.stride = kColumns;
      integer_tier(isa).block.multiply(block);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < kColumns; ++c) {
          int32_t sum = 5;
          for (int64_t k = 0; k < depth; ++k)
            sum += static_cast<int32_t>(a[static_cast<size_t>(r * depth + k)]) *
                   static_cast<int8_t>(panels[static_cast<size_t>(c / 16 * 16 * depth + k / 4 * 64 + c % 16 * 4 + k % 4)]);
          ASSERT_EQ(sums[static_cast<size_t>(r * kColumns + c)], sum) << r << ' ' << c << " of depth " << depth << (rows_are_far ? ", far rows" : "");
        }
    }
}

TEST(FarWeights, OfBf16GiveTheBitsOfNearOnes) {
  constexpr int64_t kColumns = 85, kTerms = 32, kDepth = 2 * kTerms, kPanels = panels_of(kColumns, kPanelColumns);
  const std::vector<float> seeds(kPanels * kPanelColumns, 0.25f);
  const auto numbers = [](int64_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<BF16> numbers(static_cast<size_t>(n));
    for (BF16& x : numbers) x = to_bf16(uniform(random));
    return numbers;
  };
  for (const Isa isa : available_isas())
    for (const int64_t rows : {1, 2, 13}) {
      SCOPED_TRACE(std::string(name(isa)));
      const std::vector<BF16> a = numbers(rows * kTerms, 1), panels = numbers(kPanels * kPanelColumns * kTerms, 2);
      const auto run = [&](bool in_order, bool rows_are_far) {
        std::vector<float> c(static_cast<size_t>(rows * kColumns));
        Bf16Block block;
        block.a = reinterpret_cast<const std::byte*>(a.data()), block.a_stride = kDepth, block.rows = rows, block.depth = kDepth;
        block.step = block_depth(kDepth, bf16_kernel(isa).step).step;
        block.panels = reinterpret_cast<const std::byte*>(panels.data()), block.columns = kColumns, block.seeds = seeds.data();
        block.in_order = in_order, block.rows_are_far = rows_are_far;
        block.result = {reinterpret_cast<std::byte*>(c.data()), false, kColumns};
        bf16_kernel(isa).multiply(block);
        return c;
      };
      const std::vector<float> near = run(false, false);
      EXPECT_EQ(run(true, false), near) << rows;
      EXPECT_EQ(run(false, true), near) << rows << " far rows";
      double sum = 0.25;
      for (int64_t k = 0; k < kTerms; ++k)
        sum += double(to_float(a[static_cast<size_t>(k)])) * double(to_float(panels[static_cast<size_t>(k / 2 * 32 + k % 2)]));
      EXPECT_NEAR(near[0], sum, 1e-5);
    }
}

// Few rows ask ahead for the panels of a large matrix, not for one panel alone.
TEST(FarWeights, OfBf16GiveTheBitsOfOnePanelAlone) {
  constexpr int64_t kColumns = 96, kTerms = 800, kDepth = 2 * kTerms;
  const std::vector<float> seeds(kColumns, 0.25f);
  const Guarded<float> numbers = Guarded<float>::random((30 + kColumns) * kTerms, 3);
  std::vector<BF16> all;
  for (int64_t i = 0; i < numbers.size(); ++i) all.push_back(to_bf16(numbers[i]));
  const auto* const a = reinterpret_cast<const std::byte*>(all.data());
  for (const Isa isa : available_isas())
    for (const int64_t rows : {1, 7, 13, 30}) {
      SCOPED_TRACE(std::string(name(isa)));
      const auto run = [&](int64_t first, int64_t columns) {
        std::vector<float> c(static_cast<size_t>(rows * kColumns));
        Bf16Block block;
        block.a = a, block.a_stride = kDepth, block.rows = rows, block.depth = kDepth, block.step = block_depth(kDepth, bf16_kernel(isa).step).step;
        block.panels = a + (30 + first) * kDepth, block.columns = columns, block.seeds = seeds.data();
        block.result = {reinterpret_cast<std::byte*>(c.data() + first), false, kColumns};
        bf16_kernel(isa).multiply(block);
        return c;
      };
      const std::vector<float> together = run(0, kColumns);
      for (int64_t panel = 0; panel < kColumns; panel += kPanelColumns) {
        const std::vector<float> alone = run(panel, kPanelColumns);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t i = r * kColumns + panel; i < r * kColumns + panel + kPanelColumns; ++i)
            ASSERT_EQ(together[static_cast<size_t>(i)], alone[static_cast<size_t>(i)]) << rows << " rows, panel " << panel;
      }
    }
}

TEST(FarWeights, AreReadInOrderByOneRowAtMost) {
  EXPECT_FALSE(reads_in_order(1, kFarRowBytes));
  EXPECT_EQ(reads_in_order(1, kFarRowBytes + 1), !reads_best_in_streams());
  EXPECT_FALSE(reads_in_order(2, 64 * kFarBytes));
  EXPECT_EQ(reads_in_order(1, 64 * kFarBytes), !reads_best_in_streams());
}

}  // namespace
}  // namespace tandem::cpu
