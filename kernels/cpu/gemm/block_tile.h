// The loops of a block of products in vectors, a template on the vectors that each tier defines: V::kRows rows by V::kPanels panels of 16
// columns stay in registers while k goes by four bytes at a time (a quad of bytes, a pair of bf16). The four bytes of A are broadcast; those
// of B lie side by side, [k / 4 bytes][16 columns][4 bytes].
//
// V has kLanes, kRows, kPanels, Sum, Weights (a vector of B) and Quad (four bytes of A in each lane), load_sums, load_weights, quad_of, store and
// add(Sum, Quad, Weights); or multiply_tile<R, P> of its own. Of has Block, Number (of a sum), and Finish<V>, which takes rows of sums of some
// columns to where they belong. Where Of::kInRegisters<V> it has takes_tiles(), too, and take<R, P>(sums, row), which finishes the sums of a tile as they
// are in registers, or returns false: then they go by memory after all.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/cpu/gemm/integer_block.h"

namespace tandem::cpu {

template <class V, class Of>
struct BlockTile {
  using Block = typename Of::Block;
  using Number = typename Of::Number;
  static constexpr int kParts = kPanelColumns / V::kLanes;  // vectors of a panel
  using Finish = typename Of::template Finish<V>;
  // From row `row` on. Returns whether `finish` has taken the tile; null: it is stored in any case.
  using Tile = bool (*)(const Block&, const std::byte*, RunRange, const std::byte*, const Number*, Number*, const Finish*, int64_t row);

  template <int R, int P>
  static bool multiply_tile(const Block& b, const std::byte* a, RunRange runs, const std::byte* panels, const Number* seeds, Number* sums,
                            const Finish* finish, int64_t row) {
    if constexpr (requires { &V::template multiply_tile<R, P>; })
      return V::template multiply_tile<R, P>(b, a, panels, seeds, sums), false;
    else
      return multiply_vectors<R, P>(b, a, runs, panels, seeds, sums, finish, row);
  }

  template <int R, int P>
  static bool multiply_vectors(const Block& b, const std::byte* a, RunRange runs, const std::byte* panels, const Number* seeds, Number* sums,
                               [[maybe_unused]] const Finish* finish, [[maybe_unused]] int64_t row) {
    constexpr int kVectors = P * kParts;
    const int64_t panel_bytes = b.depth * kPanelColumns, stride = b.a_stride;
    typename V::Sum sum[R][kVectors];
    // Unrolled all of them: an index that is not known when it is compiled would keep the sums in memory.
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) sum[r][v] = V::load_sums(seeds + v * V::kLanes);
    const int64_t run_bytes = b.run_bytes();
    panels += runs.first * run_bytes * kPanelColumns;
    for (int64_t run = runs.first; run < runs.last; ++run, panels += run_bytes * kPanelColumns) {
      const std::byte* from = b.offsets ? a + b.offsets[run] : a;
      for (int64_t k = 0; k < run_bytes; k += 4) {
        typename V::Weights w[kVectors];
        for (int v = 0; v < kVectors; ++v)
          w[v] = V::load_weights(panels + v / kParts * panel_bytes + k * kPanelColumns + v % kParts * 4 * V::kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          const typename V::Quad quad = V::quad_of(from + r * stride + k);
          for (int v = 0; v < kVectors; ++v) sum[r][v] = V::add(sum[r][v], quad, w[v]);
        }
      }
    }
    if constexpr (Of::template kInRegisters<V>)
      if (finish && finish->template take<R, P>(sum, row)) return true;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) V::store(sums + r * P * kPanelColumns + v * V::kLanes, sum[r][v]);
    return false;
  }

  template <int P, size_t... R>
  static constexpr std::array<Tile, sizeof...(R)> by_rows(std::index_sequence<R...>) {
    return {&multiply_tile<static_cast<int>(R) + 1, P>...};
  }

  template <int P>
  static void multiply_panels(const Block& b, int64_t column) {
    static constexpr auto kTiles = by_rows<P>(std::make_index_sequence<V::kRows>{});
    constexpr int64_t kTogether = 4 * V::kRows;  // rows that are finished at once
    alignas(64) std::array<Number, kTogether * P * kPanelColumns> sums;
    const Finish finish(b, column, P);
    const Finish* of_tiles = nullptr;
    if constexpr (Of::template kInRegisters<V>) of_tiles = finish.takes_tiles() ? &finish : nullptr;
    const std::byte* panels = b.panels + column * b.depth;
    const int64_t line = b.line > 0 ? b.line : b.rows, tiles_of_line = (line + V::kRows - 1) / V::kRows;
    int64_t tiles = tiles_of_line, begin = 0;  // that are left of the line, and its first row
    const std::byte* a = b.a;
    RunRange runs = b.runs_of(0);
    for (int64_t row = 0, done = 0; row < b.rows; --tiles) {
      if (tiles == 0) tiles = tiles_of_line, begin = row, a += b.line_stride, runs = b.runs_of(row / line);
      const int64_t rows = (begin + line - row + tiles - 1) / tiles;  // evenly: a tile of one row would cost nearly what a whole one does
      const bool finished = kTiles[static_cast<size_t>(rows - 1)](b, a + (row - begin) * b.a_stride, runs, panels, b.seeds + column,
                                                                  sums.data() + (row - done) * P * kPanelColumns, of_tiles, row);
      row += rows;
      if (finished) {
        done = row;
        continue;
      }
      if (!of_tiles && row < b.rows && row - done + V::kRows <= kTogether) continue;
      finish(sums.data(), P * kPanelColumns, done, row - done);
      done = row;
    }
  }

  static void multiply(const Block& b) {
    int64_t column = 0;
    for (; !b.in_order && column + (V::kPanels - 1) * kPanelColumns < b.columns; column += V::kPanels * kPanelColumns)
      multiply_panels<V::kPanels>(b, column);
    for (; column < b.columns; column += kPanelColumns) multiply_panels<1>(b, column);
  }
};

}  // namespace tandem::cpu
