// The register tile of depthwise convolutions: P pixels of a line by W vectors of channels, once for all tiers (a template on the vector V and on
// the numbers in memory).
//
// Loads are what limits it, so they are shared: kernels of 3, 5 and 7 adjacent taps load a column of the image once for all the pixels that
// read it; any other kernel loads a tap's weights once for P pixels. Two lines of a 3 x 3 kernel at stride 1 share what they both read.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/cpu/channels_last/finish.h"
#include "kernels/cpu/channels_last/tier.h"

namespace tandem::cpu {

// The numbers of the image, the result and the residual as vectors: f32 as they are. Others may bring swish(V, V), for sums in registers.
template <class V>
struct FloatNumbers {
  using Number = float;
  static V load(const float* p) { return V::load(p); }
  static V load(const float* p, typename V::Part part) { return V::load(p, part); }
  static void store(V v, float* p) { v.store(p); }
  static void store(V v, float* p, typename V::Part part) { v.store(p, part); }
};

template <class V, class Numbers = FloatNumbers<V>>
struct DepthwiseTile {
  using Number = typename Numbers::Number;
  using Pixels = DepthwisePixelsOf<Number>;
  static constexpr int64_t kLanes = V::kLanes;
  static constexpr bool kSwishInRegisters = requires { &Numbers::swish; };

  template <bool kWhole>
  static V read(const float* p, int64_t n) {
    if constexpr (kWhole) return V::load(p);
    else return V::load(p, V::part(n));
  }
  template <bool kWhole>
  static V read_number(const Number* p, int64_t n) {
    if constexpr (kWhole) return Numbers::load(p);
    else return Numbers::load(p, V::part(n));
  }
  template <bool kWhole>
  static void write_number(V v, Number* p, int64_t n) {
    if constexpr (kWhole) Numbers::store(v, p);
    else Numbers::store(v, p, V::part(n));
  }

  template <int P, int W, bool kWhole>
  [[gnu::always_inline]] static void start(const Pixels& s, V (&sum)[P][W], int64_t at, int64_t n) {
#pragma GCC unroll 8
    for (int j = 0; j < W; ++j) {
      const V bias = s.bias ? read<kWhole>(s.bias + at + j * kLanes, n) : V::set(0);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) sum[p][j] = bias;
    }
  }

  // Out of the way of the sums, and rolled up.
  template <bool kWhole>
  [[gnu::noinline]] static void apply_swish(Number* c, int64_t ldc, int64_t pixels, int64_t vectors, int64_t n, float alpha) {
    for (int64_t p = 0; p < pixels; ++p, c += ldc)
      if constexpr (kWhole) swish_vectors<V>(c, vectors, alpha);
      else swish(V::load(c, V::part(n)), V::set(alpha)).store(c, V::part(n));  // one vector
  }

