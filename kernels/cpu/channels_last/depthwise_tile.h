// The register tile of depthwise convolutions: P pixels of a line by W vectors of channels, once for all tiers (a template on the vector V).
//
// A tap's weights are loaded once for P pixels; pixels are operands in memory, so that a multiply-add costs little more than one load.
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

  // P pixels from `pixel`, W vectors from channel `at`; n: channels inside the last vector.
  template <int P, int W, bool kWhole>
  static void run(const DepthwiseLine& s, int64_t pixel, int64_t at, int64_t n) {
    V sum[P][W];
#pragma GCC unroll 8
    for (int j = 0; j < W; ++j) {
      const V bias = s.bias ? read<kWhole>(s.bias + at + j * kLanes, n) : V::set(0);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) sum[p][j] = bias;
    }
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
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
      for (int j = 0; j < W; ++j) {
        const int64_t to = (pixel + p) * s.ldc + at + j * kLanes;
        V v = sum[p][j];
        if (s.residual) v = v + read<kWhole>(s.residual + to, n);
        v = apply(s.finish, v);
        if constexpr (kWhole) v.store(s.c + to);
        else v.store(s.c + to, V::part(n));
      }
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

  static void run_line(const DepthwiseLine& s) {
    const int64_t tiles = (s.pixels + kPixels - 1) / kPixels;
    for (int64_t tile = 0, pixel = 0; tile < tiles; ++tile) {
      const int64_t next = s.pixels * (tile + 1) / tiles;
      const Runs& f = kRuns.by_pixels[next - pixel - 1];
      int64_t at = 0;
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
