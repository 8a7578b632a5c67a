// The loops of a block of bytes, a template on the vectors that each tier defines: V::kRows rows by V::kPanels panels stay in
// registers while k goes by in quads; four bytes of A are broadcast, the quads of B lie side by side.
#pragma once

#include <utility>

#include "kernels/cpu/gemm/integer_finish.h"

namespace tandem::cpu {

// V has, beside what integer_finish.h wants: kLanes, kRows, kPanels, Sum, Weights (a vector of B) and Quad (four bytes of A in each
// lane), load_sums, load_weights, quad_of, store and add(Sum, Quad u8, Weights i8).
template <class V>
struct IntegerBlockTile {
  static constexpr int kParts = kPanelColumns / V::kLanes;  // vectors of a panel
  using Tile = void (*)(const IntegerBlock&, const std::byte*, const std::byte*, const int32_t*, int32_t*);

  template <int R, int P>
  static void multiply_tile(const IntegerBlock& b, const std::byte* a, const std::byte* panels, const int32_t* seeds,
                            int32_t* sums) {
    constexpr int kVectors = P * kParts;
    const int64_t panel_bytes = b.depth * kPanelColumns, stride = b.a_stride;
    typename V::Sum sum[R][kVectors];
    // Unrolled all of them: an index that is not known when it is compiled would keep the sums in memory.
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) sum[r][v] = V::load_sums(seeds + v * V::kLanes);
    for (int64_t k = 0; k < b.depth; k += 4) {
      typename V::Weights w[kVectors];
      for (int v = 0; v < kVectors; ++v)
        w[v] = V::load_weights(panels + v / kParts * panel_bytes + k * kPanelColumns + v % kParts * 4 * V::kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const typename V::Quad quad = V::quad_of(a + r * stride + k);
        for (int v = 0; v < kVectors; ++v) sum[r][v] = V::add(sum[r][v], quad, w[v]);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) V::store(sums + r * P * kPanelColumns + v * V::kLanes, sum[r][v]);
  }

  template <int P, size_t... R>
  static constexpr std::array<Tile, sizeof...(R)> by_rows(std::index_sequence<R...>) {
    return {&multiply_tile<static_cast<int>(R) + 1, P>...};
  }

  template <int P>
  static void multiply_panels(const IntegerBlock& b, int64_t column) {
    static constexpr auto kTiles = by_rows<P>(std::make_index_sequence<V::kRows>{});
    constexpr int64_t kTogether = 4 * V::kRows;  // rows that are finished at once
    alignas(64) std::array<int32_t, kTogether * P * kPanelColumns> sums;
    typename IntegerFinish<V>::Own own;
    const PanelScales scales = IntegerFinish<V>::scales_of(b.result, column, b.columns - column, P, own);
    const std::byte* panels = b.panels + column * b.depth;
    int64_t tiles = (b.rows + V::kRows - 1) / V::kRows;
    for (int64_t row = 0, done = 0; row < b.rows; --tiles) {
      const int64_t rows = (b.rows - row + tiles - 1) / tiles;  // evenly: a tile of one row would cost nearly what a whole one does
      kTiles[static_cast<size_t>(rows - 1)](b, b.a + row * b.a_stride, panels, b.seeds + column,
                                            sums.data() + (row - done) * P * kPanelColumns);
      row += rows;
      if (row < b.rows && row - done + V::kRows <= kTogether) continue;
      IntegerFinish<V>::finish(b, scales, sums.data(), P * kPanelColumns, done, row - done, column, P);
      done = row;
    }
  }

  static void multiply(const IntegerBlock& b) {
    int64_t column = 0;
    for (; column + (V::kPanels - 1) * kPanelColumns < b.columns; column += V::kPanels * kPanelColumns)
      multiply_panels<V::kPanels>(b, column);
    for (; column < b.columns; column += kPanelColumns) multiply_panels<1>(b, column);
  }

  static void interleave(const std::byte* const* lines, int64_t n, std::byte flip, std::byte* to, int64_t panel_bytes) {
    const std::byte *a = lines[0], *b = lines[1], *c = lines[2], *d = lines[3];
    for (int64_t first = 0; first < n; first += kPanelColumns, to += panel_bytes) {
      const int64_t count = n - first < kPanelColumns ? n - first : kPanelColumns;
      for (int64_t j = 0; j < count; ++j) {
        to[4 * j] = a[first + j] ^ flip;
        to[4 * j + 1] = b[first + j] ^ flip;
        to[4 * j + 2] = c[first + j] ^ flip;
        to[4 * j + 3] = d[first + j] ^ flip;
      }
    }
  }

  // Times ones.
  static void sum_columns(const std::byte* panel, int64_t depth, int32_t* sums) {
    constexpr std::array<std::byte, 4> kOnes = {std::byte{1}, std::byte{1}, std::byte{1}, std::byte{1}};
    constexpr std::array<int32_t, V::kLanes> kZeros{};
    const typename V::Quad ones = V::quad_of(kOnes.data());
    for (int part = 0; part < kParts; ++part) {
      typename V::Sum sum = V::load_sums(kZeros.data());
      for (int64_t k = 0; k < depth; k += 4)
        sum = V::add(sum, ones, V::load_weights(panel + k * kPanelColumns + part * 4 * V::kLanes));
      V::store(sums + part * V::kLanes, sum);
    }
  }

  static int32_t sum_row(const std::byte* row, int64_t n, bool is_signed) {
    int32_t sum = 0;
    if (is_signed)
      for (int64_t k = 0; k < n; ++k) sum += static_cast<int8_t>(row[k]);
    else
      for (int64_t k = 0; k < n; ++k) sum += static_cast<int32_t>(row[k]);
    return sum;
  }
};

template <class V>
constexpr IntegerBlockKernel make_block_kernel() {
  using Tile = IntegerBlockTile<V>;
  return {V::kRows, 4, false, false, &Tile::multiply, &Tile::interleave, &Tile::sum_columns, &Tile::sum_row};
}

}  // namespace tandem::cpu
