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

template <class V>
struct ProductTile {
  static constexpr int64_t kLanes = V::kLanes, kRows = V::kRows;
  static constexpr int kVectors = V::kVectors;
  static constexpr int64_t kAhead = kProductSteps * kVectors * kLanes;  // the block of B that comes next, into the second-level cache

  template <bool kWhole>
  static V read(const float* p, int64_t n) {
    if constexpr (kWhole) return V::load(p);
    else return V::load(p, V::part(n));
  }

  // The residual first: it may be c, which the first of several blocks overwrites.
  template <bool kWhole, int R, int W>
  static void start(const ProductBlock& s, V (&sum)[R][W], int j, int64_t row, int64_t n) {
    const V bias = s.bias ? read<kWhole>(s.bias + j * kLanes, n) : V::set(0);
    const float* from = s.first ? s.residual : s.c;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      sum[r][j] = bias;
      if (!from) continue;
      const V before = read<kWhole>(from + (row + r) * s.ldc + j * kLanes, n);
      sum[r][j] = s.first ? bias + before : before;
    }
  }

  template <bool kWhole, int R, int W>
  static void finish(const ProductBlock& s, const V (&sum)[R][W], int j, int64_t row, int64_t n) {
    const TileFinish f = s.last ? s.finish : TileFinish();
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      float* c = s.c + (row + r) * s.ldc + j * kLanes;
      const V v = apply(f, sum[r][j]);
      if constexpr (kWhole) v.store(c);
      else v.store(c, V::part(n));
    }
  }

  template <int R, int W>
  static void run(const ProductBlock& s, int64_t row) {
    V sum[R][W];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < W; ++j) __builtin_prefetch(s.c + (row + r) * s.ldc + j * kLanes, 1);
#pragma GCC unroll 4
    for (int j = 0; j < W; ++j) {
      if (const int64_t n = s.cols - j * kLanes; n >= kLanes) start<true>(s, sum, j, row, n);
      else start<false>(s, sum, j, row, n);
    }
    const float* b = s.b;
    const float* const* pointers = s.a + row;
    for (int64_t g = 0; g < s.runs; ++g, pointers += s.a_run) {
      const float* a[R];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) a[r] = pointers[r] + s.offset;
#pragma GCC unroll 1
      for (int64_t k = 0; k < s.length; ++k, b += W * kLanes) {
        V right[W];
#pragma GCC unroll 4
        for (int j = 0; j < W; ++j) {
          right[j] = V::load(b + j * kLanes);
          __builtin_prefetch(b + j * kLanes + kAhead, 0, 2);
        }
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          const V left = V::set(a[r][k]);
#pragma GCC unroll 4
          for (int j = 0; j < W; ++j) sum[r][j] = fma(left, right[j], sum[r][j]);
        }
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < W; ++j) {
      if (const int64_t n = s.cols - j * kLanes; n >= kLanes) finish<true>(s, sum, j, row, n);
      else finish<false>(s, sum, j, row, n);
    }
  }

  using Run = void (*)(const ProductBlock&, int64_t);
  template <int W, int... I>
  static constexpr auto runs(std::integer_sequence<int, I...>) {
    struct Table {
      Run by_rows[sizeof...(I)];
    };
    return Table{{run<I + 1, W>...}};
  }
  static constexpr auto kWide = runs<kVectors>(std::make_integer_sequence<int, kRows>());
  static constexpr auto kNarrow = runs<1>(std::make_integer_sequence<int, kRows>());

  // Tiles of nearly equal height: a low one keeps too few sums in flight.
  static void multiply(const ProductBlock& s) {
    const Run* by_rows = s.cols > kLanes ? kWide.by_rows : kNarrow.by_rows;
    const int64_t tiles = (s.rows + kRows - 1) / kRows;
    for (int64_t tile = 0, row = 0; tile < tiles; ++tile) {
      const int64_t end = s.rows * (tile + 1) / tiles;
      by_rows[end - row - 1](s, row);
      row = end;
    }
  }
};

}  // namespace tandem::cpu
