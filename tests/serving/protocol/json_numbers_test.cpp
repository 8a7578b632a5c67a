// Numbers against the C library's, text by text.
#include "serving/protocol/json_numbers.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/base/half.h"

namespace tandem {
namespace {

// The one number of "[text]", and what was wrong with it: at the end of all text, and with so much behind it that several characters may be read at once.
template <class T>
ArrayFault read_one(const std::string& text, T& value) {
  const auto read = [&](const std::string& behind, T& to) {
    const std::string array = text + "]" + behind;
    const char* at = array.data();
    const ArrayRead result = read_json_numbers(at, array.data() + array.size(), std::span<T>(&to, 1));
    if (result.fault == ArrayFault::kNone) {
      EXPECT_EQ(at, array.data() + text.size() + 1) << text;
    }
    return result.fault;
  };
  T other{};
  value = T{};
  const ArrayFault fault = read("", value);
  EXPECT_EQ(read("}, \"parameters\": {}}", other), fault) << text;
  if (fault == ArrayFault::kNone) {
    EXPECT_EQ(std::memcmp(&value, &other, sizeof value), 0) << text;
  }
  return fault;
}

std::string digits(std::mt19937& random, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += static_cast<char>('0' + random() % 10);
  return text;
}

// Of JSON: any sign, up to 25 digits on both sides of the point, any exponent.
std::string decimal(std::mt19937& random) {
  std::string text = random() % 2 ? "-" : "";
  text += random() % 3 == 0 ? "0" : std::to_string(1 + random() % 9) + digits(random, static_cast<int>(random() % 25));
  if (random() % 4) text += "." + digits(random, static_cast<int>(1 + random() % 25));
  if (random() % 3 == 0) text += (random() % 2 ? "e" : "E") + std::string(random() % 3 ? "-" : "+") + std::to_string(random() % 60);
  return text;
}

void expect_as_the_library(const std::string& text) {
  const double wanted = std::strtod(text.c_str(), nullptr);
  double value;
  ASSERT_EQ(read_one(text, value), ArrayFault::kNone) << text;
  ASSERT_EQ(std::bit_cast<uint64_t>(value), std::bit_cast<uint64_t>(wanted)) << text;
  float rounded;
  const bool fits = std::isfinite(static_cast<float>(wanted));
  ASSERT_EQ(read_one(text, rounded), fits ? ArrayFault::kNone : ArrayFault::kOutOfRange) << text;
  if (fits) {
    ASSERT_EQ(std::bit_cast<uint32_t>(rounded), std::bit_cast<uint32_t>(static_cast<float>(wanted))) << text;
  }
}

TEST(JsonNumbers, AnyDecimalIsTheNearestDoubleAndFloat) {
  std::mt19937 random(1);
  for (int i = 0; i < 200'000; ++i) expect_as_the_library(decimal(random));
}

TEST(JsonNumbers, FloatsAsProgramsWriteThem) {
  std::mt19937 random(2);
  for (int i = 0; i < 100'000; ++i) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    char text[64];
    int exponent;
    for (const char* form : {"%.9g", "%.17g", "%.3f", "%.19g", "%.1f", "%.7f", "%.4e"}) {
      for (const float one : {value, std::ldexp(std::frexp(value, &exponent), 3)}) {  // as it is, and below eight
        std::snprintf(text, sizeof text, form, static_cast<double>(one));
        expect_as_the_library(text);
      }
    }
    std::snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
    float again;
    ASSERT_EQ(read_one(std::string(text), again), ArrayFault::kNone);
    ASSERT_EQ(again, value);
  }
}

// Decimals of 16 to 19 digits that lie where a double's last bits decide between two floats.
TEST(JsonNumbers, TheMiddleBetweenTwoFloatsIsDecidedExactly) {
  std::mt19937 random(3);
  for (int i = 0; i < 100'000; ++i) {
    const float below = std::bit_cast<float>(static_cast<uint32_t>(0x35000000 + random() % 0x20000000));  // 5e-7 to 1e13
    const double middle = (static_cast<double>(below) + static_cast<double>(std::nextafter(below, INFINITY))) / 2;
    char text[64];
    for (int places = 16; places <= 19; ++places) {
      std::snprintf(text, sizeof text, "%.*g", places, middle);
      expect_as_the_library(text);
    }
  }
}

TEST(JsonNumbers, EndsOfTheRange) {
  for (const char* text : {"0", "-0", "0.0", "-0.0", "0e5", "1e308", "-1.7976931348623157e308", "4.9e-324", "1e-400", "0.000000000000000000000000000001",
                           "340282346638528859811704183484516925440", "9007199254740993", "18446744073709551615", "18446744073709551616",
                           "1e22", "1e23", "1e-22", "1e-23", "123456789012345678901234567890"})
    expect_as_the_library(text);
  double value;
  EXPECT_EQ(read_one(std::string("1e309"), value), ArrayFault::kOutOfRange);
  EXPECT_EQ(read_one(std::string("-1e99999999999999999999"), value), ArrayFault::kOutOfRange);
  float rounded;
  EXPECT_EQ(read_one(std::string("3.5e38"), rounded), ArrayFault::kOutOfRange);
  F16 half;
  EXPECT_EQ(read_one(std::string("65520"), half), ArrayFault::kOutOfRange);
  EXPECT_EQ(read_one(std::string("-65519.9"), half), ArrayFault::kNone);
  EXPECT_EQ(to_float(half), -65504.0f);
}

template <class T>
void expect_range() {
  const auto all = std::is_signed_v<T> ? std::vector<__int128>{std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), 0}
                                       : std::vector<__int128>{0, std::numeric_limits<T>::max()};
  const auto text_of = [](__int128 value) {
    std::string text;
    for (__int128 rest = value < 0 ? -value : value; rest > 0 || text.empty(); rest /= 10) text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(rest % 10)));
    return value < 0 ? "-" + text : text;
  };
  for (const __int128 edge : all)
    for (int step = -2; step <= 2; ++step) {
      const __int128 wanted = edge + step;
      T value;
      const bool fits = wanted >= std::numeric_limits<T>::min() && wanted <= std::numeric_limits<T>::max();
      ASSERT_EQ(read_one(text_of(wanted), value), fits ? ArrayFault::kNone : ArrayFault::kOutOfRange) << text_of(wanted);
      if (fits) {
        ASSERT_EQ(static_cast<__int128>(value), wanted);
      }
    }
  T value;
  EXPECT_EQ(read_one(std::string(40, '9'), value), ArrayFault::kOutOfRange);
  for (const char* text : {"1.0", "1e2", "1E0", "0.5"}) EXPECT_EQ(read_one(std::string(text), value), ArrayFault::kNotNumber) << text;
  EXPECT_EQ(read_one(std::string("-0"), value), ArrayFault::kNone);
}

