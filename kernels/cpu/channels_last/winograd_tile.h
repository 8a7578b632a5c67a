// The transforms around the products of a Winograd convolution and of its gradients, once for all tiers: a template on the vector V (channels) and on M, the
// outputs of a tile in each direction (winograd_line.h). The products between them are those of product_tile.h.
#pragma once

#include "kernels/cpu/channels_last/finish.h"
#include "kernels/cpu/channels_last/tier.h"
#include "kernels/cpu/channels_last/winograd_line.h"

namespace tandem::cpu {

template <class V, int M>
struct WinogradTile {
  static constexpr int N = M + 2;
  static constexpr int64_t kLanes = V::kLanes;

  static V read(const float* p, int64_t n) { return n >= kLanes ? V::load(p) : V::load(p, V::part(n)); }
  static void write(V v, float* p, int64_t n) {
    if (n >= kLanes) v.store(p);
    else v.store(p, V::part(n));
  }

  // One vector of channels, `n` of which are there. Lines first; `lines` goes through memory where registers are too few.
  [[gnu::always_inline]] static void transform_input(const WinogradInput& s, int64_t at, int64_t n) {
    V lines[N][N];
#pragma GCC unroll 6
    for (int i = 0; i < N; ++i) {
      V line[N];
#pragma GCC unroll 6
      for (int j = 0; j < N; ++j) line[j] = read(s.pixels[i * N + j] + at, n);
      WinogradLine<M>::to_points(line, lines[i]);
    }
#pragma GCC unroll 6
    for (int j = 0; j < N; ++j) {
      V column[N], made[N];
#pragma GCC unroll 6
      for (int i = 0; i < N; ++i) column[i] = lines[i][j];
      WinogradLine<M>::to_points(column, made);
#pragma GCC unroll 6
      for (int i = 0; i < N; ++i) made[i].store(s.points + (i * N + j) * s.point_stride + at);
    }
  }
  static void input(const WinogradInput& s) {
    int64_t at = 0;
    for (; at + kLanes <= s.channels; at += kLanes) transform_input(s, at, kLanes);
    if (at < s.channels) transform_input(s, at, s.channels - at);
  }

  static void finish(const WinogradOutput& s, V v, V bias, int64_t pixel, int64_t at, int64_t n) {
    const int64_t to = s.offsets[pixel];
    if (to < 0) return;
    v = v + bias;
    if (s.residual) v = v + read(s.residual + to + at, n);
    write(apply(s.finish, v), s.y + to + at, n);
  }
  [[gnu::always_inline]] static void transform_output(const WinogradOutput& s, int64_t at, int64_t n) {
    V columns[N][M];
#pragma GCC unroll 6
    for (int j = 0; j < N; ++j) {
      V column[N];
#pragma GCC unroll 6
      for (int i = 0; i < N; ++i) column[i] = V::load(s.points + (i * N + j) * s.point_stride + at);
      WinogradLine<M>::from_points(column, columns[j]);
    }
    const V bias = s.bias ? read(s.bias + at, n) : V::set(0);
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) {
      V line[N], made[M];
#pragma GCC unroll 6
      for (int j = 0; j < N; ++j) line[j] = columns[j][i];
      WinogradLine<M>::from_points(line, made);
#pragma GCC unroll 4
      for (int j = 0; j < M; ++j) finish(s, made[j], bias, i * M + j, at, n);
    }
  }
  static void output(const WinogradOutput& s) {
    int64_t at = 0;
    for (; at + kLanes <= s.filters; at += kLanes) transform_output(s, at, kLanes);
    if (at < s.filters) transform_output(s, at, s.filters - at);
  }

  // Kernels to points, all taps of a vector of filters at once.
  static void kernels(const WinogradKernels& s) {
    for (int64_t at = 0; at < s.filters; at += kLanes) {
      V lines[3][N];
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) {
        V line[3];
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) line[j] = V::load(s.taps + (s.turned ? 8 - i * 3 - j : i * 3 + j) * s.tap_stride + at);
        WinogradKernelMatrix<M>::to_points(line, lines[i]);
      }
      for (int j = 0; j < N; ++j) {
        const V column[3] = {lines[0][j], lines[1][j], lines[2][j]};
        V made[N];
        WinogradKernelMatrix<M>::to_points(column, made);
        for (int i = 0; i < N; ++i) made[i].store(s.points + (i * N + j) * s.point_stride + at);
      }
    }
  }
  static void kernel_slopes(const WinogradKernelSlopes& s) {
    for (int64_t at = 0; at < s.channels; at += kLanes) {
      V columns[N][3];
      for (int j = 0; j < N; ++j) {
        V column[N];
        for (int i = 0; i < N; ++i) column[i] = V::load(s.points + (i * N + j) * s.point_stride + at);
        WinogradKernelMatrix<M>::from_points(column, columns[j]);
      }
      for (int i = 0; i < 3; ++i) {
        V line[N], made[3];
        for (int j = 0; j < N; ++j) line[j] = columns[j][i];
        WinogradKernelMatrix<M>::from_points(line, made);
        for (int j = 0; j < 3; ++j) made[j].store(s.taps + (i * 3 + j) * s.tap_stride + at);
      }
    }
  }

  [[gnu::always_inline]] static void spread(const WinogradInput& s, int64_t at, int64_t n) {
    V lines[M][N];
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) {
      V line[M];
#pragma GCC unroll 4
      for (int j = 0; j < M; ++j) line[j] = read(s.pixels[i * M + j] + at, n);
      WinogradLine<M>::spread(line, lines[i]);
    }
#pragma GCC unroll 6
    for (int j = 0; j < N; ++j) {
      V column[M], made[N];
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) column[i] = lines[i][j];
      WinogradLine<M>::spread(column, made);
#pragma GCC unroll 6
      for (int i = 0; i < N; ++i) made[i].store(s.points + (i * N + j) * s.point_stride + at);
    }
  }
  static void slopes(const WinogradInput& s) {
    int64_t at = 0;
    for (; at + kLanes <= s.channels; at += kLanes) spread(s, at, kLanes);
    if (at < s.channels) spread(s, at, s.channels - at);
  }

  static constexpr WinogradTransforms kTransforms = {input, output, kernels, slopes, kernel_slopes};
};

}  // namespace tandem::cpu
