// Exact conversions of the narrow types. To float nothing is lost; from float they round to nearest, ties to even (f8e8m0: as
// RoundExponent says). What a format does with too large a value: the table of ONNX Cast-19 and -24.
//
// Integers of 4 and 2 bits keep the low bits of an integer, as ONNX wants of integers that do not fit; quantization saturates
// before.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/base/narrow.h"

namespace tandem {

// How a value becomes a power of two: to the nearest (1.5 * 2^n goes up), or the next one up or down.
enum class RoundExponent : uint8_t { kNearest, kUp, kDown };

struct NarrowRules {
  bool saturate = true;                      // float8: too large becomes the largest; else NaN, or infinity where there is one
  RoundExponent round = RoundExponent::kUp;  // of f8e8m0
};

template <class T>
inline constexpr bool kIsNarrowInteger =
    std::is_same_v<T, U4> || std::is_same_v<T, I4> || std::is_same_v<T, U2> || std::is_same_v<T, I2>;
template <class T>
inline constexpr bool kIsNarrowFloat =
    std::is_same_v<T, F8E4M3FN> || std::is_same_v<T, F8E4M3FNUZ> || std::is_same_v<T, F8E5M2> || std::is_same_v<T, F8E5M2FNUZ> ||
    std::is_same_v<T, F4E2M1> || std::is_same_v<T, F8E8M0>;
template <class T>
inline constexpr bool kIsNarrow = kIsNarrowInteger<T> || kIsNarrowFloat<T>;

// Sign, exponent, fraction from the top. `largest`, `infinity`, `nan`: the bits of the positive ones; infinity 0: there is none.
struct NarrowFormat {
  int exponent_bits, fraction_bits, bias;
  uint8_t largest, infinity, nan;
  bool one_zero;  // the bits of -0 are the NaN
  constexpr int sign_bit() const { return exponent_bits + fraction_bits; }
};
template <class T>
inline constexpr NarrowFormat kNarrowFormat = {};
template <>
inline constexpr NarrowFormat kNarrowFormat<F8E4M3FN> = {4, 3, 7, 0x7E, 0, 0x7F, false};
template <>
inline constexpr NarrowFormat kNarrowFormat<F8E4M3FNUZ> = {4, 3, 8, 0x7F, 0, 0x80, true};
template <>
inline constexpr NarrowFormat kNarrowFormat<F8E5M2> = {5, 2, 15, 0x7B, 0x7C, 0x7E, false};
template <>
inline constexpr NarrowFormat kNarrowFormat<F8E5M2FNUZ> = {5, 2, 16, 0x7F, 0, 0x80, true};
template <>
inline constexpr NarrowFormat kNarrowFormat<F4E2M1> = {2, 1, 1, 0x7, 0, 0x8, false};  // no NaN: it becomes -0

namespace narrow {

constexpr double power_of_two(int exponent) { return std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52); }

template <class T>
constexpr float decoded(uint8_t bits) {
  constexpr NarrowFormat f = kNarrowFormat<T>;
  const uint8_t magnitude = bits & static_cast<uint8_t>((1 << f.sign_bit()) - 1);
  const bool negative = bits >> f.sign_bit() & 1;
  const float sign = negative ? -1.0f : 1.0f;
  if (f.one_zero && bits == f.nan) return std::numeric_limits<float>::quiet_NaN();
  if (f.infinity && magnitude == f.infinity) return sign * std::numeric_limits<float>::infinity();
  if (magnitude > f.largest) return negative ? -std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::quiet_NaN();
  const int exponent = magnitude >> f.fraction_bits, fraction = magnitude & ((1 << f.fraction_bits) - 1);
  const int whole = exponent ? fraction + (1 << f.fraction_bits) : fraction;
  return sign * static_cast<float>(whole * power_of_two((exponent ? exponent : 1) - f.bias - f.fraction_bits));
}

// All patterns of one format, so that decoding is a look-up.
template <class T>
inline constexpr auto kDecoded = [] {
  std::array<float, std::size_t{1} << (kNarrowFormat<T>.sign_bit() + 1)> table{};
  for (std::size_t bits = 0; bits < table.size(); ++bits) table[bits] = decoded<T>(static_cast<uint8_t>(bits));
  return table;
}();

// The bits, before sign and overflow, of |x| rounded to the format; more than `largest` if it does not fit.
template <class T>
constexpr uint32_t rounded_magnitude(double x) {
  constexpr NarrowFormat f = kNarrowFormat<T>;
  constexpr int kKept = 52 - f.fraction_bits, kSmallest = 1 - f.bias;  // exponent of the smallest normal number
  const uint64_t bits = std::bit_cast<uint64_t>(x) & ~(uint64_t{1} << 63);
  const int exponent = static_cast<int>(bits >> 52) - 1023;
  if (exponent > 64) return 0xFF + 1;
  if (exponent < kSmallest - f.fraction_bits - 1) return 0;  // below half of the smallest number; zero too
  const uint64_t significand = (bits & ((uint64_t{1} << 52) - 1)) | uint64_t{1} << 52;
  const int shift = kKept + (exponent < kSmallest ? kSmallest - exponent : 0);
  const uint64_t half = uint64_t{1} << (shift - 1);
  const uint64_t kept = (significand + (half - 1) + (significand >> shift & 1)) >> shift;  // a carry runs into the exponent
  const int field = exponent < kSmallest ? 0 : exponent + f.bias - 1;
  return static_cast<uint32_t>((static_cast<uint64_t>(field) << f.fraction_bits) + kept);
}

constexpr F8E8M0 exponent_of(double x, NarrowRules rules) {
  if (x != x) return {0xFF};
  const uint64_t bits = std::bit_cast<uint64_t>(x) & ~(uint64_t{1} << 63);
  const uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
  const int lower = static_cast<int>(bits >> 52) - 1023;
  const bool up = rules.round == RoundExponent::kUp ? fraction != 0 : rules.round == RoundExponent::kNearest && fraction >> 51;
  const int exponent = lower + (up ? 1 : 0) + 127;
  const bool infinite = lower == 1024;
  if (!rules.saturate && (infinite || exponent > 254 || exponent < 0)) return {0xFF};
  return {static_cast<uint8_t>(exponent < 0 ? 0 : exponent > 254 ? 254 : exponent)};
}

}  // namespace narrow

