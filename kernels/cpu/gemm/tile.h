// The register tile, once for all tiers: a template on the vector type V, which each tier defines in an unnamed namespace, so that
// nothing instantiated here is shared between files compiled with different flags.
//
// R rows by W vectors of C stay in registers while k runs: per step, W vector loads of B and R broadcasts of A feed R * W multiply-adds.
// Few rows (a small batch) take several panels of B at once instead, to keep enough independent sums in flight, and to read memory in several
// places: one place at a time leaves a third of its bandwidth.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/cpu/gemm/tier.h"

namespace tandem::cpu {

// The same for few rows on weights that come from memory: streaming_tile.h.
inline constexpr int64_t kStreams = 4, kStreamedTiles = 2;  // panels read at once; tiles of rows at most
template <class V>
void multiply_streaming(const GemmBlock<typename V::Scalar>& s, int64_t tile_rows);
// The same for few columns, whose lanes are rows: narrow_tile.h. Whole vectors of rows; the others are left.
inline constexpr int kNarrowColumns = 4;  // at most
template <class V>
void multiply_narrow(const GemmBlock<typename V::Scalar>& s);

// V has: Scalar; kLanes; kRows (mr); kVectors (vectors of a panel, nr = kVectors * kLanes); wide_panels(rows);
// Part and part(n), the n leading lanes; load(p), load(p, part) with zeros behind, store(p), store(p, part), set, +, *, fma(a, b, c) = a * b + c, relu,
// where_positive(gate, a), transpose(V (&)[kLanes]).
template <class V>
struct Tile {
  using T = typename V::Scalar;
  static constexpr int64_t kLanes = V::kLanes, kRows = V::kRows, kWidth = V::kVectors * V::kLanes;
  static constexpr int64_t kAhead = 1024 / static_cast<int64_t>(kWidth * sizeof(T));  // steps that B is asked for before it is read
  static constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));  // of a cache
  static constexpr int64_t kBusyRows = 8;  // whose products take as long as reading B from memory
  static constexpr int kAsked = 4;  // rows of C at a time

  template <bool kWhole>
  static V read(const T* p, int64_t n) {
    if constexpr (kWhole) return V::load(p);
    else return V::load(p, V::part(n));
  }

  // One vector column of the tile: n of its lanes are inside C.
  template <bool kWhole, int R, int N>
  static void finish_column(const GemmBlock<T>& s, const V (&sum)[R][N], int j, int64_t row, int64_t col, int64_t n) {
    const V alpha = V::set(s.alpha), beta = V::set(s.beta);
    V column_bias = V::set(0);
    if (s.column_bias) column_bias = read<kWhole>(s.column_bias + col, n);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      T* c = s.c + (row + r) * s.ldc + col;
      V v = alpha * sum[r][j];
      if (s.accumulate) v = v + read<kWhole>(c, n);
      else if (s.addend) v = fma(beta, read<kWhole>(s.addend + (row + r) * s.ld_addend + col, n), v);
      if (s.column_bias) v = v + column_bias;
      if (s.row_bias) v = v + V::set(s.row_bias[row + r]);
      if (s.relu) v = relu(v);
      if (s.gate) v = where_positive(read<kWhole>(s.gate + (row + r) * s.ldc + col, n), v);
      if constexpr (kWhole) v.store(c);
      else v.store(c, V::part(n));
    }
  }

  // The same with nothing left to do but storing.
  template <int R, int N>
  static void store_column(const GemmBlock<T>& s, const V (&sum)[R][N], int j, int64_t row, int64_t col) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) sum[r][j].store(s.c + (row + r) * s.ldc + col);
  }

  // Inlined, or the sums would be in memory.
  template <int R, int P, int W>
  [[gnu::always_inline]] static inline void finish(const GemmBlock<T>& s, const V (&sum)[R][P * W], int64_t row, int64_t col) {
    const bool plain = s.alpha == 1 && !s.accumulate && !s.addend && !s.column_bias && !s.row_bias && !s.relu && !s.gate;
#pragma GCC unroll 16
    for (int j = 0; j < P * W; ++j) {
      const int64_t at = col + (j / W * V::kVectors + j % W) * kLanes, n = s.cols - at;
      if (n >= kLanes && plain) store_column(s, sum, j, row, at);
      else if (n >= kLanes) finish_column<true>(s, sum, j, row, at, n);
      else if (n > 0) finish_column<false>(s, sum, j, row, at, n);
    }
  }

  // A tile's share of the next panel, which it asks for while it runs, `step` elements a step: when the panel's turn comes it is in the
  // second-level cache.
  struct NextPanel {
    const T* at;
    int64_t step;
  };

  // R rows by P panels, W vectors of each; kUnitRows: the rows of A are adjacent (packed).
  template <int R, int P, int W, bool kUnitRows>
  static void run(const GemmBlock<T>& s, const T* a, const T* b, int64_t row, int64_t col, const NextPanel& next_panel) {
    V sum[R][P * W];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
      for (int j = 0; j < P * W; ++j) sum[r][j] = V::set(0);
    const int64_t a_row = kUnitRows ? 1 : s.a_row, a_k = s.a_k, b_k = s.b_k, b_panel = s.b_panel;
    const T* next = next_panel.at;
    // C is far away, too, and wanted all at once in the end: its rows are asked for in turns, some at a time.
    constexpr int kTurns = (R + kAsked - 1) / kAsked;
    const int64_t turn = s.k / kTurns + 1;
    const T* c = s.c + row * s.ldc + col;
    int asked = 0;
    for (int64_t g = 0; g < s.groups; ++g) {
      const T *ap = a + g * s.a_group, *bp = b + g * s.b_group;
      for (int64_t k = 0; k < s.k;) {
        const int64_t end = s.k - k < turn ? s.k : k + turn;
        for (const int last = asked + kAsked < R ? asked + kAsked : R; asked < last; ++asked, c += s.ldc)
#pragma GCC unroll 16
          for (int j = 0; j < P * W; ++j) __builtin_prefetch(c + j * kLanes, 1);
        for (; k < end; ++k, ap += a_k, bp += b_k, next += next_panel.step) {
          V right[P * W];
          for (int64_t line = 0; line < next_panel.step; line += kLine) __builtin_prefetch(next + line, 0, 2);
#pragma GCC unroll 16
          for (int j = 0; j < P * W; ++j) {
            const T* at = bp + j / W * b_panel + j % W * kLanes;
            right[j] = V::load(at);
            if constexpr (P > 1) __builtin_prefetch(at + kAhead * b_k);
          }
#pragma GCC unroll 16
          for (int r = 0; r < R; ++r) {
            const V left = V::set(ap[r * a_row]);
#pragma GCC unroll 16
            for (int j = 0; j < P * W; ++j) sum[r][j] = fma(left, right[j], sum[r][j]);
          }
        }
      }
    }
    finish<R, P, W>(s, sum, row, col);
  }

  using Run = void (*)(const GemmBlock<T>&, const T*, const T*, int64_t, int64_t, const NextPanel&);
  struct Runs {
    Run wide[kRows], pair[kRows];    // several panels, by rows - 1
    Run part[V::kVectors][kRows];  // so many vectors of one panel - 1; the last panel may end before others do
  };
  template <int W, bool kUnitRows, int... I>
  static constexpr void set_part(Runs& table, std::integer_sequence<int, I...>) {
    ((table.part[W - 1][I] = run<I + 1, 1, W, kUnitRows>), ...);
    if constexpr (W > 1) set_part<W - 1, kUnitRows>(table, std::integer_sequence<int, I...>());
  }
  template <bool kUnitRows, int... I>
  static constexpr Runs runs(std::integer_sequence<int, I...> rows) {
    Runs table{{run<I + 1, V::wide_panels(I + 1), V::kVectors, kUnitRows>...},
               {run<I + 1, V::wide_panels(I + 1) < 2 ? 1 : 2, V::kVectors, kUnitRows>...},
               {}};
    set_part<V::kVectors, kUnitRows>(table, rows);
    return table;
  }
  static constexpr Runs kUnit = runs<true>(std::make_integer_sequence<int, kRows>()),
                        kStrided = runs<false>(std::make_integer_sequence<int, kRows>());

  // Rows from `row` on, fewer than a vector has lanes.
  static void multiply_rest(const GemmBlock<T>& s, int64_t row) {
    GemmBlock<T> rest = s;
    rest.rows -= row;
    rest.a += row * s.a_row, rest.c += row * s.ldc;
    if (s.addend) rest.addend += row * s.ld_addend;
    if (s.row_bias) rest.row_bias += row;
    if (s.gate) rest.gate += row * s.ldc;
    if (rest.rows > 0) multiply(rest);
  }

  // Panel by panel: a panel of B stays in the first-level cache while the tiles of A pass.
  static void multiply(const GemmBlock<T>& s) {
    const Runs& table = s.a_row == 1 ? kUnit : kStrided;
    const int64_t tile = s.tile_rows > 0 ? s.tile_rows : kRows, tiles = (s.rows + tile - 1) / tile;
    if (s.cols <= kNarrowColumns && s.cols <= kLanes && s.rows >= kLanes && s.a_k == 1 && s.a_tile == tile * s.a_row && s.groups == 1) {
      multiply_narrow<V>(s);
      return multiply_rest(s, s.rows / kLanes * kLanes);
    }
    const bool in_order = s.b_is_far && !s.b_in_streams;
    const int64_t wide = tiles == 1 && !in_order ? V::wide_panels(static_cast<int>(s.rows)) : 1;
    if (s.b_is_far && !in_order && s.groups == 1 && wide < 3 && tiles <= kStreamedTiles) return multiply_streaming<V>(s, tile);
    // Where panels lie one after the other in memory, each asks for the next. Few rows are best left to the processor's own prefetchers.
    const bool adjacent = (in_order ? s.rows >= kBusyRows : tiles > 1) && s.b_k == kWidth && s.groups == 1;
    NextPanel next{.at = s.b, .step = adjacent ? (kWidth + tiles - 1) / tiles : 0};
    for (int64_t col = 0; col < s.cols;) {
      const int64_t left = s.cols - col, panels = left >= wide * kWidth ? wide : wide > 1 && left >= 2 * kWidth ? 2 : 1;
      const Run* by_rows = table.part[left < kWidth ? (left + kLanes - 1) / kLanes - 1 : V::kVectors - 1];
      if (panels > 1) by_rows = panels == wide ? table.wide : table.pair;
      const T *a = s.a, *b = s.b + col / kWidth * s.b_panel;
      next.at = adjacent ? b + s.b_panel : b;
      for (int64_t row = 0; row < s.rows; row += tile, a += s.a_tile) {
        const int64_t rows = s.rows - row < tile ? s.rows - row : tile;
        by_rows[rows - 1](s, a, b, row, col, next);
        next.at += next.step * s.k;
      }
      col += panels * kWidth;
    }
  }
};

