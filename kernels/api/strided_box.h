// A box of elements seen in two strided layouts: what transpose, expand, tile, slice, concat, split and padding come down to on
// every device. Axes that continue each other on both sides are merged, so most boxes have one or two.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/base/shape.h"

namespace tandem {

struct StridedBox {
  struct Axis {
    int64_t size, source, target;  // strides in elements; the source's may be 0, both may be negative
  };
  static constexpr size_t kMostAxes = 2 * Shape::kMaxRank;  // tile has two for each of the tensor's

  std::array<Axis, kMostAxes> axes{};  // outermost first; none of size 1
  int rank = 0;
  int64_t elements = 1;
  int64_t source_offset = 0, target_offset = 0;  // of the first element

  // Appends an axis, outermost first.
  void add_axis(int64_t size, int64_t source_stride, int64_t target_stride);

  const Axis& axis(int i) const { return axes[static_cast<size_t>(i)]; }
  Axis inner() const { return rank ? axis(rank - 1) : Axis{1, 1, 1}; }
  // The axis, not the innermost, along which the source is dense, as in a transpose; -1 if there is none or the innermost is
  // dense.
  int dense_source_axis() const;
};

// Row-major strides in elements.
inline std::array<int64_t, Shape::kMaxRank> dense_strides(const Shape& shape) {
  std::array<int64_t, Shape::kMaxRank> strides{};
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; stride *= shape[i], --i) strides[static_cast<size_t>(i)] = stride;
  return strides;
}

// The boxes of the functions of those names in kernels/api/movement.h. Throw Internal if the shapes do not fit.
StridedBox transpose_box(const Shape& x, std::span<const int64_t> permutation, const Shape& y);
StridedBox expand_box(const Shape& x, const Shape& y);
StridedBox tile_box(const Shape& x, const Shape& y);
StridedBox slice_box(const Shape& x, std::span<const int64_t> starts, std::span<const int64_t> steps, const Shape& y);
// The part of the source that constant padding keeps.
StridedBox pad_box(const Shape& x, std::span<const int64_t> before, const Shape& y);
// The same box, from the target to the source.
StridedBox reversed(StridedBox box);

}  // namespace tandem
