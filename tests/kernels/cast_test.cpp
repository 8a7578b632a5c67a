// The narrow types by brute force: every pattern is decoded by the definition of its format, and what is rounded to it is
// compared with the nearest of all its numbers. Casts between all pairs of types, and numbers from text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/api/cast.h"
#include "kernels/api/convert.h"
#include "kernels/base/dtype_families.h"

namespace tandem {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();

// A format by its definition, independent of the code under test.
struct Definition {
  int exponent_bits, fraction_bits, bias;
  enum { kIeee, kNanOnly, kOneZero, kFinite } kind;
};

double number_of(const Definition& d, int bits) {
  const int sign_bit = d.exponent_bits + d.fraction_bits, magnitude = bits & ((1 << sign_bit) - 1), sign = bits >> sign_bit;
  const int exponent = magnitude >> d.fraction_bits, fraction = magnitude & ((1 << d.fraction_bits) - 1);
  const int top = (1 << d.exponent_bits) - 1;
  if (d.kind == Definition::kOneZero && sign && magnitude == 0) return kNan;
  if (d.kind == Definition::kNanOnly && magnitude == (1 << sign_bit) - 1) return kNan;
  if (d.kind == Definition::kIeee && exponent == top) return fraction ? kNan : sign ? -kInfinity : kInfinity;
  const double scale = std::pow(2.0, -d.fraction_bits);
  const double value =
      exponent ? std::pow(2.0, exponent - d.bias) * (1 + fraction * scale) : std::pow(2.0, 1 - d.bias) * fraction * scale;
  return sign ? -value : value;
}

// The positive finite numbers of a format, in order; their position is their pattern.
std::vector<double> ladder(const Definition& d) {
  std::vector<double> numbers;
  for (int bits = 0; bits < 1 << (d.exponent_bits + d.fraction_bits); ++bits)
    if (const double x = number_of(d, bits); std::isfinite(x)) numbers.push_back(x);
  return numbers;
}

// The pattern of the nearest number, ties to the even pattern; the size of the ladder if x is nearer to the number that would
// come next.
size_t nearest(const std::vector<double>& numbers, double x) {
  const size_t above = static_cast<size_t>(std::lower_bound(numbers.begin(), numbers.end(), x) - numbers.begin());
  if (above == 0) return 0;
  const double low = numbers[above - 1], high = above < numbers.size() ? numbers[above] : low + (low - numbers[above - 2]);
  if (x - low == high - x) return above - 1 + (above - 1) % 2;
  return x - low < high - x ? above - 1 : above;
}

// Around every number and every middle between two, and far away.
std::vector<double> probes(const std::vector<double>& numbers) {
  std::vector<double> points = {1e-300, 5e-324, 1e9, 1e30, 1e300, kInfinity};
  for (size_t i = 0; i < numbers.size(); ++i) {
    const double next = i + 1 < numbers.size() ? numbers[i + 1] : 2 * numbers[i] - numbers[i - 1],
                 middle = (numbers[i] + next) / 2;
    for (double at : {numbers[i], middle, next})
      for (double x : {at, std::nextafter(at, 0.0), std::nextafter(at, kInfinity)}) points.push_back(x);
  }
  return points;
}

template <class T>
void check_format(const Definition& d, bool has_infinity) {
  SCOPED_TRACE(name(dtype_of<T>));
  const int patterns = 1 << (1 + d.exponent_bits + d.fraction_bits);
  for (int bits = 0; bits < patterns; ++bits) {
    const double expected = number_of(d, bits), actual = static_cast<double>(to_float(T{static_cast<uint8_t>(bits)}));
    ASSERT_TRUE(actual == expected || (std::isnan(actual) && std::isnan(expected)))
        << bits << " is " << actual << ", not " << expected;
    EXPECT_TRUE(expected != 0 || std::signbit(actual) == std::signbit(expected)) << bits;
  }
  const std::vector<double> numbers = ladder(d);
  for (double x : probes(numbers))
    for (double sign : {1.0, -1.0}) {
      const size_t at = nearest(numbers, x);
      const double largest = sign * numbers.back();
      const double saturated = at < numbers.size() ? sign * numbers[at] : largest;
      const double open = at < numbers.size() || d.kind == Definition::kFinite ? saturated
                          : has_infinity                                       ? sign * kInfinity
                                                                               : kNan;
      EXPECT_EQ(to_float(to_narrow<T>(sign * x)), static_cast<float>(saturated)) << sign * x;
      const float kept = to_float(to_narrow<T>(sign * x, {.saturate = false}));
      EXPECT_TRUE(kept == static_cast<float>(open) || (std::isnan(kept) && std::isnan(open))) << sign * x << " became " << kept;
    }
  const float nan = to_float(to_narrow<T>(kNan));
  EXPECT_TRUE(d.kind == Definition::kFinite ? nan == 0 : std::isnan(nan));
  const bool keeps_sign = d.kind != Definition::kOneZero;
  EXPECT_EQ(std::signbit(to_float(to_narrow<T>(-0.0))), keeps_sign);
  EXPECT_EQ(std::signbit(to_float(to_narrow<T>(-1e-30))), keeps_sign);
}

TEST(Narrow, FloatsOfEightBitsAreThoseOfTheirDefinition) {
  check_format<F8E4M3FN>({4, 3, 7, Definition::kNanOnly}, false);
  check_format<F8E4M3FNUZ>({4, 3, 8, Definition::kOneZero}, false);
  check_format<F8E5M2>({5, 2, 15, Definition::kIeee}, true);
  check_format<F8E5M2FNUZ>({5, 2, 16, Definition::kOneZero}, false);
}
TEST(Narrow, FloatsOfFourBitsAreThoseOfTheirDefinition) { check_format<F4E2M1>({2, 1, 1, Definition::kFinite}, false); }

TEST(Narrow, PowersOfTwoRoundAsAsked) {
  for (int bits = 0; bits < 255; ++bits) {
    const double power = std::ldexp(1.0, bits - 127), above = bits < 254 ? 2 * power : power;
    EXPECT_EQ(to_float(F8E8M0{static_cast<uint8_t>(bits)}), static_cast<float>(power));
    const auto rounded = [&](double x, RoundExponent round) {
      return static_cast<double>(to_float(to_narrow<F8E8M0>(x, {true, round})));
    };
    for (RoundExponent round : {RoundExponent::kUp, RoundExponent::kDown, RoundExponent::kNearest})
      EXPECT_EQ(rounded(power, round), power);
    EXPECT_EQ(rounded(1.0001 * power, RoundExponent::kUp), above);
    EXPECT_EQ(rounded(1.9999 * power, RoundExponent::kDown), power);
    EXPECT_EQ(rounded(1.4999 * power, RoundExponent::kNearest), power);
    EXPECT_EQ(rounded(1.5 * power, RoundExponent::kNearest), above);
  }
  EXPECT_TRUE(std::isnan(to_float(F8E8M0{0xFF})));
  // The table of ONNX Cast-24.
  const NarrowRules saturate{true, RoundExponent::kUp}, open{false, RoundExponent::kNearest};
  EXPECT_EQ(to_narrow<F8E8M0>(0.0, saturate).bits, 0);
  EXPECT_EQ(to_narrow<F8E8M0>(kInfinity, saturate).bits, 254);
  EXPECT_EQ(to_narrow<F8E8M0>(1e39, saturate).bits, 254);
  EXPECT_EQ(to_narrow<F8E8M0>(1e-40, saturate).bits, 0);
  for (double x : {0.0, kInfinity, 1e39, 1e-40, kNan}) EXPECT_EQ(to_narrow<F8E8M0>(x, open).bits, 0xFF) << x;
  EXPECT_EQ(to_narrow<F8E8M0>(kNan, saturate).bits, 0xFF);
}

TEST(Narrow, IntegersKeepTheLowBits) {
  for (int x = -300; x < 300; ++x) {
    EXPECT_EQ(to_integer(to_narrow<U4>(x)), ((x % 16) + 16) % 16);
    EXPECT_EQ(to_integer(to_narrow<I4>(x)), (((x + 8) % 16) + 16) % 16 - 8);
    EXPECT_EQ(to_integer(to_narrow<U2>(x)), ((x % 4) + 4) % 4);
    EXPECT_EQ(to_integer(to_narrow<I2>(x)), (((x + 2) % 4) + 4) % 4 - 2);
  }
}

TEST(Convert, RoundsOnceToSixteenBits) {
  const double tie = 1 + 0x1p-11, past = tie + 0x1p-40;  // f32 would round it to the tie, and that to 1
  EXPECT_EQ(to_float(convert<F16>(tie)), 1.0f);
  EXPECT_EQ(to_float(convert<F16>(past)), 1 + 0x1p-10f);
  EXPECT_EQ(to_float(convert<F16>(-past)), -1 - 0x1p-10f);
  EXPECT_EQ(to_float(convert<BF16>((int64_t{1} << 60) + (int64_t{1} << 52))), 0x1p60f);
  EXPECT_EQ(to_float(convert<BF16>((int64_t{1} << 60) + (int64_t{1} << 52) + 1)), 0x1p60f + 0x1p53f);
  EXPECT_EQ(to_float(convert<F16>(1e300)), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(to_float(convert<F16>(kNan))));
}

// Every type to every other: the kernel, which goes through others, against the definition of one element.
constexpr DType kAll[] = {DType::kF32,  DType::kF64,      DType::kI8,         DType::kI16,    DType::kI32,        DType::kI64,
                          DType::kU8,   DType::kU16,      DType::kU32,        DType::kU64,    DType::kBool,       DType::kF16,
                          DType::kBF16, DType::kF8E4M3FN, DType::kF8E4M3FNUZ, DType::kF8E5M2, DType::kF8E5M2FNUZ, DType::kU4,
                          DType::kI4,   DType::kF4E2M1,   DType::kF8E8M0,     DType::kU2,     DType::kI2};

TEST(Cast, TakesEveryTypeToEveryOther) {
  constexpr int64_t kCount = 2500;  // more than two blocks, and an odd rest
  std::vector<double> numbers;
  for (int64_t i = 0; i < kCount; ++i)
    numbers.push_back(std::sin(static_cast<double>(i)) * std::exp2(static_cast<double>(i % 80 - 20)));
  numbers[7] = kNan, numbers[8] = kInfinity, numbers[9] = -kInfinity, numbers[10] = 0, numbers[11] = -0.0;
  for (DType from : kAll) {
    std::vector<std::byte> x(kCount * size_of(from));
    cpu::cast({}, {reinterpret_cast<const std::byte*>(numbers.data()), DType::kF64, {kCount}}, {x.data(), from, {kCount}}, {});
    for (DType to : kAll)
      for (bool saturate : {true, false}) {
        std::vector<std::byte> y(kCount * size_of(to));
        cpu::cast({}, {x.data(), from, {kCount}}, {y.data(), to, {kCount}}, {.saturate = saturate});
        visit_convertible(from, [&]<class From>() {
          visit_convertible(to, [&]<class To>() {
            for (size_t i = 0; i < kCount; ++i) {
              const To expected = convert<To>(reinterpret_cast<const From*>(x.data())[i], {.saturate = saturate});
              ASSERT_EQ(std::memcmp(&expected, &y[i * sizeof(To)], sizeof(To)), 0)
                  << i << " from " << name(from) << " to " << name(to);
            }
          });
        });
      }
  }
}

// All of f16, and f32 around every tie: the kernel's loops are not half.h's.
TEST(Cast, HalvesAreThoseOfTheirDefinition) {
  std::vector<F16> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i].bits = static_cast<uint16_t>(i);
  std::vector<float> wide(halves.size());
  const Shape shape = {65536};
  cpu::cast({}, {reinterpret_cast<const std::byte*>(halves.data()), DType::kF16, shape},
            {reinterpret_cast<std::byte*>(wide.data()), DType::kF32, shape}, {});
  std::vector<float> around;
  for (size_t i = 0; i < halves.size(); ++i) {
    const float expected = to_float(halves[i]);
    ASSERT_TRUE(wide[i] == expected || (std::isnan(wide[i]) && std::isnan(expected))) << i;
    ASSERT_EQ(std::signbit(wide[i]), std::signbit(expected)) << i;
    const float next = to_float(F16{static_cast<uint16_t>(i + 1)}), tie = (expected + next) / 2;
    for (float x : {expected, tie, std::nextafter(tie, 0.0f), std::nextafter(tie, 1e9f), 1.5f * expected}) around.push_back(x);
  }
  std::vector<F16> narrow(around.size());
  const Shape many = {static_cast<int64_t>(around.size())};
  cpu::cast({}, {reinterpret_cast<const std::byte*>(around.data()), DType::kF32, many},
            {reinterpret_cast<std::byte*>(narrow.data()), DType::kF16, many}, {});
  for (size_t i = 0; i < around.size(); ++i) ASSERT_EQ(narrow[i].bits, to_f16(around[i]).bits) << around[i];
}

