// Between the positions of a grid, from -1 to 1, and the pixels they stand for.
#pragma once

#include <cstdint>

namespace tandem::cpu {

// The pixel, counted from the first one's center, that a position from -1 to 1 stands for.
template <class T>
T pixel_at(T position, int64_t size, bool align_corners) {
  const T length = static_cast<T>(size);
  return align_corners ? (position + 1) / 2 * (length - 1) : ((position + 1) * length - 1) / 2;
}

// Pixels a unit of the position.
template <class T>
T pixels_a_unit(int64_t size, bool align_corners) {
  return static_cast<T>(align_corners ? size - 1 : size) / 2;
}

// The position from -1 to 1 of a pixel's center.
inline double position_of(int64_t pixel, int64_t size, bool align_corners) {
  const auto at = static_cast<double>(pixel), length = static_cast<double>(size);
  if (align_corners) return size == 1 ? 0 : 2 * at / (length - 1) - 1;
  return (2 * at + 1) / length - 1;
}

}  // namespace tandem::cpu
