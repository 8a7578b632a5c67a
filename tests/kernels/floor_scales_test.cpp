// Lines whose whole parts are quantized results, against the definition in integers of 128 bits.
#include "kernels/api/floor_scales.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/requantize_reference.h"

namespace tandem {
namespace {

struct Channel {
  float x, w, y, bias;
  int32_t low, high;

  ResultScale scale() const {
    return {.product = static_cast<double>(x) * static_cast<double>(w), .bias = static_cast<double>(bias), .unit = static_cast<double>(y)};
  }
  FloorLine line() const { return find_floor_line(scale(), low, high); }
  int32_t expected(int32_t sum) const { return test::requantized_reference(sum, x, w, bias, y, low, high); }
};

// As kernels compute it: the sum becomes a float, to the nearest.
int32_t floored(const FloorLine& line, int32_t sum, const Channel& c) {
  const auto number = static_cast<test::Whole>(static_cast<float>(sum));
  const test::Whole value = number * test::whole(line.slope) + test::whole(line.offset), unit = test::whole(1);
  test::Whole part = value / unit;
  if (value % unit < 0) --part;
  return static_cast<int32_t>(std::clamp<test::Whole>(part, c.low, c.high));
}

// `multiplier`: of a sum, about; `steps`: about what the bias adds to results.
Channel random_channel(std::mt19937& generator, float multiplier, float steps) {
  std::uniform_real_distribution<float> uniform(0.5f, 1.0f);
  Channel c{uniform(generator) / 8, uniform(generator) / 64, 0, 0, 0, 0};
  c.y = c.x * c.w / (multiplier * uniform(generator));
  c.bias = steps * c.y * (2 * uniform(generator) - 1.5f);
  c.low = -static_cast<int32_t>(generator() % 256), c.high = c.low + 255;
  return c;
}

TEST(FloorScales, AreTheDefinitionOfAllSumsOfAFewTerms) {
  std::mt19937 generator(1);
  for (int i = 0; i < 12; ++i) {
    const Channel c = random_channel(generator, 8e-3f, 20);
    const FloorLine line = c.line();
    for (int32_t sum = -60'000; sum <= 60'000 && line.slope != 0; ++sum)
      if (sum != line.exception) { ASSERT_EQ(floored(line, sum, c), c.expected(sum)) << sum; }
  }
}

// The least sum whose result is `result` or more.
int32_t first_sum(const Channel& c, int32_t result) {
  int32_t below = -(1 << 26), at = 1 << 26;
  while (at - below > 1) {
    const int32_t middle = below + (at - below) / 2;
    (c.expected(middle) >= result ? at : below) = middle;
  }
  return at;
}

TEST(FloorScales, StepWhereTheDefinitionDoes) {
  std::mt19937 generator(2);
  for (const auto& [multiplier, bias, fewest] :
       {std::array{6e-3f, 0.0f, 95.0f}, {4e-3f, 1.0f, 95.0f}, {2e-3f, 60.0f, 85.0f}, {5e-4f, 3.0f, 50.0f}, {0.2f, 100.0f, 95.0f}, {1e-4f, 0.0f, 0.0f}}) {
    int found = 0, exceptions = 0;
    for (int i = 0; i < 100; ++i) {
      const Channel c = random_channel(generator, multiplier, bias);
      const FloorLine line = c.line();
      if (line.slope == 0) continue;
      ++found, exceptions += line.exception != kNoException;
      for (int32_t result = c.low + 1; result <= c.high; ++result) {
        const int32_t first = first_sum(c, result);
        for (int32_t sum = first - 3; sum <= first + 2; ++sum)
          if (sum != line.exception) { ASSERT_EQ(floored(line, sum, c), c.expected(sum)) << multiplier << ' ' << sum; }
      }
      // Beyond what floats hold exactly, too.
      for (const int32_t far : {1 << 24, (1 << 24) + 1, 1 << 30, std::numeric_limits<int32_t>::max()})
        for (const int32_t sum : {far, -far}) ASSERT_EQ(floored(line, sum, c), c.expected(sum)) << sum;
      // An exception is one.
      if (line.exception != kNoException) { EXPECT_NE(floored(line, line.exception, c), c.expected(line.exception)); }
    }
    EXPECT_GE(static_cast<float>(found), fewest) << multiplier;
    if (multiplier == 5e-4f) { EXPECT_GT(exceptions, 0); }
  }
}

// Of few steps one may be left out as an exception whose neighbours it would carry along, if nobody looked at them.
TEST(FloorScales, ExceptionsAreSingleSums) {
  for (const Channel& c : {Channel{1, 1, 214594, -45247452, -165, -163}, Channel{1, 1, 247964, -53302492, -196, -194}, Channel{1, 1, 196566, 38691164, 186, 188},
                           Channel{1, 1, 207442, 37085568, 221, 223}}) {
    const FloorLine line = c.line();
    if (line.slope == 0) continue;
    for (int32_t result = c.low + 1; result <= c.high; ++result) {
      const int32_t first = first_sum(c, result);
      for (int32_t sum = first - 3; sum <= first + 2; ++sum)
        if (sum != line.exception) { EXPECT_EQ(floored(line, sum, c), c.expected(sum)) << c.y << ' ' << sum; }
    }
  }
}

// Every other tie goes up where sums meet ties exactly: no line does that, so few steps are right, or two.
TEST(FloorScales, TiesThatSumsMeet) {
  for (const float y : {1.0f, 0.25f, 16.0f}) {
    const Channel c{0.125f, 0.25f, 4 * y, 0, -128, 127};
    EXPECT_EQ(c.line().slope, 0) << y;
  }
  const Channel pair{0.125f, 0.25f, 1.0f, 0, 0, 2};  // ties at sums 16 and 48: that at 16 stays, that at 48 goes up
  const FloorLine line = pair.line();
  ASSERT_NE(line.slope, 0);
  for (int32_t sum = -200; sum < 200; ++sum)
    if (sum != line.exception) { EXPECT_EQ(floored(line, sum, pair), pair.expected(sum)) << sum; }
}

TEST(FloorScales, AreNotLookedForAmongScalesWithoutBounds) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();
  for (const ResultScale& scale :
       {ResultScale{.product = 0}, ResultScale{.product = -1e-3}, ResultScale{.product = 1e-3, .unit = -1}, ResultScale{.product = 1e-3, .unit = 0},
        ResultScale{.product = kNan}, ResultScale{.product = kInfinity}, ResultScale{.product = 1e-3, .unit = kInfinity},
        ResultScale{.product = 1e-3, .bias = kNan}, ResultScale{.product = 1e-3, .bias = kInfinity}, ResultScale{.product = 1e-3, .bias = 1e30},
        ResultScale{.product = 1e-3, .bias = 600.3}, ResultScale{.product = 0.3}, ResultScale{.product = 1e-7}, ResultScale{.product = 1e-300, .unit = 1e-300},
        ResultScale{.product = 1e-5}})  // the last result of 1e-5 is at a sum of 25 millions
    EXPECT_EQ(find_floor_line(scale, 0, 255).slope, 0) << scale.product << ' ' << scale.bias << ' ' << scale.unit;
  EXPECT_EQ(find_floor_line({.product = 3e-3}, 5, 5).slope, 0);
  EXPECT_EQ(find_floor_line({.product = 3e-3}, 0, 256).slope, 0);
}

}  // namespace
}  // namespace tandem
