// The definition of quantized results (kernels/api/requantize.h) in integers of 128 bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tandem::test {

// A number as a whole multiple of 2^-unit: exact, and nothing of it is the arithmetic under test.
__extension__ using Whole = __int128;
inline constexpr int kUnit = 80;
inline Whole whole(float x, int unit = kUnit) {
  int exponent;
  const float mantissa = std::frexp(x, &exponent);
  const auto bits = static_cast<Whole>(mantissa * 0x1p24f);
  return bits << (unit + exponent - 24);
}

// The definition, in integers: the nearest to (sum * x * w + bias) / y, ties to even.
inline int32_t requantized_reference(int32_t sum, float x, float w, float bias, float y, int32_t low, int32_t high) {
  const Whole value = sum * whole(x, kUnit / 2) * whole(w, kUnit / 2) + whole(bias), unit = whole(y);
  Whole quotient = value / unit, rest = value % unit;
  if (rest < 0) --quotient, rest += unit;
  if (2 * rest > unit || (2 * rest == unit && quotient % 2 != 0)) ++quotient;
  return static_cast<int32_t>(std::clamp<Whole>(quotient, low, high));
}

}  // namespace tandem::test