// Panels from rows that are contiguous in k: blocks of kLanes x kLanes are transposed in registers.
template <class V, class T>
void pack_transposed(const PackSource<T>& s, int64_t first, int64_t width, T* panel) {
  constexpr int64_t kLanes = V::kLanes, kNearLines = 256;  // elements between lines of which few make a page, as the keys of a head
  for (int64_t part = 0; part < width; part += kLanes) {
    const int64_t kept = width - part < kLanes ? width - part : kLanes, rows = s.count - first - part;
    const T* source = s.source + (first + part) * s.i_stride;
    const typename V::Part lanes = V::part(kept);
    for (int64_t k = 0; k < s.steps; k += kLanes) {
      const int64_t n = s.steps - k < kLanes ? s.steps - k : kLanes;
      const typename V::Part steps = V::part(n);
      V block[kLanes];
#pragma GCC unroll 16
      for (int64_t i = 0; i < kLanes; ++i) {
        if ((width <= kLanes || s.i_stride <= kNearLines) && i < kept && i + width < rows) __builtin_prefetch(source + (i + width) * s.i_stride + k);  // of the next panel
        if (i >= rows || i >= kept) block[i] = V::set(0);
        else if (n == kLanes) block[i] = V::load(source + i * s.i_stride + k);
        else block[i] = V::load(source + i * s.i_stride + k, steps);
      }
      V::transpose(block);
      T* out = panel + k * width + part;
#pragma GCC unroll 16
      for (int64_t i = 0; i < kLanes; ++i) {
        if (i >= n) break;
        if (kept == kLanes) block[i].store(out + i * width);
        else block[i].store(out + i * width, lanes);
      }
    }
  }
}

