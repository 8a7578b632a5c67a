// How a tensor is walked by a reduction: the same for both twins. Neighbouring axes of one kind are merged; what remains
// alternates between kept and reduced ones.
#pragma once

#include <cstdint>

#include "kernels/api/reduce.h"
#include "kernels/base/shape.h"

namespace tandem {

// The axes of one kind after merging, outermost first, with their strides in the input.
struct ReduceAxes {
  int64_t size[Shape::kMaxRank] = {}, stride[Shape::kMaxRank] = {};
  int count = 0;
  int64_t total = 1;

  // Offset in the input of the i-th combination of all axes but the last `skip`.
  constexpr int64_t offset(int64_t i, int skip) const {
    if (count <= skip) return 0;
    int64_t at = 0;
    for (int a = count - 1 - skip; a > 0; --a) {
      at += i % size[a] * stride[a];
      i /= size[a];
    }
    return at + i * stride[0];
  }
  // Of the last axis; 1 if there is none.
  constexpr int64_t innermost() const { return count ? size[count - 1] : 1; }
};

struct ReduceLayout {
  ReduceAxes kept, reduced;
  bool inner_reduced = true;

  ReduceLayout(const Shape& shape, AxisMask mask) {
    int64_t strides[Shape::kMaxRank] = {}, stride = 1;
    for (int i = shape.rank() - 1; i >= 0; stride *= shape[i], --i) strides[i] = stride;
    ReduceAxes* previous = nullptr;
    for (int i = 0; i < shape.rank(); ++i) {
      if (shape[i] == 1) continue;
      ReduceAxes* axes = mask >> i & 1 ? &reduced : &kept;
      if (axes != previous) axes->size[axes->count++] = 1;
      const int last = axes->count - 1;
      axes->size[last] *= shape[i];
      axes->stride[last] = strides[i];
      axes->total *= shape[i];
      previous = axes;
    }
    inner_reduced = previous != &kept;
  }
};

// The axes along which a tensor of shape `small` was broadcast to `large`. Throws Internal if it was not.
inline AxisMask broadcast_axes(const Shape& large, const Shape& small) {
  const int missing = large.rank() - small.rank();
  ensure(missing >= 0, "gradient has fewer axes than what it belongs to", to_string(large), to_string(small));
  AxisMask axes = 0;
  for (int i = 0; i < large.rank(); ++i) {
    const int64_t size = i < missing ? 1 : small[i - missing];
    ensure(size == 1 || size == large[i], "gradient's shape is no broadcast", to_string(large), to_string(small));
    if (size == 1) axes |= AxisMask{1} << i;
  }
  return axes;
}

}  // namespace tandem