template <class T>
std::vector<T> parsed(const std::vector<std::string_view>& texts) {
  std::vector<T> numbers(texts.size());
  const Shape shape = {static_cast<int64_t>(texts.size())};
  cpu::parse_numbers({}, {reinterpret_cast<const std::byte*>(texts.data()), DType::kString, shape},
                     {reinterpret_cast<std::byte*>(numbers.data()), dtype_of<T>, shape}, {});
  return numbers;
}

TEST(ParseNumbers, ReadsWhatOnnxNames) {
  using ::testing::ElementsAre;
  EXPECT_THAT(parsed<double>({"3.14", "1000", "1e-5", "1E8", "+INF", "inf", "-Inf", " 7 ", "+7", "1e400", "-1e-400"}),
              ElementsAre(3.14, 1000, 1e-5, 1e8, kInfinity, kInfinity, -kInfinity, 7, 7, kInfinity, 0));
  EXPECT_TRUE(std::isnan(parsed<float>({"NaN"})[0]));
  EXPECT_THAT(parsed<int32_t>({"100.5", "-3", "1e3"}), ElementsAre(100, -3, 1000));
  EXPECT_THAT(parsed<uint64_t>({"18446744073709551615", "0"}), ElementsAre(UINT64_MAX, 0));
  for (std::string_view wrong : {"", " ", "Hello", "3abc", "1 2", "+-3", "0x10", "--1"}) {
    EXPECT_THROW(parsed<float>({wrong}), Error) << wrong;
    EXPECT_THROW(parsed<int8_t>({wrong}), Error) << wrong;
  }
}

