// The kernel for AMX on tiles in plain C++, which every machine can run, against sums in the order of the definition.
#include "kernels/cpu/gemm/integer_amx_tile.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tandem::cpu {
namespace {

struct PlainFinish {
  static constexpr bool kOwnFinish = false;
};
constexpr IntegerBlockKernel kKernel = make_amx_kernel<PlainTiles, PlainFinish>({});

TEST(IntegerAmxTile, EqualsTheDefinition) {
  std::mt19937 random(3);
  for (const bool a_signed : {false, true})
    for (const int64_t rows : {1, 15, 16, 17, 31, 33, 49, 100})
      for (const auto& [columns, depth] : {std::array<int64_t, 2>{1, 4}, {16, 64}, {17, 96}, {32, 160}, {70, 256}}) {
        const BlockDepth steps = block_depth(depth, kKernel.step);
        ASSERT_EQ(steps.bytes, depth);
        const int64_t panels = (columns + kPanelColumns - 1) / kPanelColumns, stride = depth + 12;
        std::vector<std::byte> a(static_cast<size_t>((rows - 1) * stride + depth)), b(static_cast<size_t>(panels * kPanelColumns * depth));
        for (std::byte& x : a) x = static_cast<std::byte>(random());
        for (std::byte& x : b) x = static_cast<std::byte>(random());
        std::vector<int32_t> seeds(static_cast<size_t>(panels * kPanelColumns)), sums(static_cast<size_t>(rows * columns));
        for (int32_t& x : seeds) x = static_cast<int32_t>(random());
        IntegerBlock block;
        block.a = a.data(), block.a_signed = a_signed, block.a_stride = stride, block.rows = rows;
        block.depth = depth, block.step = steps.step;
        block.panels = b.data(), block.columns = columns, block.seeds = seeds.data();
        block.result.sums = sums.data(), block.result.stride = columns;
        kKernel.multiply(block);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < columns; ++c) {
            auto sum = static_cast<uint32_t>(seeds[static_cast<size_t>(c)]);
            for (int64_t k = 0; k < depth; ++k) {
              const std::byte x = a[static_cast<size_t>(r * stride + k)];
              const std::byte w = b[static_cast<size_t>(c / 16 * 16 * depth + k / 4 * 64 + c % 16 * 4 + k % 4)];
              sum += static_cast<uint32_t>((a_signed ? static_cast<int8_t>(x) : static_cast<int>(x)) * static_cast<int8_t>(w));
            }
            ASSERT_EQ(sums[static_cast<size_t>(r * columns + c)], static_cast<int32_t>(sum)) << rows << ' ' << columns << ' ' << depth;
          }
      }
}

TEST(IntegerAmxTile, StepsComeOutEvenWhereTheyCan) {
  for (const int64_t k : {16, 24, 40, 64, 96, 112, 144, 160, 240, 320, 480, 672, 960, 1152}) {
    const BlockDepth depth = block_depth(k, 64);
    EXPECT_EQ(depth.bytes, k);
    EXPECT_EQ(depth.bytes % depth.step, 0);
    EXPECT_LE(depth.step, 64);
  }
  for (const int64_t k : {1, 3, 27, 35, 147, 1001}) {
    const BlockDepth depth = block_depth(k, 64);
    EXPECT_GE(depth.bytes, k);
    EXPECT_EQ(depth.bytes % depth.step, 0);
    EXPECT_EQ(depth.step % 4, 0);
    EXPECT_EQ(block_depth(k, 4).bytes, (k + 3) / 4 * 4);
  }
}

}  // namespace
}  // namespace tandem::cpu
