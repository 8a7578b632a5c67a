// The register tile of channels-last convolutions, once for all tiers: a template on the vector V of the tier (kernels/cpu/gemm/tile.h says
// what it has), so that nothing instantiated here is shared between files compiled with different flags.
//
// R pixels by W vectors of filters stay in registers. The pixels are read in place, each through a pointer of its own (indirection:
// Dukhan, "The Indirect Convolution Algorithm", 2019), so that strides, dilations and pads cost nothing here.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/cpu/channels_last/finish.h"
#include "kernels/cpu/channels_last/tier.h"

namespace tandem::cpu {

// kWidest: vectors of a panel.
template <class V, int kWidest>
struct ProductTile {
  static constexpr int64_t kLanes = V::kLanes;
  static constexpr int kMostRows = V::kRows;
  // As many sums as registers hold; more rows than kMostRows would have no registers for their pointers.
  static constexpr int rows_of(int vectors) { return V::kRows * V::kVectors / vectors < kMostRows ? V::kRows * V::kVectors / vectors : kMostRows; }

  // The sums of a tile, row by row: they begin as bias + from, and end in c.
  template <int R>
  struct Sums {
    const float* bias;  // null: 0
    bool has_from;
    const float* from[R];
    float* c[R];
  };

  // What is fetched a piece a step, since all at once would take every fill buffer: the weights of the next block, of which each tile fetches its
  // part, or the pixels of the next tile. A step is counted in bytes and rounded up, or many tiles would leave the ends of their parts out.
  struct Fetch {
    const char* from;
    int64_t step;
  };

  // Where a row of the next tile lies; that of the last one if there is no other.
  static int64_t next_place(const ProductBlock& s, int64_t row) {
    const int64_t inside = row < s.rows ? row : s.rows - 1;
    return s.places ? s.places[inside] : inside;
  }
  template <int W>
  [[gnu::always_inline]] static void fetch_residual(const ProductBlock& s, int64_t place) {
#pragma GCC unroll 4
    for (int j = 0; j < W; ++j) __builtin_prefetch(s.residual + place * s.ldc + j * kLanes);
  }
  // Asks for a row of the result and of the residual. Returns its pixel of the last run, of which R such calls have a part of the steps each.
  template <int R, int W>
  [[gnu::always_inline]] static Fetch fetch_row(const ProductBlock& s, int64_t place) {
#pragma GCC unroll 4
    for (int j = 0; j < W; ++j) __builtin_prefetch(s.c + place * s.ldc + j * kLanes, 1);
    if (s.first && s.residual) fetch_residual<W>(s, place);
    return {reinterpret_cast<const char*>(s.a[(s.runs - 1) * s.a_run + place] + s.offset), R * int64_t{sizeof(float)}};
  }

  // Out of the way of the loop, and rolled up: what only some tiles need.
  [[gnu::noinline]] static void apply_swish(float* const* c, int64_t rows, int64_t vectors, float alpha) {
    for (int64_t r = 0; r < rows; ++r) swish_vectors<V>(c[r], vectors, alpha);
  }

  // A tile that ends outside c works on a copy of it.
  [[gnu::noinline]] static void copy_columns(const float* from, float* to, int64_t cols) {
    for (int64_t j = 0; j < cols; j += kLanes) {
      const typename V::Part part = V::part(cols - j < kLanes ? cols - j : kLanes);
      V::load(from + j, part).store(to + j, part);
    }
  }

  template <int R, int W, Ahead kAhead>
  [[gnu::always_inline]] static void add_step(V (&sum)[R][W], const float* const (&a)[R], int64_t k, const float* b, Fetch& fetch) {
    V right[W];
#pragma GCC unroll 4
    for (int j = 0; j < W; ++j) right[j] = V::load(b + j * kLanes);
    if constexpr (kAhead != Ahead::kNothing) {
      __builtin_prefetch(fetch.from, 0, kAhead == Ahead::kWeights ? 2 : 3);
      fetch.from += fetch.step;
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const V left = V::set(a[r][k]);
#pragma GCC unroll 4
      for (int j = 0; j < W; ++j) sum[r][j] = fma(left, right[j], sum[r][j]);
    }
  }

