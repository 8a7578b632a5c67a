// Index tensors on the CPU: checked in one pass before any element moves (a bad index must be an error, and an exception cannot
// leave a parallel loop), then turned into offsets.
#pragma once

#include <cstdint>

#include "kernels/api/strided_box.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// Calls f(index type's pointer) once every index is known to be in [-limit, limit).
template <class F>
void with_indices(ConstTensorView indices, int64_t limit, F&& f) {
  const auto checked = [&]<class I>() {
    const I* first = indices.as<I>().data();
    for (int64_t i = 0; i < indices.elements(); ++i)
      require(first[i] >= -limit && first[i] < limit, "index is out of range: index, size of the axis", first[i], limit);
    f(first);
  };
  require(indices.dtype == DType::kI32 || indices.dtype == DType::kI64, "indices must be i32 or i64", name(indices.dtype));
  indices.dtype == DType::kI32 ? checked.template operator()<int32_t>() : checked.template operator()<int64_t>();
}

template <class I>
int64_t wrapped(I index, int64_t size) {
  return index < 0 ? static_cast<int64_t>(index) + size : static_cast<int64_t>(index);
}

// The tuples of GatherND and ScatterND: the last axis of `indices` names a slice of `data`, after `batch_dims` axes that both
// share.
class TupleWalk {
 public:
  TupleWalk(const Shape& data, const Shape& indices, int batch_dims)
      : width_(static_cast<int>(indices[indices.rank() - 1])),
        per_batch_(indices.product(batch_dims, indices.rank() - 1)),
        batches_(indices.product(0, batch_dims)),
        batch_stride_(data.product(batch_dims, data.rank())),
        slice_(data.product(batch_dims + width_, data.rank())) {
    for (int k = 0; k < width_; ++k) {
      sizes_[k] = data[batch_dims + k];
      strides_[k] = data.product(batch_dims + k + 1, data.rank());
    }
  }
  int64_t batches() const { return batches_; }
  int64_t per_batch() const { return per_batch_; }
  int64_t slice() const { return slice_; }  // elements that one tuple names

  // Throws InvalidArgument for an index outside its axis.
  void check(const int64_t* index) const {
    for (int64_t t = 0; t < batches_ * per_batch_; ++t)
      for (int k = 0; k < width_; ++k, ++index)
        require(*index >= -sizes_[k] && *index < sizes_[k], "index is out of range: index, size of the axis", *index, sizes_[k]);
  }
  // Of the first element that tuple `t` names.
  int64_t offset(const int64_t* index, int64_t t) const {
    int64_t at = t / per_batch_ * batch_stride_;
    for (int k = 0; k < width_; ++k) at += wrapped(index[t * width_ + k], sizes_[k]) * strides_[k];
    return at;
  }

 private:
  int width_;
  int64_t per_batch_, batches_, batch_stride_, slice_;
  int64_t sizes_[Shape::kMaxRank] = {}, strides_[Shape::kMaxRank] = {};
};

// The lines along one axis of an index tensor, and where they lie in data whose other dimensions may be larger.
class LineWalk {
 public:
  LineWalk(const Shape& data, const Shape& indices, int axis)
      : lines_(indices, axis), indices_(indices), axis_(axis), strides_(dense_strides(data)) {
    for (int a = axis + 1; a < indices.rank(); ++a) dense_ = dense_ && indices[a] == data[a];
  }
  const AxisView& lines() const { return lines_; }
  int64_t axis_stride() const { return strides_[static_cast<size_t>(axis_)]; }
  int64_t outer_offset(int64_t outer) const { return offset(outer, 0, axis_); }
  int64_t inner_offset(int64_t inner) const { return dense_ ? inner : offset(inner, axis_ + 1, indices_.rank()); }

 private:
  int64_t offset(int64_t i, int first, int last) const {
    int64_t at = 0;
    for (int a = last - 1; a >= first; --a) {
      at += i % indices_[a] * strides_[static_cast<size_t>(a)];
      i /= indices_[a];
    }
    return at;
  }

  AxisView lines_;
  Shape indices_;
  int axis_;
  decltype(dense_strides(Shape())) strides_;
  bool dense_ = true;  // the dimensions after the axis are the data's: inner positions need no arithmetic
};

}  // namespace tandem::cpu
