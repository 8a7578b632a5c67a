// The pixels that one position between pixels is made of, and their weights: what grid sampling and deformable convolution read.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/api/grid_sample.h"

namespace tandem::cpu {

inline constexpr int kMostSampleAxes = 3;

// A pixel grid of up to three axes, the last ones in use.
struct PixelGrid {
  std::array<int64_t, kMostSampleAxes> size{1, 1, 1};
  std::array<int64_t, kMostSampleAxes> stride{0, 0, 0};
  int axes = 0;

  // `sizes` are those of the axes, outermost first.
  explicit PixelGrid(std::span<const int64_t> sizes) : axes(static_cast<int>(sizes.size())) {
    int64_t step = 1;
    for (size_t a = sizes.size(); a-- > 0; step *= sizes[a]) size[a] = sizes[a], stride[a] = step;
  }
  int64_t pixels() const { return size[0] * size[1] * size[2]; }
};

// The taps of one axis; index -1 reads 0.
template <class T>
struct AxisTaps {
  int count = 0;
  std::array<int64_t, 4> index{};
  std::array<T, 4> weight{};
};

// Where a position is read, and how fast that place moves with the position: 1, -1 where it is folded back, 0 where it stays.
template <class T>
struct Place {
  T at, slope;
};

// `x` folded back at the borders until it lies between them.
template <class T>
Place<T> reflected(T x, T low, T high) {
  if (high <= low) return {low, 0};
  const T range = high - low, way = x < low ? low - x : x - high;
  if (way <= 0) return {x, 1};
  const T turns = std::floor(way / range), rest = way - turns * range;
  const bool even = std::fmod(turns, T(2)) == 0;
  return {even == (x < low) ? low + rest : high - rest, even ? T(-1) : T(1)};
}

// Position `x` (0 is the center of the first pixel) on an axis of `size` >= 1.
template <class T>
Place<T> sampled_place(T x, int64_t size, const SampleOptions& options) {
  const T edge = options.align_corners ? T(0) : T(-0.5), last = static_cast<T>(size - 1);
  Place<T> place{x, 1};
  if (!(std::fabs(x) < T(1e9))) place = {std::signbit(x) ? T(-1e9) : T(1e9), 0};  // infinities and NaN are far outside
  if (options.mode == SampleMode::kNearest) place = {std::nearbyint(place.at), 0};
  if (place.at >= edge && place.at <= last - edge) return place;
  // A cubic reads around positions outside the image too, where each of its taps is the border.
  if (options.padding == SamplePadding::kBorder && options.mode != SampleMode::kCubic)
    return {std::clamp(place.at, T(0), last), 0};
  if (options.padding != SamplePadding::kReflection) return place;
  const Place<T> folded = reflected(place.at, edge, last - edge);
  return {folded.at, folded.slope * place.slope};
}

template <class T>
int64_t tap_index(T at, int64_t size, const SampleOptions& options) {
  const T last = static_cast<T>(size - 1);
  if (at >= 0 && at <= last) return static_cast<int64_t>(at);
  if (options.padding == SamplePadding::kZeros) return -1;
  const T edge = options.align_corners ? T(0) : T(-0.5);
  if (options.padding == SamplePadding::kReflection) at = reflected(at, edge, last - edge).at;
  return static_cast<int64_t>(std::clamp(at, T(0), last));
}

// Cubic convolution (Keys 1981) with a = -0.75, of the taps at -1, 0, 1 and 2 from a position `f` of [0, 1).
template <class T>
std::array<T, 4> cubic_weights(T f) {
  constexpr T a = T(-0.75);
  const auto inner = [](T d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  const auto outer = [](T d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  return {outer(f + 1), inner(f), inner(1 - f), outer(2 - f)};
}

// Taps of position `x` on an axis of `size` >= 1. NaN reads pixel 0, or nothing.
template <class T>
AxisTaps<T> axis_taps(T x, int64_t size, const SampleOptions& options) {
  AxisTaps<T> taps;
  const T at = sampled_place(x, size, options).at, base = std::floor(at), f = at - base;
  const auto add = [&](T tap, T weight) {
    taps.index[static_cast<size_t>(taps.count)] = tap_index(tap, size, options);
    taps.weight[static_cast<size_t>(taps.count++)] = weight;
  };
  switch (options.mode) {
    case SampleMode::kNearest: add(base, T(1)); break;
    case SampleMode::kLinear: add(base, 1 - f), add(base + 1, f); break;
    case SampleMode::kCubic: {
      const std::array<T, 4> weights = cubic_weights(f);
      for (int t = 0; t < 4; ++t) add(base + static_cast<T>(t - 1), weights[static_cast<size_t>(t)]);
    }
  }
  return taps;
}

// The combined taps of a point: at most 4 an axis.
template <class T>
struct PointTaps {
  int count = 0;
  std::array<int64_t, 64> offset;
  std::array<T, 64> weight;

  // What the image that starts at `x` has at the point.
  T read(const T* x) const {
    T sum = 0;
    for (int t = 0; t < count; ++t) sum += weight[static_cast<size_t>(t)] * x[offset[static_cast<size_t>(t)]];
    return sum;
  }
  // Adds `amount` to the pixels that make the point, each by its weight.
  void add(T amount, T* dx) const {
    for (int t = 0; t < count; ++t) dx[offset[static_cast<size_t>(t)]] += amount * weight[static_cast<size_t>(t)];
  }
};

// `position` has one number an axis, outermost first.
template <class T>
void point_taps(const PixelGrid& grid, const T* position, const SampleOptions& options, PointTaps<T>& taps) {
  std::array<AxisTaps<T>, kMostSampleAxes> axes;
  axes.fill({.count = 1, .index = {}, .weight = {T(1)}});
  for (int a = 0; a < grid.axes; ++a)
    axes[static_cast<size_t>(a)] = axis_taps(position[a], grid.size[static_cast<size_t>(a)], options);
  taps.count = 0;
  for (int i = 0; i < axes[0].count; ++i)
    for (int j = 0; j < axes[1].count; ++j)
      for (int k = 0; k < axes[2].count; ++k) {
        const auto a = static_cast<size_t>(i), b = static_cast<size_t>(j), c = static_cast<size_t>(k);
        const T weight = axes[0].weight[a] * axes[1].weight[b] * axes[2].weight[c];
        if (weight == 0 || axes[0].index[a] < 0 || axes[1].index[b] < 0 || axes[2].index[c] < 0) continue;
        const auto at = static_cast<size_t>(taps.count++);
        taps.offset[at] =
            axes[0].index[a] * grid.stride[0] + axes[1].index[b] * grid.stride[1] + axes[2].index[c] * grid.stride[2];
        taps.weight[at] = weight;
      }
}

}  // namespace tandem::cpu