  template <int R, int W, Ahead kAhead>
  [[gnu::always_inline]] static void sum_up(const ProductBlock& s, int64_t row, const Sums<R>& at, Fetch fetch) {
    if (kAhead != Ahead::kPixels || row == 0) {
#pragma GCC unroll 1
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int j = 0; j < W; ++j) __builtin_prefetch(at.c[r] + j * kLanes, 1);
    }
    if (kAhead == Ahead::kWeights && s.first && s.residual) {
#pragma GCC unroll 1
      for (int r = 0; r < R; ++r) fetch_residual<W>(s, next_place(s, row + R + r));
    }
    V sum[R][W];
#pragma GCC unroll 4
    for (int j = 0; j < W; ++j) {
      const V bias = at.bias ? V::load(at.bias + j * kLanes) : V::set(0);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) sum[r][j] = bias;
    }
    if (at.has_from) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int j = 0; j < W; ++j) sum[r][j] = sum[r][j] + V::load(at.from[r] + j * kLanes);
    }
    const float* b = s.b;
    const float* const* pointers = s.places ? s.a : s.a + row;
    const int64_t end = s.offset + s.length;
    for (int64_t g = 0; g < s.runs; ++g, pointers += s.a_run) {
      const float* a[R];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) a[r] = pointers[s.places ? s.places[row + r] : r];
      int64_t k = s.offset;
      if constexpr (kAhead == Ahead::kPixels) {
        const int64_t parts = g == 0 ? R : 0;
#pragma GCC unroll 1
        for (int64_t r = 0; r < parts; ++r) {
          fetch = fetch_row<R, W>(s, next_place(s, row + R + r));
#pragma GCC unroll 1
          for (const int64_t stop = s.offset + s.length * (r + 1) / R; k < stop; ++k, b += W * kLanes) add_step<R, W, kAhead>(sum, a, k, b, fetch);
        }
      }
#pragma GCC unroll 1
      for (; k < end; ++k, b += W * kLanes)
        add_step<R, W, kAhead == Ahead::kWeights ? kAhead : Ahead::kNothing>(sum, a, k, b, fetch);
    }
    if (s.last && s.finish.kind == TileFinish::kBounds) {
      const V low = V::set(s.finish.low), high = V::set(s.finish.high);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int j = 0; j < W; ++j) sum[r][j] = clamp(low, sum[r][j], high);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < W; ++j) sum[r][j].store(at.c[r] + j * kLanes);
  }

  template <int R, int W, Ahead kAhead>
  static void run(const ProductBlock& s, int64_t row, Fetch fetch) {
    const float* from = s.first ? s.residual : s.c;
    Sums<R> at{s.first ? s.bias : nullptr, from != nullptr, {}, {}};
    const bool whole = s.cols == W * kLanes;
    alignas(64) float edge[R + 1][W * kLanes];
    float* rows[R];
    for (int r = 0; r < R; ++r) {
      const int64_t place = (s.places ? s.places[row + r] : row + r) * s.ldc;
      rows[r] = s.c + place;
      at.c[r] = whole ? rows[r] : edge[r], at.from[r] = whole && from ? from + place : edge[r];
      if (!whole && from) copy_columns(from + place, edge[r], s.cols);
    }
    if (!whole && at.bias) copy_columns(at.bias, edge[R], s.cols), at.bias = edge[R];
    sum_up<R, W, kAhead>(s, row, at, fetch);
    if (s.last && s.finish.kind == TileFinish::kSwish) apply_swish(at.c, R, W, s.finish.alpha);
    for (int r = 0; r < R && !whole; ++r) copy_columns(edge[r], rows[r], s.cols);
  }

  using Run = void (*)(const ProductBlock&, int64_t, Fetch);
  struct Runs {
    int64_t rows;  // at most
    Run by_rows[kMostRows];
  };
  template <int W, Ahead kAhead, int... I>
  static constexpr Runs runs(std::integer_sequence<int, I...>) {
    return {sizeof...(I), {run<I + 1, W, kAhead>...}};
  }
  template <Ahead kAhead, int... I>
  static constexpr auto panels(std::integer_sequence<int, I...>) {
    struct Table {
      Runs by_vectors[sizeof...(I)];
    };
    return Table{{runs<I + 1, kAhead>(std::make_integer_sequence<int, rows_of(I + 1)>())...}};
  }
  using Widths = std::make_integer_sequence<int, kWidest>;
  static constexpr auto kNear = panels<Ahead::kNothing>(Widths());
  static constexpr Runs kPixels = runs<kWidest, Ahead::kPixels>(std::make_integer_sequence<int, rows_of(kWidest)>());
  static constexpr Runs kWeights = runs<V::kVectors, Ahead::kWeights>(std::make_integer_sequence<int, rows_of(V::kVectors)>());

  // Tiles of nearly equal height: a low one keeps too few sums in flight.
  static void multiply(const ProductBlock& s) {
    const int64_t vectors = (s.cols + kLanes - 1) / kLanes;
    const Runs& table = s.ahead == Ahead::kPixels && vectors == kWidest         ? kPixels
                        : s.ahead == Ahead::kWeights && vectors == V::kVectors ? kWeights
                                                                               : kNear.by_vectors[vectors - 1];
    const int64_t most = s.tile_rows > 0 && s.tile_rows < table.rows ? s.tile_rows : table.rows;
    const int64_t tiles = (s.rows + most - 1) / most, width = vectors * kLanes, weights = s.runs * s.length * width;
    for (int64_t tile = 0, row = 0; tile < tiles; ++tile) {
      const int64_t end = s.rows * (tile + 1) / tiles;
      const float* next = s.b + weights + weights * tile / tiles;
      table.by_rows[end - row - 1](s, row, {reinterpret_cast<const char*>(next), (width * int64_t{sizeof(float)} + tiles - 1) / tiles});
      row = end;
    }
  }
};

}  // namespace tandem::cpu
