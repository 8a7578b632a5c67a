// Sums and products of quantized lines, in every tier that the machine has, against the arithmetic of kernels/api/quantize.h: all pairs of
// bytes, under scales that make ties likely; numbers quantized and back; tables.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "kernels/api/isa.h"
#include "kernels/api/quantize.h"
#include "kernels/cpu/gemm/integer_tier.h"

namespace tandem::cpu {
namespace {

struct Scales {
  float a, b, y;
};
constexpr Scales kScales[] = {{0.021f, 0.017f, 0.03f}, {0.5f, 0.25f, 0.5f}, {0.1f, 0.3f, 0.2f},   {1.0f, 1.0f, 2.0f},
                              {1e-30f, 1e-30f, 1e-32f}, {1e30f, 1e30f, 1e-9f}, {0.01f, 0.02f, 7.0f}, {3.0f, 0.1f, 0.0125f}};

float number_of(std::byte bits, const LineOperand& x) {
  return dequantized(static_cast<float>(static_cast<uint8_t>(bits ^ x.flip)), static_cast<float>(x.zero), x.scale);
}

struct Result {
  BinaryOp op;
  float scale, zero;
  IntegerRange range;
};

void expect_definition(const IntegerTier& tier, const LineOperand& a, const LineOperand& b, int64_t n, const Result& to) {
  const LineResult y = line_result(to.op, a, b, to.scale, to.zero, to.range);
  std::vector<std::byte> out(static_cast<size_t>(n) + 1, std::byte{77});
  tier.combine(a, b, n, y, out.data());
  for (int64_t j = 0; j < n; ++j) {
    const float one = number_of(a.data[j * a.step], a), two = number_of(b.data[j * b.step], b);
    const float value = y.op == BinaryOp::kAdd ? one + two : one * two;
    const auto expected = static_cast<std::byte>(quantized(value / y.scale, y.zero, {y.lowest, y.highest}));
    ASSERT_EQ(out[static_cast<size_t>(j)], expected) << one << ' ' << two << ' ' << y.scale;
  }
  EXPECT_EQ(out.back(), std::byte{77});
}

TEST(QuantizedLine, EqualsTheDefinitionForAllPairsOfBytes) {
  std::vector<std::byte> bytes(256 + 19);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  for (const Isa isa : available_isas())
    for (const BinaryOp op : {BinaryOp::kAdd, BinaryOp::kMul})
      for (const Scales& s : kScales)
        for (const bool is_signed : {false, true}) {
          const std::byte flip = is_signed ? std::byte{0x80} : std::byte{0};
          const IntegerRange range = is_signed ? IntegerRange{-128, 127} : IntegerRange{0, 255};
          const Result y = {op, s.y, is_signed ? -5.0f : 7.0f, range};
          const LineOperand a = {bytes.data(), 1, flip, s.a, 120};
          for (size_t i = 0; i < 256; ++i) {
            expect_definition(integer_tier(isa), a, {&bytes[i], 0, flip, s.b, 3}, 256, y);
            if (i < 19) expect_definition(integer_tier(isa), a, {&bytes[i], 1, flip, s.b, 131}, static_cast<int64_t>(237 + i), y);
          }
          expect_definition(integer_tier(isa), {&bytes[9], 0, flip, s.a, 12}, a, 100, y);
        }
}

TEST(QuantizedLine, QuantizesAndDequantizes) {
  std::vector<std::byte> bytes(256 + 13);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 5);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> floats = {0.5f, 1.5f, -2.5f, 1e30f, -1e30f, kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(), -0.0f};
  for (int i = -300; i < 300; ++i) floats.push_back(static_cast<float>(i) * 0.125f);
  for (const Isa isa : available_isas())
    for (const float scale : {0.25f, 0.1f, 1e-20f}) {
      const LineOperand x = {bytes.data(), 1, std::byte{0x80}, scale, 100};
      std::vector<float> numbers(bytes.size());
      integer_tier(isa).dequantize(x, static_cast<int64_t>(bytes.size()), numbers.data());
      for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(numbers[i], number_of(bytes[i], x));
      const IntegerRange range = {-128, 127};
      std::vector<std::byte> y(floats.size());
      integer_tier(isa).quantize(floats.data(), static_cast<int64_t>(floats.size()), scale, -3, range, y.data());
      for (size_t i = 0; i < floats.size(); ++i)
        ASSERT_EQ(y[i], static_cast<std::byte>(quantized(floats[i] / scale, -3, range))) << floats[i];
    }
}

TEST(QuantizedLine, LooksUpEveryByte) {
  std::vector<std::byte> x(256 + 77), table(256);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::byte>(i * 7);
  for (size_t i = 0; i < 256; ++i) table[i] = static_cast<std::byte>(i * i + 3 * i / 2);
  for (const Isa isa : available_isas()) {
    std::vector<std::byte> y(x.size() + 1, std::byte{77}), in_place = x;
    const auto n = static_cast<int64_t>(x.size());
    integer_tier(isa).look_up(x.data(), table.data(), n, y.data());
    integer_tier(isa).look_up(in_place.data(), table.data(), n, in_place.data());
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(y[i], table[static_cast<size_t>(x[i])]) << i;
      ASSERT_EQ(in_place[i], y[i]) << i;
    }
    EXPECT_EQ(y.back(), std::byte{77});
  }
}

}  // namespace
}  // namespace tandem::cpu
