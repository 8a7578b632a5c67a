// What a conversion between element types means: one definition for both twins.
//
// A float goes to an integer toward zero; NaN gives 0 and what does not fit the nearest limit. To bool: whether it is not 0. The
// 16-bit floats are reached and left through f32.
#pragma once

#include <limits>
#include <type_traits>

#include "kernels/base/half.h"

namespace tandem {

template <class To, class From>
constexpr To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, F16> || std::is_same_v<From, BF16>) {
    return convert<To>(to_float(value));
  } else if constexpr (std::is_same_v<To, F16>) {
    return to_f16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, BF16>) {
    return to_bf16(static_cast<float>(value));
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
