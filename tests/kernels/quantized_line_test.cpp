// Sums and products of quantized lines, in every tier that the machine has, against the arithmetic of kernels/api/quantize.h: all pairs of
// bytes, under scales that make ties likely; numbers quantized and back; tables.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/api/integer_conv_channels_last.h"
#include "kernels/api/isa.h"
#include "kernels/api/quantize.h"
#include "kernels/cpu/gemm/integer_tier.h"
#include "tests/kernels/guarded_memory.h"

namespace tandem::cpu {
namespace {

struct Scales {
  float a, b, y;
};
constexpr Scales kScales[] = {{0.021f, 0.017f, 0.03f}, {0.5f, 0.25f, 0.5f}, {0.1f, 0.3f, 0.2f},   {1.0f, 1.0f, 2.0f},
                              {1e-30f, 1e-30f, 1e-32f}, {1e30f, 1e30f, 1e-9f}, {0.01f, 0.02f, 7.0f}, {3.0f, 0.1f, 0.0125f},
                              {40.0f, 1.0f, 1e-4f}, {1e5f, 1e5f, 1e-5f}};

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

// A sum by WholeResidual, in 64 bits.
int64_t whole_sum(const WholeResidual& r, int64_t own, int64_t other) {
  const int64_t low = (own * r.own_low + other * r.other_low + r.fraction) >> WholeResidual::kLowBits, sum = low + own * r.own_high + other * r.other_high;
  return std::clamp<int64_t>((sum >> r.shift) + r.addend, 0, 255);
}

// How many formulas a tier found.
struct Found {
  int quick = 0, whole = 0;
};

// What a tier finds must be right for all pairs, by another evaluation.
void expect_quick_is_right(Isa isa, const Scales& s, DType type, Found& found) {
  const std::byte bytes[2] = {};
  const bool is_signed = type == DType::kI8;
  const IntegerRange range = quantized_range(type);
  const int32_t own_zero = is_signed ? -3 : 9, other_zero = is_signed ? 5 : 131, y_zero = is_signed ? -128 : 4;
  const QuantizedResidual residual = {
      .other = {{bytes, type, {2}}, s.b, other_zero}, .type = type, .scale = s.a, .zero = own_zero, .y_scale = s.y, .y_zero = y_zero};
  const QuickResidual quick = quick_residual(residual, type, isa);
  found.quick += quick.is_exact, found.whole += quick.whole.is_exact;
  if (!quick.is_exact && !quick.whole.is_exact) return;
  const auto zero = static_cast<float>(y_zero);
  for (int own = static_cast<int>(range.lowest); own <= static_cast<int>(range.highest); ++own)
    for (int other = static_cast<int>(range.lowest); other <= static_cast<int>(range.highest); ++other) {
      const float sum = std::fma(static_cast<float>(own - own_zero), quick.own_factor,
                                 std::fma(static_cast<float>(other + (is_signed ? 128 : 0)), quick.other_factor, quick.addend));
      const float value = dequantized(static_cast<float>(own), static_cast<float>(own_zero), s.a) +
                          dequantized(static_cast<float>(other), static_cast<float>(other_zero), s.b);
      const std::string pair = std::to_string(own) + ", " + std::to_string(other) + " of scales " + std::to_string(s.a) + ", " + std::to_string(s.b) + ", " + std::to_string(s.y);
      if (quick.is_exact) {
        ASSERT_EQ(quantized(sum, zero, range), quantized(value / s.y, zero, range)) << pair;
      }
      if (quick.whole.is_exact) {
        const int up = is_signed ? 128 : 0;
        ASSERT_EQ(whole_sum(quick.whole, own + up, other + up), quantized(value / s.y, zero, range) + up) << pair;
      }
    }
}

TEST(QuantizedLine, QuickResidualsEqualTheDefinitionForAllPairsOfBytes) {
  std::mt19937 random(11);
  std::uniform_real_distribution<float> scale(0.004f, 0.1f);
  std::vector<Scales> measured(40);  // as calibration finds them
  for (Scales& s : measured) s.a = scale(random), s.b = scale(random), s.y = std::max(s.a, s.b) * (1 + 10 * scale(random));
  for (const Isa isa : available_isas()) {
    Found found, of_any;
    for (const DType type : {DType::kU8, DType::kI8}) {
      for (const Scales& s : kScales) expect_quick_is_right(isa, s, type, of_any);  // where many sums are next to ties, there may be none
      for (const Scales& s : measured) expect_quick_is_right(isa, s, type, found);
    }
    if (integer_tier(isa).block.find_quick) {
      EXPECT_GE(found.quick, 76) << name(isa);
    }
    if (isa == Isa::kVnni) {
      EXPECT_GE(found.whole, 76) << name(isa);
    }
  }
}

// Lines of any length by what a tier finds, the first operand's bytes overwritten; nothing beside them is touched.
TEST(QuantizedLine, SumsOfLinesByQuickResidualsEqualTheDefinition) {
  for (const Isa isa : available_isas())
    for (const DType type : {DType::kU8, DType::kI8})
      for (const int64_t n : {1, 15, 63, 64, 65, 200}) {
        const bool is_signed = type == DType::kI8;
        test::Guarded<std::byte> own(n), other(n);
        for (int64_t i = 0; i < n; ++i) own.data()[i] = static_cast<std::byte>(i * 37 + 11), other.data()[i] = static_cast<std::byte>(i * 91 + n);
        const int32_t own_zero = is_signed ? -120 : 100, other_zero = is_signed ? -7 : 130, y_zero = is_signed ? -100 : 90;
        const QuantizedResidual residual = {
            .other = {{other.data(), type, {n}}, 0.0313f, other_zero}, .type = type, .scale = 0.0177f, .zero = own_zero, .y_scale = 0.0291f, .y_zero = y_zero};
        const LineOperand a = line_operand({{own.data(), type, {n}}, residual.scale, own_zero}, 1), b = line_operand(residual.other, 1);
        LineResult y = line_result(BinaryOp::kAdd, a, b, residual.y_scale, static_cast<float>(y_zero), quantized_range(type));
        y.exact_sum = quick_residual(residual, type, isa);
        ASSERT_TRUE(isa != Isa::kVnni || y.exact_sum.whole.is_exact);
        std::vector<std::byte> expected;
        for (int64_t j = 0; j < n; ++j)
          expected.push_back(static_cast<std::byte>(quantized((number_of(own[j], a) + number_of(other[j], b)) / y.scale, y.zero, {y.lowest, y.highest})));
        integer_tier(isa).combine(a, b, n, y, own.data());
        EXPECT_EQ(std::vector<std::byte>(own.data(), own.data() + n), expected) << name(isa) << ' ' << n;
      }
}

// Scales without a quotient give no formula, and no factor of theirs becomes an integer.
TEST(QuantizedLine, NoQuickResidualsForScalesOfZeroAndInfinity) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  struct Scales {
    float own, other, y;
  };
  for (const Isa isa : available_isas())
    for (const Scales& s : {Scales{0.5f, 0.5f, 0}, Scales{kInfinity, 0.5f, 0.5f}, Scales{0.5f, kInfinity, 0.5f}, Scales{0.5f, 0.5f, kInfinity}}) {
      const QuantizedResidual residual = {
          .other = {{nullptr, DType::kU8, {}}, s.other, 3}, .type = DType::kU8, .scale = s.own, .zero = 5, .y_scale = s.y, .y_zero = 7};
      const QuickResidual quick = quick_residual(residual, DType::kU8, isa);
      EXPECT_FALSE(quick.is_exact) << name(isa) << ' ' << s.y;
      EXPECT_FALSE(quick.whole.is_exact) << name(isa) << ' ' << s.y;
    }
}

// Operands that broadcast, among them a number a channel behind the channels of every pixel, in either place.
TEST(QuantizedLine, BroadcastOperandsEqualTheDefinition) {
  struct Pair {
    Shape a, b;
  };
  const Pair pairs[] = {{{2, 3, 40, 24}, {2, 1, 1, 24}}, {{2, 1, 1, 32}, {2, 9, 60, 32}}, {{700, 17}, {17}}, {{3, 700, 3}, {3}},
                        {{2, 5, 1000}, {2, 1, 1000}},    {{2, 3, 2100}, {2100}},          {{4, 1}, {4, 50}}, {{9, 33}, {9, 33}}, {{2, 70, 1}, {2, 1, 1}}};
  for (const Pair& pair : pairs)
    for (const BinaryOp op : {BinaryOp::kAdd, BinaryOp::kMul})
      for (const DType type : {DType::kU8, DType::kI8}) {
        Shape y(pair.a.rank() > pair.b.rank() ? pair.a : pair.b);
        for (int i = 0; i < y.rank(); ++i) {
          const int in_a = i - y.rank() + pair.a.rank(), in_b = i - y.rank() + pair.b.rank();
          y.set(i, std::max(in_a < 0 ? 1 : pair.a[in_a], in_b < 0 ? 1 : pair.b[in_b]));
        }
        std::vector<std::byte> a(static_cast<size_t>(pair.a.elements())), b(static_cast<size_t>(pair.b.elements()));
        for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<std::byte>(i * 37 + i / 11);
        for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<std::byte>(i * 91 + i / 7);
        const QuantizedOperand one = {{a.data(), type, pair.a}, 0.021f, 3}, two = {{b.data(), DType::kU8, pair.b}, 0.5f, 100};
        const auto value_of = [&](const QuantizedOperand& x, std::span<const int64_t> at) {
          int64_t place = 0;
          for (int i = 0; i < x.x.shape.rank(); ++i) {
            const int64_t index = at[static_cast<size_t>(i + y.rank() - x.x.shape.rank())];
            place = place * x.x.shape[i] + (x.x.shape[i] == 1 ? 0 : index);
          }
          const auto bits = static_cast<uint8_t>(x.x.data[place]);
          return dequantized(x.x.dtype == DType::kI8 ? static_cast<int8_t>(bits) : static_cast<float>(bits), static_cast<float>(x.zero), x.scale);
        };
        for (const int threads : {1, 3}) {
          std::vector<std::byte> out(static_cast<size_t>(y.elements()) + 1, std::byte{77});
          quantized_binary({.threads = threads}, op, one, two, 0.7f, 5, {out.data(), DType::kU8, y});
          std::vector<int64_t> at(static_cast<size_t>(y.rank()));
          for (int64_t i = 0; i < y.elements(); ++i) {
            for (int64_t axis = y.rank() - 1, rest = i; axis >= 0; rest /= y[static_cast<int>(axis)], --axis)
              at[static_cast<size_t>(axis)] = rest % y[static_cast<int>(axis)];
            const float left = value_of(one, at), right = value_of(two, at), value = op == BinaryOp::kAdd ? left + right : left * right;
            ASSERT_EQ(out[static_cast<size_t>(i)], static_cast<std::byte>(quantized(value / 0.7f, 5, {0, 255}))) << to_string(y) << ' ' << i;
          }
          EXPECT_EQ(out.back(), std::byte{77});
        }
      }
}

// Images by one number a channel, as quick_products finds them: by every tier, of channels of every remainder, each image with scales of its own.
void expect_products_are_right(Isa isa, const Scales& s, DType type, int64_t& exact) {
  const bool is_signed = type == DType::kI8;
  const int32_t zero = is_signed ? -3 : 120, scale_zero = is_signed ? 11 : 5, y_zero = is_signed ? -128 : 9;
  // A channel for each byte of scales, a pixel for each of images.
  test::Guarded<std::byte> image(256 * 256), scales(256), out(256 * 256);
  for (int64_t i = 0; i < 256 * 256; ++i) image.data()[i] = static_cast<std::byte>(i / 256 + i % 256);
  for (int64_t i = 0; i < 256; ++i) scales.data()[i] = static_cast<std::byte>(i);
  const QuantizedOperand a = {{image.data(), type, {256, 256}}, s.a, zero}, b = {{scales.data(), type, {1, 256}}, s.b, scale_zero};
  const IntegerTier& tier = integer_tier(isa);
  const auto products = quick_products(a, b, s.y, y_zero, {256, 256}, type, isa), swapped = quick_products(b, a, s.y, y_zero, {256, 256}, type, isa);
  ASSERT_EQ(products == nullptr, swapped == nullptr);
  if (!products) return;
  ASSERT_TRUE(tier.scale_line);
  EXPECT_EQ(products->addend, swapped->addend);
  const LineOperand one = line_operand(a, 1), two = line_operand(b, 1);
  const LineResult y = line_result(BinaryOp::kMul, one, two, s.y, static_cast<float>(y_zero), quantized_range(type));
  for (int64_t pixel = 0; pixel < 256; ++pixel) {
    LineOperand line = one;
    line.data += pixel * 256;
    tier.scale_line(line, products->factor.data(), products->addend.data(), 256, y, out.data() + pixel * 256);
    for (int64_t j = 0; j < 256; ++j) {
      if (!products->is_exact[static_cast<size_t>(j)]) continue;
      const float value = number_of(line.data[j], line) * number_of(scales[j], two);
      ASSERT_EQ(out[pixel * 256 + j], static_cast<std::byte>(quantized(value / y.scale, y.zero, {y.lowest, y.highest})))
          << name(isa) << ' ' << pixel << ' ' << j << ' ' << s.a << ' ' << s.b << ' ' << s.y;
    }
  }
  exact += std::count(products->is_exact.begin(), products->is_exact.end(), true);
}

TEST(QuantizedLine, QuickProductsEqualTheDefinitionForAllPairsOfBytes) {
  std::mt19937 random(17);
  std::uniform_real_distribution<float> scale(0.004f, 0.1f);
  for (const Isa isa : available_isas()) {
    int64_t exact = 0, of_any = 0;
    for (const DType type : {DType::kU8, DType::kI8}) {
      for (const Scales& s : kScales) expect_products_are_right(isa, s, type, of_any);  // of ties, or out of range: there may be none
      for (int i = 0; i < 10; ++i) expect_products_are_right(isa, {scale(random), scale(random) / 10, scale(random)}, type, exact);
    }
    if (integer_tier(isa).scale_line) {
      EXPECT_GE(exact, 20 * 256 - 8) << name(isa);
    }
  }
}

// What was found for the largest shapes of a plan serves smaller ones, where the other operand may be the repeated one, or nothing is left.
TEST(QuantizedLine, ProductsServeSmallerShapes) {
  constexpr int64_t kChannels = 96;
  const Scales s = {0.0313f, 0.0039f, 0.0177f};
  for (const bool is_swapped : {false, true})
    for (const int64_t n : {0, 1, 4})
      for (const int64_t m : {0, 1, 8}) {
        test::Guarded<std::byte> x(4 * kChannels), z(8 * kChannels), out(4 * 8 * kChannels);
        for (int64_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<std::byte>(i * 37 + 5);
        for (int64_t i = 0; i < z.size(); ++i) z.data()[i] = static_cast<std::byte>(i * 91 + 40);
        const auto operands = [&](int64_t first, int64_t second) {
          std::array<QuantizedOperand, 2> both = {QuantizedOperand{{x.data(), DType::kU8, {first, 1, kChannels}}, s.a, 100},
                                                  QuantizedOperand{{z.data(), DType::kU8, {1, second, kChannels}}, s.b, 3}};
          if (is_swapped) std::swap(both[0], both[1]);
          return both;
        };
        const auto [a, b] = operands(n, m);
        const auto [largest_a, largest_b] = operands(4, 8);
        const auto products = quick_products(largest_a, largest_b, s.y, 7, {4, 8, kChannels}, DType::kU8);
        if (n * m == 0) quantized_binary({}, BinaryOp::kAdd, a, b, s.y, 7, {out.data(), DType::kU8, {n, m, kChannels}});
        quantized_binary({}, BinaryOp::kMul, a, b, s.y, 7, {out.data(), DType::kU8, {n, m, kChannels}}, products.get());
        const LineOperand one = line_operand(operands(4, 8)[is_swapped ? 1 : 0], 1), two = line_operand(operands(4, 8)[is_swapped ? 0 : 1], 1);
        for (int64_t i = 0; i < n * m * kChannels; ++i) {
          const int64_t c = i % kChannels, row = i / kChannels;
          const float value = number_of(x[row / m * kChannels + c], one) * number_of(z[row % m * kChannels + c], two);
          ASSERT_EQ(out[i], static_cast<std::byte>(quantized(value / s.y, 7, {0, 255}))) << n << ' ' << m << ' ' << i;
        }
      }
}

TEST(QuantizedLine, ImagesScaledByChannelEqualTheDefinition) {
  int exact = 0, inexact = 0;
  for (const DType type : {DType::kU8, DType::kI8})
    for (const Scales& s : {Scales{0.0313f, 0.0039f, 0.0177f}, Scales{0.1f, 0.3f, 0.2f}})
      for (const int64_t channels : {1, 3, 17, 32, 96, 144, 200, 1000, 2048})
        for (const int64_t pixels : {1, 2, 49}) {
          constexpr int64_t kImages = 3;
          const Shape image = {kImages, pixels, channels}, line = {kImages, 1, channels};
          test::Guarded<std::byte> x(image.elements()), scales(line.elements()), out(image.elements());
          for (int64_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<std::byte>(i * 37 + i / 251);
          for (int64_t i = 0; i < scales.size(); ++i) scales.data()[i] = static_cast<std::byte>(i * 91 + i / 7);
          const QuantizedOperand a = {{x.data(), type, image}, s.a, 100}, b = {{scales.data(), DType::kU8, line}, s.b, 3};
          const auto products = quick_products(a, b, s.y, 7, image, type), swapped = quick_products(b, a, s.y, 7, image, type);
          if (products) {
            const bool are_exact = std::all_of(scales.data(), scales.data() + scales.size(),
                                               [&](std::byte bits) { return products->is_exact[static_cast<size_t>(bits)]; });
            (are_exact ? exact : inexact) += 1;
          }
          const IntegerRange range = quantized_range(type);
          const LineOperand one = line_operand(a, 1), two = line_operand(b, 1);
          for (const int threads : {1, 3})
            for (const bool is_swapped : {false, true}) {
              std::fill_n(out.data(), out.size(), std::byte{77});
              quantized_binary({.threads = threads}, BinaryOp::kMul, is_swapped ? b : a, is_swapped ? a : b, s.y, 7, {out.data(), type, image},
                               is_swapped ? swapped.get() : products.get());
              for (int64_t i = 0; i < out.size(); ++i) {
                const float value = number_of(x[i], one) * number_of(scales[i / (pixels * channels) * channels + i % channels], two);
                ASSERT_EQ(out[i], static_cast<std::byte>(quantized(value / s.y, 7, range))) << to_string(image) << ' ' << i;
              }
            }
        }
  if (integer_tier(chosen_isa()).scale_line) {
    EXPECT_GT(exact, 0);
    EXPECT_GT(inexact, 0);  // those fall back
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
