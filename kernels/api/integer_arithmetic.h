// What integer arithmetic means where C++ leaves it open: one definition for both twins, and none of it traps.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

namespace tandem {

// The unsigned type whose arithmetic wraps (products of 16 bits would overflow the int that they are promoted to); a floating type is itself.
template <class T>
using Wrapping = std::conditional_t<std::is_integral_v<T>,
                                    std::conditional_t<sizeof(T) == 2, std::type_identity<uint32_t>, std::make_unsigned<T>>,
                                    std::type_identity<T>>::type;

template <class T>
constexpr T wrapping_negate(T v) {
  return static_cast<T>(Wrapping<T>{0} - static_cast<Wrapping<T>>(v));
}

// Toward zero; 0 for a divisor of 0; the smallest integer by -1 wraps.
template <class T>
constexpr T integer_quotient(T a, T b) {
  if (b == 0) return 0;
  if constexpr (std::is_signed_v<T>)
    if (b == T{-1}) return wrapping_negate(a);
  return static_cast<T>(a / b);
}

// The sign of the dividend; 0 for a divisor of 0.
template <class T>
constexpr T integer_remainder(T a, T b) {
  if (b == 0) return 0;
  if constexpr (std::is_signed_v<T>)
    if (b == T{-1}) return 0;
  return static_cast<T>(a % b);
}

// The sign of the divisor; 0 for a divisor of 0.
template <class T>
constexpr T integer_modulus(T a, T b) {
  T r = integer_remainder(a, b);
  if constexpr (std::is_signed_v<T>)
    if (r != 0 && (r < 0) != (b < 0)) r = static_cast<T>(r + b);
  return r;
}

// `a` shifted by `b` bits, b taken as unsigned; from the type's width on nothing of it is left but, to the right, its sign.
template <class T>
constexpr T shifted_left(T a, T b) {
  using U = std::make_unsigned_t<T>;
  return static_cast<U>(b) >= 8 * sizeof(T) ? T{0} : static_cast<T>(static_cast<uint64_t>(a) << static_cast<U>(b));
}
template <class T>
constexpr T shifted_right(T a, T b) {
  using U = std::make_unsigned_t<T>;
  if (static_cast<U>(b) >= 8 * sizeof(T)) return static_cast<T>(a < T{0} ? -1 : 0);
  return static_cast<T>(a >> static_cast<U>(b));
}

// Whether an exponent is a whole number (that an int64_t surely holds).
template <class T>
constexpr bool is_whole(T v) {
  if constexpr (std::is_integral_v<T>)
    return true;
  else
    return v > T(-0x1p62) && v < T(0x1p62) && static_cast<T>(static_cast<int64_t>(v)) == v;
}

// a ^ n, exact; what does not fit becomes the nearest limit, a fraction 0.
template <class T>
constexpr T integer_power(T a, int64_t n) {
  using Limits = std::numeric_limits<T>;
  const bool negative = a < T{0} && n % 2 != 0;
  const uint64_t base = a < T{0} ? uint64_t{0} - static_cast<uint64_t>(a) : static_cast<uint64_t>(a);
  if (base == 0) return n == 0 ? T{1} : n > 0 ? T{0} : Limits::max();
  if (base == 1) return negative ? static_cast<T>(-1) : T{1};
  if (n < 0) return 0;
  const uint64_t limit = static_cast<uint64_t>(Limits::max()) + (negative ? 1 : 0);
  uint64_t result = 1;
  for (int64_t i = 0; i < n; ++i) {  // base >= 2: at most 63 rounds
    if (result > limit / base) return negative ? Limits::min() : Limits::max();
    result *= base;
  }
  return static_cast<T>(negative ? uint64_t{0} - result : result);
}

}  // namespace tandem
