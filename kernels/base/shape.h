// The dimensions of a dense tensor, kept inline: shapes are copied on hot paths and must not allocate.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "kernels/base/checked.h"

namespace tandem {

class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  // Throws InvalidArgument on a rank over kMaxRank, a negative dimension, or a product over 63 bits.
  explicit Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
    require(dims.size() <= kMaxRank, "rank exceeds the limit", dims.size(), kMaxRank);
    for (int64_t dim : dims) require(dim >= 0, "dimension is negative", dim);
    std::copy(dims.begin(), dims.end(), dims_.begin());
    int64_t product = 1;
    for (int64_t dim : dims)
      if (dim != 0) product = checked_mul(product, dim, "elements of a tensor");
  }

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[static_cast<size_t>(axis)]; }
  void set(int axis, int64_t size) { dims_[static_cast<size_t>(axis)] = size; }
  void push_back(int64_t size) {
    require(rank_ < kMaxRank, "rank exceeds the limit", rank_ + 1, kMaxRank);
    dims_[static_cast<size_t>(rank_++)] = size;
  }
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }

  int64_t elements() const { return product(0, rank_); }
  // Product of the dimensions in [first, last).
  int64_t product(int first, int last) const {
    int64_t n = 1;
    for (int i = first; i < last; ++i) n *= dims_[static_cast<size_t>(i)];
    return n;
  }
  bool operator==(const Shape& other) const {
    return rank_ == other.rank_ && std::equal(dims_.begin(), dims_.begin() + rank_, other.dims_.begin());
  }

 private:
  int rank_ = 0;
  std::array<int64_t, kMaxRank> dims_{};
};

// "[2, 3]"
inline std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

// NumPy's rule: dimensions are aligned at the end; equal, or one of them 1. Throws InvalidArgument naming both shapes.
inline Shape broadcast(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::array<int64_t, Shape::kMaxRank> dims{};
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    const int64_t da = ia < 0 ? 1 : a[ia], db = ib < 0 ? 1 : b[ib];
    require(da == db || da == 1 || db == 1, "shapes do not broadcast", to_string(a), to_string(b));
    dims[static_cast<size_t>(i)] = da == 1 ? db : da;
  }
  return Shape(std::span<const int64_t>(dims.data(), static_cast<size_t>(rank)));
}

}  // namespace tandem
