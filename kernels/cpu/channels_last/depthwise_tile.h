// The register tile of depthwise convolutions: P pixels of a line by W vectors of channels, once for all tiers (a template on the vector V).
//
// Loads are what limits it, so they are shared: kernels of 3, 5 and 7 adjacent taps load a column of the image once for all the pixels that
// read it; any other kernel loads a tap's weights once for P pixels.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/cpu/channels_last/finish.h"
#include "kernels/cpu/channels_last/tier.h"

namespace tandem::cpu {

template <class V>
struct DepthwiseTile {
  static constexpr int64_t kLanes = V::kLanes;

  template <bool kWhole>
  static V read(const float* p, int64_t n) {
    if constexpr (kWhole) return V::load(p);
    else return V::load(p, V::part(n));
  }

  template <int P, int W, bool kWhole>
  [[gnu::always_inline]] static void start(const DepthwiseLine& s, V (&sum)[P][W], int64_t at, int64_t n) {
#pragma GCC unroll 8
    for (int j = 0; j < W; ++j) {
      const V bias = s.bias ? read<kWhole>(s.bias + at + j * kLanes, n) : V::set(0);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) sum[p][j] = bias;
    }
  }

  // Out of the way of the sums, and rolled up.
  template <bool kWhole>
  [[gnu::noinline]] static void apply_swish(float* c, int64_t ldc, int64_t pixels, int64_t vectors, int64_t n, float alpha) {
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t j = 0; j < vectors; ++j) {
        float* at = c + p * ldc + j * kLanes;
        const V v = swish(read<kWhole>(at, n), V::set(alpha));
        if constexpr (kWhole) v.store(at);
        else v.store(at, V::part(n));
      }
  }

  template <int P, int W, bool kWhole>
  [[gnu::always_inline]] static void finish(const DepthwiseLine& s, V (&sum)[P][W], int64_t pixel, int64_t at, int64_t n) {
    const int64_t first = pixel * s.ldc + at;
    if (s.residual) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
        for (int j = 0; j < W; ++j) sum[p][j] = sum[p][j] + read<kWhole>(s.residual + first + p * s.ldc + j * kLanes, n);
    }
    if (s.finish.kind == TileFinish::kBounds) {
      const V low = V::set(s.finish.low), high = V::set(s.finish.high);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
        for (int j = 0; j < W; ++j) sum[p][j] = clamp(low, sum[p][j], high);
    }
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
      for (int j = 0; j < W; ++j) {
        float* c = s.c + first + p * s.ldc + j * kLanes;
        if constexpr (kWhole) sum[p][j].store(c);
        else sum[p][j].store(c, V::part(n));
      }
    if (s.finish.kind == TileFinish::kSwish) apply_swish<kWhole>(s.c + first, s.ldc, P, W, n, s.finish.alpha);
  }

  // P pixels from `pixel`, W vectors from channel `at`, any taps; n: channels inside the last vector. Pixels are operands in memory.
  template <int P, int W, bool kWhole>
  static void run(const DepthwiseLine& s, int64_t pixel, int64_t at, int64_t n) {
    V sum[P][W];
    start<P, W, kWhole>(s, sum, at, n);
    for (int64_t line = 0; line < s.lines; ++line) {
      const float *x[P], *w = s.w[line] + at;
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        x[p] = s.x[line] + (pixel + p) * s.x_pixel + at;
        asm("" : "+r"(x[p]));  // a pointer each, with displacements: GCC would keep an offset for each of the P * W operands, and spill them
      }
      const int64_t end = s.taps * s.x_tap;
#pragma GCC unroll 1
      for (int64_t tap = 0; tap < end; tap += s.x_tap, w += s.w_tap) {
#pragma GCC unroll 8
        for (int j = 0; j < W; ++j) {
          const V weight = read<kWhole>(w + j * kLanes, n);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) sum[p][j] = fma(weight, read<kWhole>(x[p] + tap + j * kLanes, n), sum[p][j]);
        }
      }
    }
    finish<P, W, kWhole>(s, sum, pixel, at, n);
  }

  // P pixels, two vectors, K adjacent taps at stride S: a column of the image is loaded once for all the pixels under whose kernel it lies.
  template <int P, int K, int S>
  static void run_columns(const DepthwiseLine& s, int64_t pixel, int64_t at) {
    V sum[P][2];
    start<P, 2, true>(s, sum, at, kLanes);
    for (int64_t line = 0; line < s.lines; ++line) {
      const float *x = s.x[line] + pixel * s.x_pixel + at, *w = s.w[line] + at;
      V weight[K][2];
#pragma GCC unroll 8
      for (int t = 0; t < K; ++t, w += s.w_tap) weight[t][0] = V::load(w), weight[t][1] = V::load(w + kLanes);
#pragma GCC unroll 32
      for (int column = 0; column < (P - 1) * S + K; ++column, x += s.x_tap) {
        const V v[2] = {V::load(x), V::load(x + kLanes)};
#pragma GCC unroll 8
        for (int t = 0; t < K; ++t) {
          const int p = (column - t) / S;
          if (column < t || (column - t) % S != 0 || p >= P) continue;
          sum[p][0] = fma(weight[t][0], v[0], sum[p][0]);
          sum[p][1] = fma(weight[t][1], v[1], sum[p][1]);
        }
      }
    }
    finish<P, 2, true>(s, sum, pixel, at, kLanes);
  }

  using Run = void (*)(const DepthwiseLine&, int64_t, int64_t, int64_t);
  struct Runs {
    int64_t vectors;  // of `wide`
    Run wide, four, pair, one, part;
  };
  static constexpr int64_t kPixels = V::kRows / 2;
  // Few pixels (the ends of a line) take many vectors instead, to keep enough independent sums in flight.
  static constexpr int vectors_of(int pixels) { return V::kRows * V::kVectors / pixels < 8 ? V::kRows * V::kVectors / pixels : 8; }
  template <int P>
  static constexpr Runs runs_of() {
    return {vectors_of(P), run<P, vectors_of(P), true>, run<P, vectors_of(P) < 4 ? 2 : 4, true>, run<P, 2, true>, run<P, 1, true>, run<P, 1, false>};
  }
  template <int... I>
  static constexpr auto runs(std::integer_sequence<int, I...>) {
    struct Table {
      Runs by_pixels[sizeof...(I)];
    };
    return Table{{runs_of<I + 1>()...}};
  }
  static constexpr auto kRuns = runs(std::make_integer_sequence<int, kPixels>());

  using RunColumns = void (*)(const DepthwiseLine&, int64_t, int64_t);
  struct Columns {
    RunColumns by_pixels[kPixels];
  };
  template <int K, int S, int... I>
  static constexpr Columns columns(std::integer_sequence<int, I...>) {
    return {{run_columns<I + 1, K, S>...}};
  }
  using Counts = std::make_integer_sequence<int, kPixels>;
  static constexpr Columns kThree = columns<3, 1>(Counts()), kThreeByTwo = columns<3, 2>(Counts()), kFive = columns<5, 1>(Counts());
  static constexpr Columns kFiveByTwo = columns<5, 2>(Counts()), kSeven = columns<7, 1>(Counts());

  // Null: no kernel of its own.
  static const Columns* columns_for(const DepthwiseLine& s) {
    if (s.x_pixel == s.x_tap) return s.taps == 3 ? &kThree : s.taps == 5 ? &kFive : s.taps == 7 ? &kSeven : nullptr;
    if (s.x_pixel == 2 * s.x_tap) return s.taps == 3 ? &kThreeByTwo : s.taps == 5 ? &kFiveByTwo : nullptr;
    return nullptr;
  }

  static void run_line(const DepthwiseLine& s) {
    const int64_t tiles = (s.pixels + kPixels - 1) / kPixels;
    const Columns* own = s.pixels > 1 ? columns_for(s) : nullptr;
    for (int64_t tile = 0, pixel = 0; tile < tiles; ++tile) {
      const int64_t next = s.pixels * (tile + 1) / tiles, i = next - pixel - 1;
      const Runs& f = kRuns.by_pixels[i];
      int64_t at = 0;
      for (; own && at + 2 * kLanes <= s.channels; at += 2 * kLanes) own->by_pixels[i](s, pixel, at);
      for (; at + f.vectors * kLanes <= s.channels; at += f.vectors * kLanes) f.wide(s, pixel, at, kLanes);
      if (f.vectors > 4 && at + 4 * kLanes <= s.channels) f.four(s, pixel, at, kLanes), at += 4 * kLanes;
      for (; at + 2 * kLanes <= s.channels; at += 2 * kLanes) f.pair(s, pixel, at, kLanes);
      for (; at + kLanes <= s.channels; at += kLanes) f.one(s, pixel, at, kLanes);
      if (at < s.channels) f.part(s, pixel, at, s.channels - at);
      pixel = next;
    }
  }
};

}  // namespace tandem::cpu
