// The loop over NumPy-broadcast operands. Axes that all operands walk alike are merged, so that what is left is an inner row in
// which each operand either stands still (stride 0) or advances by one: the four common cases (same shape, scalar, row, inner)
// are one row or a few long ones.
#pragma once

#include <array>

#include "kernels/base/shape.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {

template <size_t N>
class BroadcastLoop {
 public:
  // Throws Internal if `out` is not what the inputs broadcast to.
  BroadcastLoop(const Shape& out, const std::array<const Shape*, N>& in) {
    std::array<std::array<int64_t, Shape::kMaxRank>, N> strides{};
    for (size_t k = 0; k < N; ++k) strides[k] = strides_of(out, *in[k]);
    for (int axis = 0; axis < out.rank(); ++axis) {
      if (out[axis] == 1) continue;
      append(out[axis], axis, strides);
    }
    total_ = out.elements();
  }

  // Operand k's step within a row: 0 or 1.
  int64_t inner_stride(size_t k) const { return rank_ ? strides_[k][last()] : 0; }

  // Calls row(offsets, out_offset, n) for pieces of rows that together cover the output once; each writes n elements at
  // out_offset and reads operand k from offsets[k].
  template <class Row>
  void run(const KernelContext& context, Row&& row) const {
    if (total_ == 0) return;
    const int64_t inner = rank_ ? dims_[last()] : 1, rows = total_ / inner;
    const int64_t pieces = ceil_div(inner, kGrain);  // a long row is shared too
    parallel_chunks(context, rows * pieces, grain_of(std::min(inner, kGrain)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t r = i / pieces, start = (i % pieces) * kGrain;
        std::array<int64_t, N> offsets = offsets_of_row(r);
        for (size_t k = 0; k < N; ++k) offsets[k] += start * inner_stride(k);
        row(offsets, r * inner + start, std::min(kGrain, inner - start));
      }
    });
  }

 private:
  size_t last() const { return static_cast<size_t>(rank_ - 1); }

  static std::array<int64_t, Shape::kMaxRank> strides_of(const Shape& out, const Shape& in) {
    std::array<int64_t, Shape::kMaxRank> strides{};
    ensure(in.rank() <= out.rank(), "operand has more axes than the output", to_string(in), to_string(out));
    int64_t stride = 1;
    for (int i = in.rank() - 1, o = out.rank() - 1; i >= 0; --i, --o) {
      ensure(in[i] == out[o] || in[i] == 1, "operand does not broadcast to the output", to_string(in), to_string(out));
      strides[static_cast<size_t>(o)] = in[i] == 1 ? 0 : stride;
      stride *= in[i];
    }
    return strides;
  }

  // Adds an axis, merged into the one before when every operand steps over both as over one.
  void append(int64_t size, int axis, const std::array<std::array<int64_t, Shape::kMaxRank>, N>& strides) {
    const size_t a = static_cast<size_t>(axis);
    bool merge = rank_ > 0;
    for (size_t k = 0; merge && k < N; ++k) merge = strides_[k][last()] == strides[k][a] * size;
    if (!merge) ++rank_;
    dims_[last()] = merge ? dims_[last()] * size : size;
    for (size_t k = 0; k < N; ++k) strides_[k][last()] = strides[k][a];
  }

  std::array<int64_t, N> offsets_of_row(int64_t row) const {
    std::array<int64_t, N> offsets{};
    for (int axis = rank_ - 2; axis >= 0; --axis) {
      const size_t a = static_cast<size_t>(axis);
      const int64_t index = row % dims_[a];
      row /= dims_[a];
      for (size_t k = 0; k < N; ++k) offsets[k] += index * strides_[k][a];
    }
    return offsets;
  }

  int rank_ = 0;
  int64_t total_ = 0;
  std::array<int64_t, Shape::kMaxRank> dims_{};
  std::array<std::array<int64_t, Shape::kMaxRank>, N> strides_{};
};

}  // namespace tandem::cpu