TEST(JsonNumbers, IntegersAtTheEndsOfTheirRange) {
  expect_range<int8_t>();
  expect_range<uint8_t>();
  expect_range<int16_t>();
  expect_range<uint16_t>();
  expect_range<int32_t>();
  expect_range<uint32_t>();
  expect_range<int64_t>();
  expect_range<uint64_t>();
}

TEST(JsonNumbers, WhatIsNoNumberOfJson) {
  for (const char* text : {"01", "-01", "00", "1.", ".5", "-.5", "+1", "-", "1e", "1e+", "1.e5", "--1", "1 2", "0x1", "NaN", "Infinity", "-Infinity", "null", "true", "\"1\"",
                           "[1]", "{}", "1_000", "1.5.5", "1e5e5", "\xEF\xBC\x91", "1\v", "00000000", "1.2345678a", "12345678a"}) {
    float number = 0;
    EXPECT_EQ(read_one(std::string(text), number), ArrayFault::kNotNumber) << text;
    int64_t integer = 0;
    EXPECT_EQ(read_one(std::string(text), integer), ArrayFault::kNotNumber) << text;
  }
}

TEST(JsonNumbers, ArraysHaveTheirCount) {
  const auto read = [](const std::string& text, size_t count) {
    std::vector<float> out(count);
    const char* at = text.data();
    const ArrayRead result = read_json_numbers(at, text.data() + text.size(), std::span(out));
    return std::pair(result.elements, result.fault);
  };
  EXPECT_EQ(read("1,2,3]", 3), std::pair(size_t{3}, ArrayFault::kNone));
  EXPECT_EQ(read(" 1 ,\n2\t,\r 3 ]", 3), std::pair(size_t{3}, ArrayFault::kNone));
  EXPECT_EQ(read("]", 0), std::pair(size_t{0}, ArrayFault::kNone));
  EXPECT_EQ(read("  ]", 0), std::pair(size_t{0}, ArrayFault::kNone));
  EXPECT_EQ(read("]", 2), std::pair(size_t{0}, ArrayFault::kCount));
  EXPECT_EQ(read("1]", 0), std::pair(size_t{0}, ArrayFault::kCount));
  EXPECT_EQ(read("1,2]", 3), std::pair(size_t{2}, ArrayFault::kCount));
  EXPECT_EQ(read("1,2,3,4]", 3), std::pair(size_t{3}, ArrayFault::kCount));
  EXPECT_EQ(read("1,,3]", 3), std::pair(size_t{1}, ArrayFault::kNotNumber));
  EXPECT_EQ(read("1,2,]", 3), std::pair(size_t{2}, ArrayFault::kNotNumber));
  EXPECT_EQ(read(",1,2]", 3), std::pair(size_t{0}, ArrayFault::kNotNumber));
}

}  // namespace
}  // namespace tandem
