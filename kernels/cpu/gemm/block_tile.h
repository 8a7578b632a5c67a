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
  static constexpr int64_t kFarPanels = 128 * 1024;  // bytes of a tile's panels, from which on fetching ahead pays: it costs where they are near
  static constexpr int64_t kFewTiles = 3, kLine = 64;  // tiles of rows that hardly read panels again: they wait for them, whatever a panel's size
  using Finish = typename Of::template Finish<V>;
  // What is fetched into the second-level cache, spread over the steps of a tile: the weights that follow, of which each tile fetches its part, or
  // the rows of the next tile, where they are far and met for the first time.
  struct Fetch {
    const std::byte* from;
    int64_t step;
  };
  // From row `row` on. Returns whether `finish` has taken the tile; null: it is stored in any case.
  using Tile = bool (*)(const Block&, const std::byte*, RunRange, const std::byte*, const Number*, Number*, const Finish*, int64_t row, const Fetch&);

  template <int R, int P, bool kAhead>
  static bool multiply_tile(const Block& b, const std::byte* a, RunRange runs, const std::byte* panels, const Number* seeds, Number* sums,
                            const Finish* finish, int64_t row, [[maybe_unused]] const Fetch& fetch) {
    if constexpr (requires { &V::template multiply_tile<R, P>; })
      return V::template multiply_tile<R, P>(b, a, panels, seeds, sums), false;
    else
      return multiply_vectors<R, P, kAhead>(b, a, runs, panels, seeds, sums, finish, row, fetch);
  }

  template <int R, int P, bool kAhead>
  static bool multiply_vectors(const Block& b, const std::byte* a, RunRange runs, const std::byte* panels, const Number* seeds, Number* sums,
                               [[maybe_unused]] const Finish* finish, [[maybe_unused]] int64_t row, [[maybe_unused]] const Fetch& fetch) {
    constexpr int kVectors = P * kParts;
    const int64_t panel_bytes = b.depth * kPanelColumns, stride = b.a_stride;
    if constexpr (requires { finish->template ask_ahead<R>(row); })
      if (finish) finish->template ask_ahead<R>(row);
    typename V::Sum sum[R][kVectors];
    // Unrolled all of them: an index that is not known when it is compiled would keep the sums in memory.
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) sum[r][v] = V::load_sums(seeds + v * V::kLanes);
    const int64_t run_bytes = b.run_bytes();
    const std::byte* weights = panels + runs.first * run_bytes * kPanelColumns;
    [[maybe_unused]] const std::byte* ahead = kAhead ? fetch.from : nullptr;
    for (int64_t run = runs.first; run < runs.last; ++run, weights += run_bytes * kPanelColumns) {
      const std::byte* from = b.offsets ? a + b.offsets[run] : a;
      if (b.places) weights = panels + b.places[run] * kPanelColumns;
      for (int64_t k = 0; k < run_bytes; k += 4) {
        typename V::Weights w[kVectors];
        if constexpr (kAhead) {
          for (int64_t line = 0; line < fetch.step; line += kLine) __builtin_prefetch(ahead + line, 0, 2);
          ahead += fetch.step;
        }
        for (int v = 0; v < kVectors; ++v)
          w[v] = V::load_weights(weights + v / kParts * panel_bytes + k * kPanelColumns + v % kParts * 4 * V::kLanes);
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

  template <int P, bool kAhead, size_t... R>
  static constexpr std::array<Tile, sizeof...(R)> by_rows(std::index_sequence<R...>) {
    return {&multiply_tile<static_cast<int>(R) + 1, P, kAhead>...};
  }

  template <int P>
  static void multiply_panels(const Block& b, int64_t column) {
    using Rows = std::make_index_sequence<V::kRows>;
    static constexpr auto kNear = by_rows<P, false>(Rows{}), kFar = by_rows<P, P == V::kPanels>(Rows{});
    constexpr int64_t kTogether = 4 * V::kRows;  // rows that are finished at once
    alignas(64) std::array<Number, kTogether * P * kPanelColumns> sums;
    const Finish finish(b, column, P);
    const Finish* of_tiles = nullptr;
    if constexpr (Of::template kInRegisters<V>) of_tiles = finish.takes_tiles() ? &finish : nullptr;
    const std::byte* panels = b.panels + column * b.depth;
    const int64_t line = b.line > 0 ? b.line : b.rows, gap = b.line_results > 0 ? b.line_results - line : 0, tiles_of_line = (line + V::kRows - 1) / V::kRows;
    int64_t tiles = tiles_of_line, begin = 0, gaps = 0;  // that are left of the line, its first row, and what lies between results before it
    const std::byte* a = b.a;
    RunRange runs = b.runs_of(0);
    const int64_t steps = b.depth / 4, next = P * kPanelColumns * b.depth, all_tiles = (b.rows + line - 1) / line * tiles_of_line;
    bool fetches_rows = false;
    if constexpr (requires { b.rows_are_far; }) fetches_rows = b.rows_are_far && column == 0;
    const bool fetches_panels = next >= kFarPanels || (all_tiles <= kFewTiles && b.columns * b.depth >= kFarPanels);
    const auto& tiles_of_rows = fetches_panels || fetches_rows ? kFar : kNear;
    const int64_t part = next / (all_tiles > 0 ? all_tiles : 1);
    Fetch fetch = {panels + next, steps > 0 ? (part + steps - 1) / steps : 0};
    for (int64_t row = 0, done = 0; row < b.rows; --tiles) {
      if (tiles == 0) tiles = tiles_of_line, begin = row, gaps += gap, a += b.line_stride, runs = b.runs_of(row / line);
      const int64_t rows = (begin + line - row + tiles - 1) / tiles;  // evenly: a tile of one row would cost nearly what a whole one does
      if (fetches_rows) fetch = {a + (row + rows - begin) * b.a_stride, 4 * rows};
      const bool finished = tiles_of_rows[static_cast<size_t>(rows - 1)](b, a + (row - begin) * b.a_stride, runs, panels, b.seeds + column,
                                                                           sums.data() + (row - done) * P * kPanelColumns, of_tiles, row + gaps, fetch);
      fetch.from += part;
      row += rows;
      if (finished) {
        done = row;
        continue;
      }
      if (!of_tiles && gap == 0 && row < b.rows && row - done + V::kRows <= kTogether) continue;
      finish(sums.data(), P * kPanelColumns, done + gaps, row - done);
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
