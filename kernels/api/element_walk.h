// The address arithmetic of GatherElements: which element of x an element of the indices stands for.
#pragma once

#include <cstdint>

#include "kernels/api/strided_box.h"

namespace tandem {

class ElementWalk {
 public:
  ElementWalk(const Shape& x, const Shape& indices, int axis) : rank_(indices.rank()), axis_(axis) {
    const auto strides = dense_strides(x);
    for (int a = 0; a < rank_; ++a) {
      sizes_[a] = indices[a];
      strides_[a] = strides[static_cast<size_t>(a)];
    }
  }
  // The offset in x of the element that element i of the indices stands for, with its index still to be added along the axis.
  constexpr int64_t offset(int64_t i) const {
    int64_t at = 0;
    for (int a = rank_ - 1; a >= 0; --a) {
      if (a != axis_) at += i % sizes_[a] * strides_[a];
      i /= sizes_[a];
    }
    return at;
  }
  constexpr int64_t axis_stride() const { return strides_[axis_]; }

 private:
  int rank_, axis_;
  int64_t sizes_[Shape::kMaxRank] = {};
  int64_t strides_[Shape::kMaxRank] = {};
};

}  // namespace tandem
