// Non-owning views of dense row-major tensors: what every kernel takes and gives.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "kernels/base/dtype.h"
#include "kernels/base/shape.h"

namespace tandem {

// Somebody else owns `data`; `Byte` is std::byte or const std::byte. Sizes were checked when the view was made.
// A null view (`!view`) stands for an optional input or output that is absent.
template <class Byte>
struct BasicTensorView {
  Byte* data = nullptr;
  DType dtype = DType::kUndefined;
  Shape shape;

  operator BasicTensorView<const std::byte>() const { return {data, dtype, shape}; }
  explicit operator bool() const { return dtype != DType::kUndefined; }

  int64_t elements() const { return shape.elements(); }
  size_t bytes() const { return static_cast<size_t>(shape.elements()) * size_of(dtype); }

  // The elements as T. REQUIRES: dtype == dtype_of<T>.
  template <class T>
  auto as() const {
    using Element = std::conditional_t<std::is_const_v<Byte>, const T, T>;
    ensure(dtype == dtype_of<T>, "view read as another element type", name(dtype), name(dtype_of<T>));
    return std::span<Element>(reinterpret_cast<Element*>(data), static_cast<size_t>(shape.elements()));
  }
  // The elements as T, whatever the dtype: for kernels that only move bytes. REQUIRES: sizeof(T) == size_of(dtype).
  template <class T>
  auto raw() const {
    using Element = std::conditional_t<std::is_const_v<Byte>, const T, T>;
    ensure(sizeof(T) == size_of(dtype), "view read with another element size", name(dtype), sizeof(T));
    return std::span<Element>(reinterpret_cast<Element*>(data), static_cast<size_t>(shape.elements()));
  }
};

using TensorView = BasicTensorView<std::byte>;
using ConstTensorView = BasicTensorView<const std::byte>;

// A tensor seen around one axis as [outer, length, inner]; most per-axis kernels need no more than this.
struct AxisView {
  int64_t outer, length, inner;
  AxisView(const Shape& shape, int axis)
      : outer(shape.product(0, axis)), length(shape[axis]), inner(shape.product(axis + 1, shape.rank())) {}
};

}  // namespace tandem