  template <int P, int W, bool kWhole>
  [[gnu::always_inline]] static void finish(const Pixels& s, V (&sum)[P][W], int64_t pixel, int64_t at, int64_t n) {
    const int64_t first = pixel * s.ldc + at;
    if (s.residual) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
        for (int j = 0; j < W; ++j) sum[p][j] = sum[p][j] + read_number<kWhole>(s.residual + first + p * s.ldc + j * kLanes, n);
    }
    if (s.finish.kind == TileFinish::kBounds) {
      const V low = V::set(s.finish.low), high = V::set(s.finish.high);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
        for (int j = 0; j < W; ++j) sum[p][j] = clamp(low, sum[p][j], high);
    }
    if constexpr (kSwishInRegisters)
      if (s.finish.kind == TileFinish::kSwish) {
        const V alpha = V::set(s.finish.alpha);
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
          for (int j = 0; j < W; ++j) sum[p][j] = Numbers::swish(sum[p][j], alpha);
      }
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
      for (int j = 0; j < W; ++j) write_number<kWhole>(sum[p][j], s.c + first + p * s.ldc + j * kLanes, n);
    if constexpr (!kSwishInRegisters)
      if (s.finish.kind == TileFinish::kSwish) apply_swish<kWhole>(s.c + first, s.ldc, P, W, n, s.finish.alpha);
  }

  // Taps of a pixel that are inside.
  struct Taps {
    int64_t first, count;
  };

  // P pixels from `pixel`, W vectors from channel `at`; n: channels inside the last vector. Pixels are operands in memory.
  template <int P, int W, bool kWhole>
  static void run(const Pixels& s, Taps taps, int64_t pixel, int64_t at, int64_t n) {
    V sum[P][W];
    start<P, W, kWhole>(s, sum, at, n);
    for (int64_t line = 0; line < s.lines; ++line) {
      const Number* x[P];
      const float* w = s.w[line] + taps.first * s.w_tap + at;
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        x[p] = s.x[line] + ((pixel + p) * s.x_pixel + taps.first * s.x_tap + at);
        asm("" : "+r"(x[p]));  // a pointer each, with displacements: GCC would keep an offset for each of the P * W operands, and spill them
      }
      const int64_t end = taps.count * s.x_tap;
#pragma GCC unroll 1
      for (int64_t tap = 0; tap < end; tap += s.x_tap, w += s.w_tap) {
#pragma GCC unroll 8
        for (int j = 0; j < W; ++j) {
          const V weight = read<kWhole>(w + j * kLanes, n);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) sum[p][j] = fma(weight, read_number<kWhole>(x[p] + tap + j * kLanes, n), sum[p][j]);
        }
      }
    }
    finish<P, W, kWhole>(s, sum, pixel, at, n);
  }

  // P pixels, W vectors, K adjacent taps at stride S: a column of the image is loaded once for all the pixels under whose kernel it lies.
  template <int P, int W, int K, int S, bool kInside>
  static void run_columns(const Pixels& s, int64_t pixel, int64_t at) {
    V sum[P][W];
    start<P, W, true>(s, sum, at, kLanes);
    const int64_t first = pixel * s.x_pixel;
    for (int64_t line = 0; line < s.lines; ++line) {
      const Number* x = s.x[line] + (first + at);
      const float* w = s.w[line] + at;
      V weight[K][W];
#pragma GCC unroll 8
      for (int t = 0; t < K; ++t, w += s.w_tap)
#pragma GCC unroll 2
        for (int j = 0; j < W; ++j) weight[t][j] = V::load(w + j * kLanes);
      int64_t place = first;
#pragma GCC unroll 32
      for (int column = 0; column < (P - 1) * S + K; ++column, x += s.x_tap, place += s.x_tap) {
        if (!kInside && (place < s.begin || place >= s.end)) continue;
#pragma GCC unroll 2
        for (int j = 0; j < W; ++j) {
          V v = Numbers::load(x + j * kLanes);
          if constexpr (requires { v.hold(); }) v.hold();
#pragma GCC unroll 8
          for (int t = 0; t < K; ++t) {
            const int p = (column - t) / S;
            if (column < t || (column - t) % S != 0 || p >= P) continue;
            sum[p][j] = fma(weight[t][j], v, sum[p][j]);
          }
        }
      }
    }
    finish<P, W, true>(s, sum, pixel, at, kLanes);
  }

  // P pixels of two lines of a 3 x 3 kernel at stride 1, one vector: all weights in registers, and of four image lines the middle ones serve both.
  template <int P, bool kInside>
  static void run_pair(const Pixels& s, int64_t pixel, int64_t at) {
    V sum[2][P][1], weight[3][3];
    start<P, 1, true>(s, sum[0], at, kLanes);
    start<P, 1, true>(s, sum[1], at, kLanes);
#pragma GCC unroll 3
    for (int line = 0; line < 3; ++line)
#pragma GCC unroll 3
      for (int t = 0; t < 3; ++t) weight[line][t] = V::load(s.w[line] + t * s.w_tap + at);
    const int64_t first = pixel * s.x_pixel;
#pragma GCC unroll 4
    for (int line = 0; line < 4; ++line) {
      if (!s.x[line]) continue;
      const Number* x = s.x[line] + (first + at);
      int64_t place = first;
#pragma GCC unroll 16
      for (int column = 0; column < P + 2; ++column, x += s.x_tap, place += s.x_tap) {
        if (!kInside && (place < s.begin || place >= s.end)) continue;
        V v = Numbers::load(x);
        if constexpr (requires { v.hold(); }) v.hold();
#pragma GCC unroll 2
        for (int second = 0; second < 2; ++second) {
          if (line < second || line - second > 2) continue;
#pragma GCC unroll 3
          for (int t = 0; t < 3; ++t) {
            if (column < t || column - t >= P) continue;
            sum[second][column - t][0] = fma(weight[line - second][t], v, sum[second][column - t][0]);
          }
        }
      }
    }
    finish<P, 1, true>(s, sum[0], pixel, at, kLanes);
    finish<P, 1, true>(s, sum[1], pixel, at + s.c_line, kLanes);
  }

  using Run = void (*)(const Pixels&, Taps, int64_t, int64_t, int64_t);
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

  using RunColumns = void (*)(const Pixels&, int64_t, int64_t);
  struct Columns {
    RunColumns pair, one;
  };
  struct ColumnTable {
    Columns inside[kPixels], border[kPixels];
  };
  template <int K, int S, int... I>
  static constexpr ColumnTable columns(std::integer_sequence<int, I...>) {
    return {{{run_columns<I + 1, 2, K, S, true>, run_columns<I + 1, 1, K, S, true>}...},
            {{run_columns<I + 1, 2, K, S, false>, run_columns<I + 1, 1, K, S, false>}...}};
  }
  using Counts = std::make_integer_sequence<int, kPixels>;
  static constexpr ColumnTable kThree = columns<3, 1>(Counts()), kThreeByTwo = columns<3, 2>(Counts()), kFive = columns<5, 1>(Counts());
  static constexpr ColumnTable kFiveByTwo = columns<5, 2>(Counts()), kSeven = columns<7, 1>(Counts());

  // Sums of 2 x 8 pixels, nine weights and a column of the image: for 32 registers.
  static constexpr int64_t kPairPixels = V::kRows * V::kVectors >= 24 ? 8 : 0;
  struct PairTable {
    RunColumns inside[kPairPixels + 1], border[kPairPixels + 1];
  };
  template <int... I>
  static constexpr PairTable pairs(std::integer_sequence<int, I...>) {
    return {{run_pair<I + 1, true>...}, {run_pair<I + 1, false>...}};
  }
  static constexpr PairTable kPairs = pairs(std::make_integer_sequence<int, kPairPixels>());

  // Null: no kernel of its own.
  static const ColumnTable* columns_for(const Pixels& s) {
    if (s.x_pixel == s.x_tap) return s.taps == 3 ? &kThree : s.taps == 5 ? &kFive : s.taps == 7 ? &kSeven : nullptr;
    if (s.x_pixel == 2 * s.x_tap) return s.taps == 3 ? &kThreeByTwo : s.taps == 5 ? &kFiveByTwo : nullptr;
    return nullptr;
  }

  static int64_t ceil_of(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : 0; }

  // Pixels [first, last), whose `taps` are inside, of the channels from `from` on.
  static void run_pixels(const Pixels& s, Taps taps, int64_t first, int64_t last, int64_t from) {
    const int64_t tiles = (last - first + kPixels - 1) / kPixels;
    for (int64_t tile = 0, pixel = first; tile < tiles; ++tile) {
      const int64_t next = first + (last - first) * (tile + 1) / tiles;
      const Runs& f = kRuns.by_pixels[next - pixel - 1];
      int64_t at = from;
      for (; at + f.vectors * kLanes <= s.channels; at += f.vectors * kLanes) f.wide(s, taps, pixel, at, kLanes);
      if (f.vectors > 4 && at + 4 * kLanes <= s.channels) f.four(s, taps, pixel, at, kLanes), at += 4 * kLanes;
      for (; at + 2 * kLanes <= s.channels; at += 2 * kLanes) f.pair(s, taps, pixel, at, kLanes);
      for (; at + kLanes <= s.channels; at += kLanes) f.one(s, taps, pixel, at, kLanes);
      if (at < s.channels) f.part(s, taps, pixel, at, s.channels - at);
      pixel = next;
    }
  }

  // Pixels all of whose taps are inside.
  struct Interior {
    int64_t begin, end;
    explicit Interior(const Pixels& s) {
      const int64_t reach = s.end - (s.taps - 1) * s.x_tap;  // first taps before this have their last one inside
      begin = ceil_of(s.begin, s.x_pixel) < s.pixels ? ceil_of(s.begin, s.x_pixel) : s.pixels;
      end = ceil_of(reach, s.x_pixel) < s.pixels ? ceil_of(reach, s.x_pixel) : s.pixels;
      if (end < begin) end = begin;
    }
  };

  static void run_border(const Pixels& s, int64_t first, int64_t last, int64_t from) {
    for (int64_t pixel = first; pixel < last; ++pixel) {
      const int64_t low = ceil_of(s.begin - pixel * s.x_pixel, s.x_tap), high = ceil_of(s.end - pixel * s.x_pixel, s.x_tap);
      const int64_t begin = low < s.taps ? low : s.taps, end = high < s.taps ? high : s.taps;
      run_pixels(s, {begin, end > begin ? end - begin : 0}, pixel, pixel + 1, from);
    }
  }

  static void run_two_lines(const Pixels& s) {
    const Interior interior(s);
    const int64_t tiles = (s.pixels + kPairPixels - 1) / kPairPixels;
    for (int64_t tile = 0, pixel = 0; tile < tiles; ++tile) {
      const int64_t next = s.pixels * (tile + 1) / tiles, i = next - pixel - 1;
      const RunColumns f = pixel >= interior.begin && next <= interior.end ? kPairs.inside[i] : kPairs.border[i];
      for (int64_t at = 0; at < s.channels; at += kLanes) f(s, pixel, at);
      pixel = next;
    }
  }

  static void run_line(const Pixels& s) {
    if constexpr (kPairPixels > 0)
      if (s.c_line) return run_two_lines(s);
    const Interior interior(s);
    const ColumnTable* own = columns_for(s);
    const int64_t whole = own ? s.channels / kLanes * kLanes : 0, tiles = own ? (s.pixels + kPixels - 1) / kPixels : 0;
    for (int64_t tile = 0, pixel = 0; tile < tiles; ++tile) {
      const int64_t next = s.pixels * (tile + 1) / tiles, i = next - pixel - 1;
      const Columns& f = pixel >= interior.begin && next <= interior.end ? own->inside[i] : own->border[i];
      int64_t at = 0;
      for (; at + 2 * kLanes <= whole; at += 2 * kLanes) f.pair(s, pixel, at);
      if (at < whole) f.one(s, pixel, at);
      pixel = next;
    }
    if (whole == s.channels) return;
    run_border(s, 0, interior.begin, whole);
    run_pixels(s, {0, s.taps}, interior.begin, interior.end, whole);
    run_border(s, interior.end, s.pixels, whole);
  }
};

}  // namespace tandem::cpu
