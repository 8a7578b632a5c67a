// The register tile for a B of few columns, which would be a few lanes of a vector: the rows of A are the lanes instead. Blocks of kLanes rows by kLanes
// steps are turned in registers, and a column's sums are one vector. Each element is still summed in the order of k, by the same multiply-adds.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/cpu/gemm/tile.h"

namespace tandem::cpu {

template <class V>
struct NarrowTile {
  using T = typename V::Scalar;
  static constexpr int64_t kLanes = V::kLanes;

  // N columns of kLanes rows from `row` on.
  template <int N>
  static void run(const GemmBlock<T>& s, int64_t row) {
    V sum[N];
    for (int j = 0; j < N; ++j) sum[j] = V::set(0);
    const T *a = s.a + row * s.a_row, *b = s.b;
    for (int64_t k = 0; k < s.k; k += kLanes) {
      const int64_t steps = s.k - k < kLanes ? s.k - k : kLanes;
      V block[kLanes];
      if (steps == kLanes) {
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) block[i] = V::load(a + i * s.a_row + k);
      } else {
        for (int64_t i = 0; i < kLanes; ++i) block[i] = V::load(a + i * s.a_row + k, V::part(steps));
      }
      V::transpose(block);
#pragma GCC unroll 16
      for (int64_t i = 0; i < kLanes; ++i, b += s.b_k) {
        if (i >= steps) break;
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) sum[j] = fma(block[i], V::set(b[j]), sum[j]);
      }
    }
    V rows[kLanes];
#pragma GCC unroll 16
    for (int64_t i = 0; i < kLanes; ++i) rows[i] = i < N ? sum[i < N ? i : 0] : V::set(0);
    V::transpose(rows);
    V sums[kLanes][1];
#pragma GCC unroll 16
    for (int64_t i = 0; i < kLanes; ++i) sums[i][0] = rows[i];
    Tile<V>::template finish<static_cast<int>(kLanes), 1, 1>(s, sums, row, 0);
  }

  template <int... I>
  static void multiply(const GemmBlock<T>& s, std::integer_sequence<int, I...>) {
    static constexpr void (*kByColumns[])(const GemmBlock<T>&, int64_t) = {run<I + 1>...};
    for (int64_t row = 0; row + kLanes <= s.rows; row += kLanes) kByColumns[s.cols - 1](s, row);
  }
};

template <class V>
void multiply_narrow(const GemmBlock<typename V::Scalar>& s) {
  NarrowTile<V>::multiply(s, std::make_integer_sequence<int, kNarrowColumns>());
}

}  // namespace tandem::cpu
