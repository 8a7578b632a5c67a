// The register tile for few rows of A and a B that comes from memory: bound by reading it, and memory gives a third more when it is read in
// several places.
//
// kStreams panels advance together, some steps of each in turn; all tiles of A go through these steps while they are in the first-level cache,
// where the sums wait meanwhile. Turns are short, so that the processor's own prefetchers stay with all of the panels. Each element is still
// summed in the order of k.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/cpu/gemm/tile.h"

namespace tandem::cpu {

template <class V>
struct StreamingTile {
  using T = typename V::Scalar;
  static constexpr int64_t kLanes = V::kLanes, kRows = V::kRows, kWidth = V::kVectors * V::kLanes;
  static constexpr int64_t kTurn = 1536 / static_cast<int64_t>(kWidth * sizeof(T));  // steps of a panel
  using TileSums = V[kRows * V::kVectors];

  template <int R, bool kUnitRows>
  static void advance(const GemmBlock<T>& s, const T* a, const T* b, int64_t steps, int64_t ahead, TileSums& sums) {
    constexpr int W = V::kVectors;
    V sum[R][W];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < W; ++j) sum[r][j] = sums[r * W + j];
    const int64_t a_row = kUnitRows ? 1 : s.a_row, a_k = s.a_k, b_k = s.b_k;
    for (int64_t k = 0; k < steps; ++k, a += a_k, b += b_k) {
      V right[W];
#pragma GCC unroll 4
      for (int j = 0; j < W; ++j) {
        right[j] = V::load(b + j * kLanes);
        __builtin_prefetch(b + j * kLanes + ahead);
      }
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const V left = V::set(a[r * a_row]);
#pragma GCC unroll 4
        for (int j = 0; j < W; ++j) sum[r][j] = fma(left, right[j], sum[r][j]);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < W; ++j) sums[r * W + j] = sum[r][j];
  }

  template <int R>
  static void finish_sums(const GemmBlock<T>& s, const TileSums& sums, int64_t row, int64_t col) {
    V sum[R][V::kVectors];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < V::kVectors; ++j) sum[r][j] = sums[r * V::kVectors + j];
    Tile<V>::template finish<R, 1, V::kVectors>(s, sum, row, col);
  }

  struct Table {
    void (*advance[kRows])(const GemmBlock<T>&, const T*, const T*, int64_t, int64_t, TileSums&);  // by rows - 1
    void (*finish[kRows])(const GemmBlock<T>&, const TileSums&, int64_t, int64_t);
  };
  template <bool kUnitRows, int... I>
  static constexpr Table table_of(std::integer_sequence<int, I...>) {
    return {{advance<I + 1, kUnitRows>...}, {finish_sums<I + 1>...}};
  }
  static constexpr Table kUnit = table_of<true>(std::make_integer_sequence<int, kRows>()),
                         kStrided = table_of<false>(std::make_integer_sequence<int, kRows>());

  static void multiply(const GemmBlock<T>& s, int64_t tile) {
    const Table& table = s.a_row == 1 ? kUnit : kStrided;
    const auto rows_at = [&](int64_t row) { return s.rows - row < tile ? s.rows - row : tile; };
    for (int64_t col = 0; col < s.cols; col += kStreams * kWidth) {
      const int64_t left = (s.cols - col + kWidth - 1) / kWidth, panels = left < kStreams ? left : kStreams;
      const T* b = s.b + col / kWidth * s.b_panel;
      TileSums sums[kStreams][kStreamedTiles];
      for (auto& panel : sums)
        for (TileSums& one : panel)
          for (V& sum : one) sum = V::set(0);
      for (int64_t k = 0; k < s.k; k += kTurn) {
        const int64_t steps = s.k - k < kTurn ? s.k - k : kTurn;
        // The next steps of this panel, or the first ones of that which follows it.
        const int64_t ahead = steps == kTurn ? kTurn * s.b_k : kStreams * s.b_panel - k * s.b_k;
        for (int64_t p = 0; p < panels; ++p)
          for (int64_t t = 0; t * tile < s.rows; ++t)
            table.advance[rows_at(t * tile) - 1](s, s.a + t * s.a_tile + k * s.a_k, b + p * s.b_panel + k * s.b_k, steps, ahead, sums[p][t]);
      }
      for (int64_t p = 0; p < panels; ++p)
        for (int64_t t = 0; t * tile < s.rows; ++t)
          table.finish[rows_at(t * tile) - 1](s, sums[p][t], t * tile, col + p * kWidth);
    }
  }
};

template <class V>
void multiply_streaming(const GemmBlock<typename V::Scalar>& s, int64_t tile_rows) {
  StreamingTile<V>::multiply(s, tile_rows);
}

}  // namespace tandem::cpu
