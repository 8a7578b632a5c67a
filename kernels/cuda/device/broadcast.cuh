// Where the operands of an element of a NumPy-broadcast output lie: BroadcastLayout on the device, by value in the kernel's
// arguments.
#pragma once

#include "kernels/api/broadcast_layout.h"
#include "kernels/cuda/device/divide.cuh"

namespace tandem::cuda {

// All N operands have the output's shape.
template <int N>
struct FlatIndex {
  __device__ bool steps(int) const { return true; }
  __device__ void locate(int64_t at, int64_t (&offsets)[N]) const {
    for (int k = 0; k < N; ++k) offsets[k] = at;
  }
};

template <int N>
class BroadcastIndex {
 public:
  explicit BroadcastIndex(const BroadcastLayout<N>& layout) : rank_(layout.rank) {
    for (int axis = 0; axis < rank_; ++axis) {
      dims_[axis] = Divisor(layout.total == 0 ? 1 : layout.dims[static_cast<size_t>(axis)]);
      for (int k = 0; k < N; ++k) strides_[k][axis] = layout.strides[static_cast<size_t>(k)][static_cast<size_t>(axis)];
    }
    for (int k = 0; k < N; ++k) steps_[k] = layout.inner_stride(static_cast<size_t>(k)) != 0;
  }

  // Whether operand k advances along an inner row, or stands still.
  __device__ bool steps(int k) const { return steps_[k]; }

  // Offset of each operand for the output's element `at`, in elements.
  __device__ void locate(int64_t at, int64_t (&offsets)[N]) const {
    if (rank_ <= 1) {  // the usual case: no division at all
      for (int k = 0; k < N; ++k) offsets[k] = steps_[k] ? at : 0;
      return;
    }
    for (int k = 0; k < N; ++k) offsets[k] = 0;
    for (int axis = rank_ - 1; axis > 0; --axis) {
      const int64_t i = dims_[axis].divide(at);
      for (int k = 0; k < N; ++k) offsets[k] += i * strides_[k][axis];
    }
    for (int k = 0; k < N; ++k) offsets[k] += at * strides_[k][0];
  }

 private:
  int rank_;
  bool steps_[N];
  Divisor dims_[Shape::kMaxRank];
  int64_t strides_[N][Shape::kMaxRank] = {};
};

}  // namespace tandem::cuda