template <class T>
requires kIsNarrowFloat<T>
constexpr float to_float(T x) {
  if constexpr (std::is_same_v<T, F8E8M0>)
    return x.bits == 0xFF ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(narrow::power_of_two(x.bits - 127));
  else
    return narrow::kDecoded<T>[x.bits & (narrow::kDecoded<T>.size() - 1)];
}

template <class T>
requires kIsNarrowFloat<T>
constexpr T to_narrow(double x, NarrowRules rules = {}) {
  if constexpr (std::is_same_v<T, F8E8M0>) {
    return narrow::exponent_of(x, rules);
  } else {
    constexpr NarrowFormat f = kNarrowFormat<T>;
    const auto sign = static_cast<uint8_t>((std::bit_cast<uint64_t>(x) >> 63) << f.sign_bit());
    if (x != x) return {static_cast<uint8_t>(f.nan | (f.one_zero ? 0 : sign))};
    const uint32_t magnitude = narrow::rounded_magnitude<T>(x);
    if (magnitude <= f.largest) return {static_cast<uint8_t>(f.one_zero && magnitude == 0 ? 0 : magnitude | sign)};
    if (rules.saturate || std::is_same_v<T, F4E2M1>) return {static_cast<uint8_t>(f.largest | sign)};
    if (f.one_zero) return {f.nan};
    return {static_cast<uint8_t>((f.infinity ? f.infinity : f.nan) | sign)};
  }
}

constexpr int8_t to_integer(U4 x) { return static_cast<int8_t>(x.bits & 0xF); }
constexpr int8_t to_integer(U2 x) { return static_cast<int8_t>(x.bits & 0x3); }
constexpr int8_t to_integer(I4 x) { return static_cast<int8_t>(((x.bits & 0xF) ^ 0x8) - 0x8); }
constexpr int8_t to_integer(I2 x) { return static_cast<int8_t>(((x.bits & 0x3) ^ 0x2) - 0x2); }

// The low bits.
template <class T>
requires kIsNarrowInteger<T>
constexpr T to_narrow(std::integral auto x) {
  constexpr unsigned kMask = std::is_same_v<T, U4> || std::is_same_v<T, I4> ? 0xF : 0x3;
  return {static_cast<uint8_t>(static_cast<unsigned>(x) & kMask)};
}

}  // namespace tandem