// Panels from steps that are contiguous in i.
template <class V, class T>
void pack_contiguous(const PackSource<T>& s, int64_t first, int64_t width, T* panel) {
  constexpr int64_t kLanes = V::kLanes;
  for (int64_t part = 0; part < width; part += kLanes) {
    const int64_t kept = width - part < kLanes ? width - part : kLanes;
    const int64_t left = s.count - first - part, n = left < 0 ? 0 : left < kept ? left : kept;
    const T* source = s.source + first + part;
    T* out = panel + part;
    const typename V::Part lanes = V::part(kept), valid = V::part(n);
    if (n == kLanes)
      for (int64_t k = 0; k < s.steps; ++k) V::load(source + k * s.k_stride).store(out + k * width);
    else
      for (int64_t k = 0; k < s.steps; ++k) V::load(source + k * s.k_stride, valid).store(out + k * width, lanes);
  }
}

// All whole panels of W vectors at once, step by step: what is read is contiguous, where panel by panel no prefetcher would follow.
template <class V, int W, class T>
void copy_panels(const T* source, int64_t k_stride, int64_t count, int64_t steps, T* panels) {
  constexpr int64_t kWidth = W * V::kLanes;
  for (int64_t k = 0; k < steps; ++k, source += k_stride, panels += kWidth) {
    T* panel = panels;
    for (int64_t i = 0; i < count; i += kWidth, panel += kWidth * steps)
#pragma GCC unroll 4
      for (int64_t j = 0; j < W; ++j) V::load(source + i + j * V::kLanes).store(panel + j * V::kLanes);
  }
}

