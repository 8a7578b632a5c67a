// A decimal of up to 19 digits is an integer times a power of ten. Both are exact as doubles up to 2^53 and 10^22, so that their product is rounded once
// (Clinger, "How to read floating point numbers accurately", PLDI 1990). With more digits the product is at most two units of its last place off, which
// matters to a float only beside the middle between two floats: there, and beyond these bounds, std::from_chars reads the text again. Up to eight digits
// of a fraction are taken in three multiplications (Lemire, "Number parsing at a gigabyte per second", Software: Practice and Experience 51, 2021).
//
// Most numbers have one digit before the point and few behind it: these are read with fewer questions asked.
//
// What takes time is branches that are guessed wrong: nothing here branches on a sign, or on whether the first digit is zero.
#include "serving/protocol/json_numbers.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>

#include "kernels/base/half.h"

namespace tandem {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr ptrdiff_t kMostDigits = 19;  // that 64 bits hold, whichever they are
constexpr int64_t kMostPower = 22;     // of ten that is a double
constexpr uint64_t kExact = uint64_t{1} << 53;

constexpr std::array<double, kMostPower + 1> kPowers = [] {
  std::array<double, kMostPower + 1> powers{1};
  for (size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

constexpr std::array<uint64_t, 9> kTens{1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
[[gnu::always_inline]] inline const char* skip_space(const char* at) {
  while (static_cast<unsigned char>(*at) <= ' ' && is_space(*at)) ++at;  // one comparison where there is none
  return at;
}
unsigned digit_of(char c) { return static_cast<unsigned char>(c - '0'); }  // above 9: none

// Characters as digits, the first in the lowest byte; those that are none are more than 9.
uint64_t eight_of(const char* at) {
  uint64_t characters;
  std::memcpy(&characters, at, sizeof characters);
  return characters ^ 0x3030303030303030u;
}
// The highest bit of each that is no digit; right up to the first.
uint64_t others_in(uint64_t eight) { return (eight | (eight + 0x7676767676767676u)) & 0x8080808080808080u; }

// Appends those of the next eight characters that are digits, up to the first that is none, to `number`, modulo 2^64: how many they are.
[[gnu::always_inline]] inline int take_eight(const char* at, uint64_t& number) {
  uint64_t digits = eight_of(at);
  const int count = std::countr_zero(others_in(digits)) / 8;
  if (count == 0) return 0;
  digits <<= 64 - 8 * count;             // zeros before them
  digits = digits * 10 + (digits >> 8);  // pairs, in every second byte
  const uint64_t value = (((digits & 0x000000FF000000FFu) * 0x000F424000000064u) + (((digits >> 16) & 0x000000FF000000FFu) * 0x0000271000000001u)) >> 32;
  number = number * kTens[static_cast<size_t>(count)] + value;
  return count;
}

// A number as it is written: digits x 10^power.
struct Decimal {
  uint64_t digits;  // modulo 2^64
  int64_t power;
  bool negative;
  bool is_integer;  // it has no fraction and no exponent
  bool is_long;     // more digits than kMostDigits, leading zeros among them
};

// Cursors and results go by value where numbers are read, so that they stay in registers.
struct Exponent {
  const char* end;  // behind it; null: there is none
  int64_t power;    // as far as it can matter
};

// Of the text behind an 'e'.
Exponent read_exponent(const char* at) {
  constexpr int64_t kBeyond = 1'000'000'000;
  const bool negative = *at == '-';
  if (negative || *at == '+') ++at;
  if (digit_of(*at) > 9) return {nullptr, 0};
  int64_t power = 0;
  for (; digit_of(*at) <= 9; ++at) power = std::min(power * 10 + digit_of(*at), kBeyond);
  return {at, negative ? -power : power};
}

// One digit, a point and one to seven digits, as most numbers are: exact as an integer and a power of ten. Behind it; null: it is of another form.
[[gnu::always_inline]] inline const char* read_short(const char* at, const char* end, double& value) {
  const bool negative = *at == '-';
  at += negative;
  const unsigned first = digit_of(*at);
  const char* const fraction = at + 2;
  if (end - at < 10 || first > 9 || at[1] != '.') return nullptr;
  if (others_in(eight_of(fraction)) == 0) return nullptr;
  uint64_t digits = first;
  unsigned digit;
  for (at = fraction; (digit = digit_of(*at)) <= 9; ++at) digits = digits * 10 + digit;
  if (at == fraction || (*at | 0x20) == 'e') return nullptr;
  const double magnitude = static_cast<double>(static_cast<int64_t>(digits)) / kPowers[static_cast<size_t>(at - fraction)];
  value = std::bit_cast<double>(std::bit_cast<uint64_t>(magnitude) | uint64_t{negative} << 63);
  return at;
}

// Behind it; null: there is none.
[[gnu::always_inline]] inline const char* read_decimal(const char* at, const char* end, Decimal& decimal) {
  decimal.negative = *at == '-';
  at += decimal.negative;
  const char* const begin = at;
  uint64_t digits = 0;
  unsigned digit;
  for (; (digit = digit_of(*at)) <= 9; ++at) digits = digits * 10 + digit;
  ptrdiff_t count = at - begin;
  if (count == 0 || (count > 1 && *begin == '0')) return nullptr;  // JSON has no leading zeros
  decimal.power = 0;
  decimal.is_integer = true;
  if (*at == '.') {
    const char* const fraction = ++at;
    int taken = 8;
    while (taken == 8 && end - at >= 8) at += taken = take_eight(at, digits);
    if (taken == 8)
      for (; (digit = digit_of(*at)) <= 9; ++at) digits = digits * 10 + digit;
    if (at == fraction) return nullptr;
    decimal.power = fraction - at;
    decimal.is_integer = false;
    count += at - fraction;
  }
  decimal.digits = digits;
  decimal.is_long = count > kMostDigits;
  if ((*at | 0x20) == 'e') {
    const Exponent exponent = read_exponent(at + 1);
    decimal.is_integer = false;
    decimal.power += exponent.power;
    return exponent.end;
  }
  return at;
}

// The text between is a number of JSON.
double nearest(const char* begin, const char* end) {
  double value = 0;
  if (std::from_chars(begin, end, value).ec == std::errc()) return value;
  return std::strtod(std::string(begin, end).c_str(), nullptr);  // beyond the range: infinite, or nearly zero
}

// Whether every double within four units of the last place of this one is the same float.
bool is_clear_float(double value) {
  constexpr uint64_t kTail = uint64_t{1} << 29;  // what a float has not
  constexpr int64_t kMiddle = kTail / 2, kDoubt = 4;
  return std::abs(static_cast<int64_t>(std::bit_cast<uint64_t>(value) & (kTail - 1)) - kMiddle) > kDoubt;
}

template <bool kAsFloat>
[[gnu::always_inline]] inline double value_of(const Decimal& decimal, const char* begin, const char* end) {
  if (decimal.is_long || decimal.power < -kMostPower || decimal.power > kMostPower) return nearest(begin, end);
  const auto digits = static_cast<double>(decimal.digits);
  const double value = decimal.power <= 0 ? digits / kPowers[static_cast<size_t>(-decimal.power)] : digits * kPowers[static_cast<size_t>(decimal.power)];
  if (decimal.digits > kExact && !(kAsFloat && is_clear_float(value))) return nearest(begin, end);
  return std::bit_cast<double>(std::bit_cast<uint64_t>(value) | uint64_t{decimal.negative} << 63);
}

struct NumberRead {
  const char* end;  // behind it
  ArrayFault fault;
};

template <class T>
[[gnu::always_inline]] inline NumberRead read_number(const char* begin, const char* end, T& out) {
  double value;
  const char* at = read_short(begin, end, value);
  if (!at) {
    Decimal decimal;
    at = read_decimal(begin, end, decimal);
    if (!at) return {begin, ArrayFault::kNotNumber};
    value = value_of<!std::is_same_v<T, double>>(decimal, begin, at);
  }
  float rounded;
  if constexpr (std::is_same_v<T, double>) {
    out = value;
    return {at, std::isfinite(value) ? ArrayFault::kNone : ArrayFault::kOutOfRange};
  } else if constexpr (std::is_same_v<T, float>) {
    rounded = out = static_cast<float>(value);
  } else if constexpr (std::is_same_v<T, F16>) {
    rounded = to_float(out = to_f16(static_cast<float>(value)));
  } else {
    rounded = to_float(out = to_bf16(static_cast<float>(value)));
  }
  return {at, std::isfinite(rounded) ? ArrayFault::kNone : ArrayFault::kOutOfRange};
}

template <class T>
  requires std::is_integral_v<T>
[[gnu::always_inline]] inline NumberRead read_number(const char* begin, const char* end, T& out) {
  Decimal decimal;
  const char* const at = read_decimal(begin, end, decimal);
  if (!at || !decimal.is_integer) return {begin, ArrayFault::kNotNumber};
  uint64_t magnitude = decimal.digits;
  if (decimal.is_long && std::from_chars(begin + decimal.negative, at, magnitude).ec != std::errc()) return {at, ArrayFault::kOutOfRange};
  const uint64_t least = std::is_unsigned_v<T> ? 0 : uint64_t{1} << (8 * sizeof(T) - 1);
  if (magnitude > (decimal.negative ? least : static_cast<uint64_t>(std::numeric_limits<T>::max()))) return {at, ArrayFault::kOutOfRange};
  out = static_cast<T>(decimal.negative ? 0 - magnitude : magnitude);
  return {at, ArrayFault::kNone};
}

}  // namespace

template <class T>
ArrayRead read_json_numbers(const char*& place, const char* end, std::span<T> out) {
  const char* at = skip_space(place);
  if (out.empty() || *at == ']') {
    place = at + 1;
    return {0, out.empty() && *at == ']' ? ArrayFault::kNone : ArrayFault::kCount};
  }
  for (size_t i = 0;; ++i) {
    const NumberRead number = read_number(at, end, out[i]);
    if (number.fault != ArrayFault::kNone) return {i, number.fault};
    at = skip_space(number.end);
    const bool goes_on = *at == ',';
    if (!goes_on && *at != ']') return {i, ArrayFault::kNotNumber};
    if (goes_on != (i + 1 < out.size())) return {i + 1, ArrayFault::kCount};
    if (!goes_on) break;
    at = skip_space(at + 1);
  }
  place = at + 1;
  return {out.size(), ArrayFault::kNone};
}

template ArrayRead read_json_numbers(const char*&, const char*, std::span<float>);
template ArrayRead read_json_numbers(const char*&, const char*, std::span<double>);
template ArrayRead read_json_numbers(const char*&, const char*, std::span<F16>);
template ArrayRead read_json_numbers(const char*&, const char*, std::span<BF16>);
template ArrayRead read_json_numbers(const char*&, const char*, std::span<int8_t>);
template ArrayRead read_json_numbers(const char*&, const char*, std::span<uint8_t>);
template ArrayRead read_json_numbers(const char*&, const char*, std::span<int16_t>);
template ArrayRead read_json_numbers(const char*&, const char*, std::span<uint16_t>);
template ArrayRead read_json_numbers(const char*&, const char*, std::span<int32_t>);
template ArrayRead read_json_numbers(const char*&, const char*, std::span<uint32_t>);
template ArrayRead read_json_numbers(const char*&, const char*, std::span<int64_t>);
template ArrayRead read_json_numbers(const char*&, const char*, std::span<uint64_t>);

}  // namespace tandem
