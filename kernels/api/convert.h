// What a conversion between element types means: one definition for both twins.
//
// A float goes to an integer toward zero; NaN gives 0 and what does not fit the nearest limit; an integer to a shorter one keeps
// the low bits. To bool: whether it is not 0. Floats of 16 bits and fewer are rounded once, to nearest even, whatever they come
// from. Types below one byte: kernels/base/narrow_convert.h.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/base/half.h"
#include "kernels/base/narrow_convert.h"

namespace tandem {

// x in a shorter type such that rounding that on to a still shorter one gives what rounding x would: if anything is lost, the
// last bit is set (round to odd; Boldo and Melquiond, 2008).
constexpr float to_odd(double x) {
  const auto nearest = static_cast<float>(x);
  if (x != x || static_cast<double>(nearest) == x) return nearest;
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  const double magnitude = x < 0 ? -x : x, rounded = nearest < 0 ? -static_cast<double>(nearest) : static_cast<double>(nearest);
  if (rounded > magnitude) --bits;
  return std::bit_cast<float>(bits | 1u);
}
constexpr double to_odd(uint64_t x) {
  return static_cast<double>(x >> 53 ? x >> 11 << 11 | uint64_t{(x & 0x7FF) != 0} << 11 : x);
}
constexpr double to_odd(int64_t x) {
  return x < 0 ? -to_odd(uint64_t{0} - static_cast<uint64_t>(x)) : to_odd(static_cast<uint64_t>(x));
}

template <class T>
inline constexpr bool kIs16BitFloat = std::is_same_v<T, F16> || std::is_same_v<T, BF16>;

// A number or bool as a double that rounds on to 16 bits and fewer as the number would.
template <class From>
constexpr double to_wide(From value) {
  if constexpr (std::is_integral_v<From> && sizeof(From) == 8)
    return to_odd(static_cast<std::conditional_t<std::is_signed_v<From>, int64_t, uint64_t>>(value));
  else
    return static_cast<double>(value);
}

template <class To, class From>
constexpr To convert(From value, NarrowRules rules = {}) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (kIs16BitFloat<From> || kIsNarrowFloat<From>) {
    return convert<To>(to_float(value), rules);
  } else if constexpr (kIsNarrowInteger<From>) {
    return convert<To>(to_integer(value), rules);
  } else if constexpr (kIs16BitFloat<To>) {
    float rounded;
    if constexpr (std::is_same_v<From, float>)
      rounded = value;
    else
      rounded = to_odd(to_wide(value));
    if constexpr (std::is_same_v<To, F16>)
      return to_f16(rounded);
    else
      return to_bf16(rounded);
  } else if constexpr (kIsNarrowFloat<To>) {
    return to_narrow<To>(to_wide(value), rules);
  } else if constexpr (kIsNarrowInteger<To>) {
    return to_narrow<To>(convert<std::conditional_t<std::is_floating_point_v<From>, int32_t, From>>(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{0};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    using Limits = std::numeric_limits<To>;
    // 2^k is exact in From, Limits::max() may not be.
    constexpr From above = static_cast<From>(Limits::max() / 2 + 1) * 2;
    if (value != value) return To{0};
    if (value >= above) return Limits::max();
    return value <= static_cast<From>(Limits::min()) ? Limits::min() : static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace tandem