// The same of panels that a vector holds: tiles of a transposed A. Panel by panel every step would be another page.
template <class V, class T>
void copy_narrow_panels(const T* source, int64_t k_stride, int64_t count, int64_t steps, int64_t width, T* panels) {
  const typename V::Part part = V::part(width);
  for (int64_t k = 0; k < steps; ++k, source += k_stride, panels += width) {
    T* panel = panels;
    for (int64_t i = 0; i < count; i += width, panel += width * steps) V::load(source + i, part).store(panel, part);
  }
}

template <class V, class T>
void pack(const PackSource<T>& s, int64_t width, T* panels) {
  int64_t first = 0;
  if (s.i_stride == 1 && width < V::kLanes) {
    first = s.count / width * width;
    copy_narrow_panels<V>(s.source, s.k_stride, first, s.steps, width, panels);
    panels += first * s.steps;
  }
  if (s.i_stride == 1 && width == V::kVectors * V::kLanes) {
    first = s.count / width * width;
    copy_panels<V, V::kVectors>(s.source, s.k_stride, first, s.steps, panels);
    panels += first * s.steps;
  }
  for (; first < s.count; first += width, panels += width * s.steps) {
    if (s.i_stride == 1) pack_contiguous<V>(s, first, width, panels);
    else if (s.k_stride == 1) pack_transposed<V>(s, first, width, panels);
    else
      for (int64_t k = 0; k < s.steps; ++k)
        for (int64_t i = 0; i < width; ++i)
          panels[k * width + i] = first + i < s.count ? s.source[(first + i) * s.i_stride + k * s.k_stride] : T(0);
  }
}

