// The kernel for AMX on tiles in plain C++, which every machine can run, against sums in the order of the definition.
#include "kernels/cpu/gemm/integer_amx_tile.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/cpu/gemm/integer_tier.h"

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

// A block on its own memory, with scales whose quotients are often ties.
struct QuantizedProblem {
  int64_t rows, columns, depth;
  std::vector<std::byte> a, b, other;
  std::vector<int32_t> seeds;
  std::vector<float> w_scales;
  std::vector<std::byte> memory;
  OutputScales scales;

  QuantizedProblem(int64_t row_count, int64_t column_count, int64_t depth_bytes, DType type, unsigned seed)
      : rows(row_count), columns(column_count), depth(depth_bytes) {
    std::mt19937 random(seed);
    const int64_t padded = (columns + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
    a.resize(static_cast<size_t>(rows * depth)), b.resize(static_cast<size_t>(padded * depth)), other.resize(static_cast<size_t>(rows * columns));
    for (std::vector<std::byte>* bytes : {&a, &b, &other})
      for (std::byte& x : *bytes) x = static_cast<std::byte>(random());
    seeds.resize(static_cast<size_t>(padded)), w_scales.resize(static_cast<size_t>(columns));
    for (int32_t& x : seeds) x = static_cast<int32_t>(random() % 2000) - 1000;
    for (size_t i = 0; i < w_scales.size(); ++i) w_scales[i] = i % 3 == 0 ? 0.5f : 0.25f + 0.001f * static_cast<float>(i);
    memory.resize(output_scales_bytes(columns) + 64);
    auto* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
    scales = make_output_scales({aligned, output_scales_bytes(columns)},
                                {.x_scale = 0.125f, .w_scales = w_scales, .y_scale = 128.0f, .y_type = type, .y_zero = 7});
  }
  IntegerBlock block(std::byte* y) const {
    IntegerBlock block;
    block.a = a.data(), block.a_stride = depth, block.rows = rows, block.depth = depth, block.step = block_depth(depth, kKernel.step).step;
    block.panels = b.data(), block.columns = columns, block.seeds = seeds.data();
    block.result.quantized = y, block.result.stride = columns, block.result.scales = scales;
    return block;
  }
  int32_t number(int64_t r, int64_t c) const {
    int32_t sum = seeds[static_cast<size_t>(c)];
    for (int64_t k = 0; k < depth; ++k)
      sum += static_cast<int32_t>(a[static_cast<size_t>(r * depth + k)]) *
             static_cast<int8_t>(b[static_cast<size_t>(c / 16 * 16 * depth + k / 4 * 64 + c % 16 * 4 + k % 4)]);
    return requantized(sum, scales.exact[c], scales.low, scales.high);
  }
};

template <class Check>
void for_quantized_problems(Check&& check) {
  unsigned seed = 0;
  for (const DType type : {DType::kU8, DType::kI8})
    for (const int64_t rows : {1, 16, 31, 70})
      for (const auto& [columns, depth] : {std::array<int64_t, 2>{16, 64}, {64, 64}, {70, 96}, {200, 160}, {64, 1024}})
        check(QuantizedProblem(rows, columns, depth, type, ++seed), type);
}

TEST(IntegerAmxTile, QuantizesByTheExactFormula) {
  for_quantized_problems([](const QuantizedProblem& p, DType) {
    std::vector<std::byte> y(static_cast<size_t>(p.rows * p.columns));
    kKernel.multiply(p.block(y.data()));
    for (int64_t i = 0; i < p.rows * p.columns; ++i)
      ASSERT_EQ(y[static_cast<size_t>(i)], static_cast<std::byte>(p.number(i / p.columns, i % p.columns) + 7)) << p.columns << ' ' << p.depth;
  });
}

TEST(IntegerAmxTile, AddsAResidualByTheDefinition) {
  for_quantized_problems([](const QuantizedProblem& p, DType type) {
    std::vector<std::byte> y(p.other.size());
    ResidualLines residual;
    residual.own = line_operand({{y.data(), type, {p.rows, p.columns}}, 0.017f, 7}, 1);
    residual.other = line_operand({{p.other.data(), type, {p.rows, p.columns}}, 0.011f, -3}, 1);
    residual.result = line_result(BinaryOp::kAdd, residual.own, residual.other, 0.023f, 5, quantized_range(type));
    residual.combine = integer_tier(Isa::kPortable).combine;
    IntegerBlock block = p.block(y.data());
    block.residual = &residual;
    kKernel.multiply(block);
    for (int64_t i = 0; i < p.rows * p.columns; ++i) {
      const std::byte bits = p.other[static_cast<size_t>(i)];
      const int other = type == DType::kI8 ? static_cast<int8_t>(bits) : static_cast<int>(bits);
      const float sum = static_cast<float>(p.number(i / p.columns, i % p.columns)) * 0.017f + static_cast<float>(other + 3) * 0.011f;
      const IntegerRange range = quantized_range(type);
      ASSERT_EQ(y[static_cast<size_t>(i)], static_cast<std::byte>(quantized(sum / 0.023f, 5, range))) << p.columns << ' ' << p.depth;
    }
  });
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
