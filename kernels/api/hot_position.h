// Where OneHot's index points: one definition for both twins.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace tandem {

// The position in [0, depth) that `index` stands for, or -1 if it is outside [-depth, depth) or no number; a fraction is cut off.
template <class I>
constexpr int64_t hot_position(I index, int64_t depth) {
  if constexpr (std::is_floating_point_v<I>) {
    if (!(index >= static_cast<I>(-depth) && index < static_cast<I>(depth))) return -1;
  } else {
    if (std::cmp_less(index, -depth) || std::cmp_greater_equal(index, depth)) return -1;
  }
  const int64_t whole = static_cast<int64_t>(index);
  return whole < 0 ? whole + depth : whole;
}

}  // namespace tandem
