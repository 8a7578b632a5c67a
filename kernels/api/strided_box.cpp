#include "kernels/api/strided_box.h"

#include <utility>

namespace tandem {
namespace {

size_t at(int axis) { return static_cast<size_t>(axis); }

void require_rank(std::span<const int64_t> values, const Shape& shape) {
  ensure(static_cast<int>(values.size()) == shape.rank(), "one value an axis is needed; values, shape", values.size(),
         to_string(shape));
}

}  // namespace

void StridedBox::add_axis(int64_t size, int64_t source_stride, int64_t target_stride) {
  elements *= size;
  if (size == 1) return;
  if (rank > 0) {
    Axis& last = axes[static_cast<size_t>(rank - 1)];
    if (last.source == source_stride * size && last.target == target_stride * size) {
      last = {last.size * size, source_stride, target_stride};
      return;
    }
  }
  ensure(rank < static_cast<int>(axes.size()), "strided box over too many axes", rank);
  axes[static_cast<size_t>(rank++)] = {size, source_stride, target_stride};
}

int StridedBox::dense_source_axis() const {
  if (rank < 2 || inner().source == 1 || inner().source == 0) return -1;
  for (int i = rank - 2; i >= 0; --i)
    if (axis(i).source == 1) return i;
  return -1;
}

StridedBox transpose_box(const Shape& x, std::span<const int64_t> permutation, const Shape& y) {
  require_rank(permutation, x);
  const auto source = dense_strides(x), target = dense_strides(y);
  StridedBox box;
  for (int a = 0; a < y.rank(); ++a) box.add_axis(y[a], source[static_cast<size_t>(permutation[at(a)])], target[at(a)]);
  return box;
}

StridedBox expand_box(const Shape& x, const Shape& y) {
  const auto source = dense_strides(x), target = dense_strides(y);
  const int missing = y.rank() - x.rank();
  StridedBox box;
  for (int a = 0; a < y.rank(); ++a) {
    const int64_t size = a < missing ? 1 : x[a - missing];
    ensure(size == 1 || size == y[a], "shape does not expand", to_string(x), to_string(y));
    box.add_axis(y[a], size == 1 ? 0 : source[at(a - missing)], target[at(a)]);
  }
  return box;
}

StridedBox tile_box(const Shape& x, const Shape& y) {
  const auto source = dense_strides(x), target = dense_strides(y);
  StridedBox box;
  if (y.elements() == 0) {
    box.elements = 0;
    return box;
  }
  for (int a = 0; a < y.rank(); ++a) {
    ensure(y[a] % x[a] == 0, "tiled shape is no multiple", to_string(x), to_string(y));
    box.add_axis(y[a] / x[a], 0, target[at(a)] * x[a]);
    box.add_axis(x[a], source[at(a)], target[at(a)]);
  }
  return box;
}

StridedBox slice_box(const Shape& x, std::span<const int64_t> starts, std::span<const int64_t> steps, const Shape& y) {
  require_rank(starts, x);
  require_rank(steps, x);
  const auto source = dense_strides(x), target = dense_strides(y);
  StridedBox box;
  for (int a = 0; a < x.rank(); ++a) {
    if (y[a] > 0) {
      const int64_t last = starts[at(a)] + (y[a] - 1) * steps[at(a)];
      ensure(std::min(starts[at(a)], last) >= 0 && std::max(starts[at(a)], last) < x[a], "slice leaves the tensor; axis", a);
    }
    box.source_offset += starts[at(a)] * source[at(a)];
    box.add_axis(y[a], steps[at(a)] * source[at(a)], target[at(a)]);
  }
  if (y.elements() == 0) box.source_offset = 0;
  return box;
}

StridedBox pad_box(const Shape& x, std::span<const int64_t> before, const Shape& y) {
  require_rank(before, x);
  const auto source = dense_strides(x), target = dense_strides(y);
  StridedBox box;
  for (int a = 0; a < x.rank(); ++a) {
    const int64_t first = std::max<int64_t>(0, -before[at(a)]), start = std::max<int64_t>(0, before[at(a)]);
    box.add_axis(std::max<int64_t>(0, std::min(x[a] - first, y[a] - start)), source[at(a)], target[at(a)]);
    box.source_offset += first * source[at(a)];
    box.target_offset += start * target[at(a)];
  }
  return box;
}

StridedBox reversed(StridedBox box) {
  std::swap(box.source_offset, box.target_offset);
  for (StridedBox::Axis& axis : box.axes) std::swap(axis.source, axis.target);
  return box;
}

}  // namespace tandem
