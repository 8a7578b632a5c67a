// Where the elements of a padded axis come from.
#pragma once

#include "kernels/api/movement.h"

namespace tandem {

inline constexpr int64_t kPadOutside = -1;

// The element of an axis of `size` that position i (0 is the first element of the unpadded axis) is taken from, or kPadOutside:
// the constant. REQUIRES size > 0 unless the mode is kConstant.
constexpr int64_t pad_source(int64_t i, int64_t size, PadMode mode) {
  if (i >= 0 && i < size) return i;
  switch (mode) {
    case PadMode::kConstant: return kPadOutside;
    case PadMode::kEdge: return i < 0 ? 0 : size - 1;
    case PadMode::kWrap: return ((i % size) + size) % size;
    case PadMode::kReflect: break;
  }
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1), folded = ((i % period) + period) % period;
  return folded < size ? folded : period - folded;
}

}  // namespace tandem