// Runs at stride 1, vector column by vector column: were it line by line, a line's first load would often overlap the masked-off end of
// the store before it, and wait for it. `move` makes the new target from source and target.
template <class V, bool kReadTarget, class T, class Move>
inline void move_unit_runs(const Runs<T>& s, Move move) {
  const int64_t whole = s.length / V::kLanes * V::kLanes;
  const typename V::Part part = V::part(s.length - whole);
  for (int64_t r = 0; r < s.rows; ++r) {
    T* target = s.target + r * s.target_row;
    const T* source = s.source + r * s.source_row;
#pragma GCC unroll 1
    for (int64_t j = 0; j < whole; j += V::kLanes)
      for (int64_t line = 0; line < s.lines; ++line) {
        T* to = target + line * s.target_line + j;
        move(V::load(source + line * s.source_line + j), kReadTarget ? V::load(to) : V::set(0)).store(to);
      }
    if (whole == s.length) continue;
    for (int64_t line = 0; line < s.lines; ++line) {
      T* to = target + line * s.target_line + whole;
      move(V::load(source + line * s.source_line + whole, part), kReadTarget ? V::load(to, part) : V::set(0)).store(to, part);
    }
  }
}

template <class V, bool kReadTarget, class T, class Move>
inline void move_runs(const Runs<T>& s, Move move) {
  if (s.source_stride == 1 && s.target_stride == 1) return move_unit_runs<V, kReadTarget>(s, move);
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t line = 0; line < s.lines; ++line) {
      T* target = s.target + r * s.target_row + line * s.target_line;
      const T* source = s.source + r * s.source_row + line * s.source_line;
      for (int64_t j = 0; j < s.length; ++j) {
        T* at = target + j * s.target_stride;
        *at = move.one(source[j * s.source_stride], *at);
      }
    }
}

struct CopyMove {
  template <class V>
  V operator()(V source, V) const { return source; }
  template <class T>
  T one(T source, T) const { return source; }
};
struct AddMove {
  template <class V>
  V operator()(V source, V target) const { return target + source; }
  template <class T>
  T one(T source, T target) const { return target + source; }
};
template <class V>
struct ScaleAddMove {
  V scale;
  typename V::Scalar factor;
  V operator()(V source, V target) const { return fma(scale, source, target); }
  typename V::Scalar one(typename V::Scalar source, typename V::Scalar target) const { return target + factor * source; }
};

template <class V, class T>
void copy_runs(const Runs<T>& s) {
  move_runs<V, false>(s, CopyMove{});
}
template <class V, class T>
void add_runs(const Runs<T>& s) {
  move_runs<V, true>(s, AddMove{});
}
template <class V, class T>
void scale_add_runs(const Runs<T>& s, T factor) {
  move_runs<V, true>(s, ScaleAddMove<V>{V::set(factor), factor});
}

template <class V, class T>
T dot_runs(const Runs<T>& s, const T* other) {
  V sum = V::set(0);
  T strided = 0;
  for (int64_t r = 0; r < s.rows; ++r)
    for (int64_t line = 0; line < s.lines; ++line) {
      const T* left = other + r * s.target_row + line * s.target_line;
      const T* right = s.source + r * s.source_row + line * s.source_line;
      int64_t j = 0;
      if (s.source_stride != 1 || s.target_stride != 1) {
        for (; j < s.length; ++j) strided += left[j * s.target_stride] * right[j * s.source_stride];
        continue;
      }
      for (; j + V::kLanes <= s.length; j += V::kLanes) sum = fma(V::load(left + j), V::load(right + j), sum);
      if (j < s.length) sum = fma(V::load(left + j, V::part(s.length - j)), V::load(right + j, V::part(s.length - j)), sum);
    }
  T lanes[V::kLanes], total = strided;
  sum.store(lanes);
  for (T lane : lanes) total += lane;
  return total;
}

template <class V>
constexpr GemmTier<typename V::Scalar> make_tier() {
  using T = typename V::Scalar;
  return {Tile<V>::kRows, Tile<V>::kWidth,  Tile<V>::multiply,     pack<V, T>,
          copy_runs<V, T>, add_runs<V, T>, scale_add_runs<V, T>, dot_runs<V, T>};
}

}  // namespace tandem::cpu