TEST(FormatNumbers, WritesAsOnnxruntimeDoes) {
  using ::testing::ElementsAre;
  const auto texts = [](auto... values) {
    using T = std::common_type_t<decltype(values)...>;
    const T numbers[] = {values...};
    return cpu::format_numbers(
        {reinterpret_cast<const std::byte*>(numbers), dtype_of<T>, {static_cast<int64_t>(sizeof...(values))}});
  };
  EXPECT_THAT(texts(1.0f, 1.5f, 1e-10f, 1e20f, 3.14159274f, 0.1f, -0.0f, 123456789.0f, 1e7f),
              ElementsAre("1", "1.5", "1e-10", "1e+20", "3.1415927", "0.1", "-0", "1.2345679e+08", "10000000"));
  EXPECT_THAT(texts(kNan, kInfinity, -kInfinity, 0.1, 3.141592653589793),
              ElementsAre("NaN", "INF", "-INF", "0.1", "3.141592653589793"));
  EXPECT_THAT(texts(true, false), ElementsAre("1", "0"));
  EXPECT_THAT(texts(INT64_MIN, INT64_MAX), ElementsAre("-9223372036854775808", "9223372036854775807"));
  EXPECT_THAT(texts(to_f16(0.1f)), ElementsAre("0.099975586"));
}

}  // namespace
}  // namespace tandem
