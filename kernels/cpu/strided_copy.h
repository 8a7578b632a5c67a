// The one loop behind transpose, expand, tile, slice, concat, split and constant padding: copies a box of elements between two
// strided layouts. Axes that continue each other on both sides are merged first, so most calls end in a few memcpys.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/base/kernel_context.h"
#include "kernels/base/shape.h"

namespace tandem::cpu {

class StridedCopy {
 public:
  // Appends an axis, outermost first. Strides are in elements and may be 0 (source only) or negative.
  void add_axis(int64_t size, int64_t source_stride, int64_t target_stride);

  // `source` and `target` point at the box's first element. `element_size` is 1, 2, 4, 8 or 16.
  void run(const KernelContext& context, const std::byte* source, std::byte* target, size_t element_size) const;

 private:
  struct Axis {
    int64_t size, source, target;
  };
  template <class T>
  void run_as(const KernelContext& context, const T* source, T* target) const;
  template <class T>
  void run_blocked(const KernelContext& context, const T* source, T* target, int dense_axis) const;
  // The axis, not the innermost, along which the source is dense; -1 if there is none or the innermost is dense already.
  int dense_source_axis() const;
  const Axis& axis(int i) const { return axes_[static_cast<size_t>(i)]; }

  std::array<Axis, 2 * Shape::kMaxRank> axes_{};  // tile has two for each of the tensor's
  int rank_ = 0;
  int64_t elements_ = 1;
};

// Row-major strides in elements.
inline std::array<int64_t, Shape::kMaxRank> dense_strides(const Shape& shape) {
  std::array<int64_t, Shape::kMaxRank> strides{};
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; stride *= shape[i], --i) strides[static_cast<size_t>(i)] = stride;
  return strides;
}

}  // namespace tandem::cpu
