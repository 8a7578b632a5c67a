// The loop over NumPy-broadcast operands: rows of the merged layout, shared by the team.
#pragma once

#include <array>

#include "kernels/api/broadcast_layout.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {

template <size_t N>
class BroadcastLoop {
 public:
  // Throws Internal if `out` is not what the inputs broadcast to.
  BroadcastLoop(const Shape& out, const std::array<const Shape*, N>& in) : layout_(out, in) {}

  // Operand k's step within a row: 0 or 1.
  int64_t inner_stride(size_t k) const { return layout_.inner_stride(k); }
  int64_t inner_size() const { return layout_.inner_size(); }

  // Calls row(offsets, out_offset, n) for pieces of rows that together cover the output once; each writes n elements at
  // out_offset and reads operand k from offsets[k].
  template <class Row>
  void run(const KernelContext& context, Row&& row) const {
    if (layout_.total == 0) return;
    const int64_t inner = layout_.inner_size(), rows = layout_.total / inner;
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
  std::array<int64_t, N> offsets_of_row(int64_t row) const {
    std::array<int64_t, N> offsets{};
    for (int axis = layout_.rank - 2; axis >= 0; --axis) {
      const size_t a = static_cast<size_t>(axis);
      const int64_t index = row % layout_.dims[a];
      row /= layout_.dims[a];
      for (size_t k = 0; k < N; ++k) offsets[k] += index * layout_.strides[k][a];
    }
    return offsets;
  }

  BroadcastLayout<N> layout_;
};

}  // namespace tandem::cpu
