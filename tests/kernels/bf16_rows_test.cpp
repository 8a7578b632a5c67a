// Runs of bf16 beside half.h, number by number, in memory that ends at a page that cannot be touched.
#include "kernels/cpu/simd/bf16_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu::simd {
namespace {

template <class T>
T* elements(const tandem::test::GuardedMemory& memory) {
  return reinterpret_cast<T*>(memory.bytes().data());
}

TEST(Bf16Rows, EveryNumberIsWidenedAsItIs) {
  constexpr int64_t kAll = 65536;
  const tandem::test::GuardedMemory x(kAll * 2), y(kAll * 4);
  for (int64_t i = 0; i < kAll; ++i) elements<BF16>(x)[i].bits = static_cast<uint16_t>(i);
  bf16_row_ops().widen(elements<BF16>(x), elements<float>(y), kAll);
  for (int64_t i = 0; i < kAll; ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(elements<float>(y)[i]), static_cast<uint32_t>(i) << 16);
}

TEST(Bf16Rows, NarrowsToNearestWithDenormalsAndNan) {
  std::mt19937 random(1);
  for (int64_t n = 0; n < 80; ++n) {
    const tandem::test::GuardedMemory x(static_cast<size_t>(n) * 4), y(static_cast<size_t>(n) * 2);
    for (int64_t i = 0; i < n; ++i) {
      uint32_t bits = static_cast<uint32_t>(random());
      if (random() % 4 == 0) bits = (bits & 0xFFFF0000u) | 0x8000u;     // a tie
      if (random() % 8 == 0) bits &= 0x807FFFFFu;                       // a denormal
      if (random() % 8 == 0) bits |= 0x7F800000u;                       // no number
      elements<float>(x)[i] = std::bit_cast<float>(bits);
    }
    bf16_row_ops().narrow(elements<float>(x), elements<BF16>(y), n);
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(elements<BF16>(y)[i].bits, to_bf16(elements<float>(x)[i]).bits) << n << ' ' << i;
  }
}

TEST(Bf16Rows, MaximaAreThoseOfFloats) {
  std::mt19937 random(2);
  for (const int64_t n : {1, 7, 31, 32, 33, 70})
    for (const int64_t count : {1, 2, 9}) {
      std::vector<tandem::test::GuardedMemory> memory;
      std::vector<const BF16*> rows;
      for (int64_t r = 0; r <= count; ++r) memory.emplace_back(static_cast<size_t>(n) * 2);
      for (int64_t r = 0; r < count; ++r) {
        for (int64_t i = 0; i < n; ++i) elements<BF16>(memory[static_cast<size_t>(r)])[i].bits = static_cast<uint16_t>(random());
        rows.push_back(elements<BF16>(memory[static_cast<size_t>(r)]));
      }
      BF16* y = elements<BF16>(memory.back());
      bf16_row_ops().max(rows.data(), count, y, n);
      for (int64_t i = 0; i < n; ++i) {
        float most = -std::numeric_limits<float>::infinity();
        for (const BF16* row : rows) most = std::isnan(most) || std::isnan(to_float(row[i])) ? NAN : std::max(most, to_float(row[i]));
        if (std::isnan(most)) ASSERT_TRUE(std::isnan(to_float(y[i]))) << n << ' ' << count << ' ' << i;
        else ASSERT_EQ(to_float(y[i]), most) << n << ' ' << count << ' ' << i;
      }
    }
}

TEST(Bf16Rows, MaximaOfZerosInfinitiesAndNan) {
  struct Case {
    std::vector<uint16_t> numbers;
    uint16_t most;
  };
  const Case cases[] = {{{0x8000, 0x0000}, 0x0000},  // -0 is less than 0
                        {{0x0000, 0x8000}, 0x0000},         {{0x8000, 0x8000}, 0x8000},         {{0xBF80, 0x8000}, 0x8000},
                        {{0xFF80, 0xFF80}, 0xFF80},         {{0xFF80, 0xC000, 0xBF80}, 0xBF80}, {{0x3F80, 0x7F80}, 0x7F80},
                        {{0xFFC0, 0x3F80}, 0x7FC0},         {{0x7FC1, 0xFFC0}, 0x7FC1},         {{0x7FC0, 0xFFC1}, 0x7FC1},
                        {{0xBF80, 0xFF81, 0xFF80}, 0x7F81}};
  for (const Case& c : cases) {
    std::vector<BF16> numbers(c.numbers.size());
    std::vector<const BF16*> rows;
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i].bits = c.numbers[i], rows.push_back(&numbers[i]);
    BF16 y;
    bf16_row_ops().max(rows.data(), static_cast<int64_t>(rows.size()), &y, 1);
    EXPECT_EQ(y.bits, c.most) << std::hex << c.numbers[0] << ' ' << c.numbers[1];
  }
}

}  // namespace
}  // namespace tandem::cpu::simd
