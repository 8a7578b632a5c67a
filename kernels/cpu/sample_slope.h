// How what is read at a position between pixels moves with that position: sample_point.h's weights, and their derivatives.
#pragma once

#include "kernels/cpu/sample_point.h"

namespace tandem::cpu {

// d weight / d x of the taps that axis_taps finds, in their order. At a kink that of the right-hand side.
template <class T>
std::array<T, 4> axis_slopes(T x, int64_t size, const SampleOptions& options) {
  const Place<T> place = sampled_place(x, size, options);
  const T f = place.at - std::floor(place.at), s = place.slope;
  if (options.mode == SampleMode::kNearest) return {};
  if (options.mode == SampleMode::kLinear) return {-s, s};
  constexpr T a = T(-0.75);
  const auto inner = [](T d) { return (3 * (a + 2) * d - 2 * (a + 3)) * d; };
  const auto outer = [](T d) { return (3 * a * d - 10 * a) * d + 8 * a; };
  return {s * outer(f + 1), s * inner(f), -s * inner(1 - f), -s * outer(2 - f)};
}

// The taps of a point with the derivative of each weight by each axis of the position, outermost first.
template <class T>
struct PointSlopes {
  int count = 0;
  std::array<int64_t, 64> offset;
  std::array<T, 64> weight;
  std::array<std::array<T, kMostSampleAxes>, 64> slope;

  T read(const T* x) const {
    T sum = 0;
    for (size_t t = 0; t < static_cast<size_t>(count); ++t) sum += weight[t] * x[offset[t]];
    return sum;
  }
  // d read(x) / d position
  std::array<T, kMostSampleAxes> derivative(const T* x) const {
    std::array<T, kMostSampleAxes> sum{};
    for (size_t t = 0; t < static_cast<size_t>(count); ++t)
      for (size_t a = 0; a < sum.size(); ++a) sum[a] += slope[t][a] * x[offset[t]];
    return sum;
  }
};

template <class T>
void point_slopes(const PixelGrid& grid, const T* position, const SampleOptions& options, PointSlopes<T>& taps) {
  std::array<AxisTaps<T>, kMostSampleAxes> axes;
  std::array<std::array<T, 4>, kMostSampleAxes> slopes{};
  axes.fill({.count = 1, .index = {}, .weight = {T(1)}});
  for (size_t a = 0; a < static_cast<size_t>(grid.axes); ++a) {
    axes[a] = axis_taps(position[a], grid.size[a], options);
    slopes[a] = axis_slopes(position[a], grid.size[a], options);
  }
  taps.count = 0;
  for (size_t i = 0; i < static_cast<size_t>(axes[0].count); ++i)
    for (size_t j = 0; j < static_cast<size_t>(axes[1].count); ++j)
      for (size_t k = 0; k < static_cast<size_t>(axes[2].count); ++k) {
        if (axes[0].index[i] < 0 || axes[1].index[j] < 0 || axes[2].index[k] < 0) continue;
        const T u = axes[0].weight[i], v = axes[1].weight[j], w = axes[2].weight[k];
        const auto at = static_cast<size_t>(taps.count++);
        taps.offset[at] =
            axes[0].index[i] * grid.stride[0] + axes[1].index[j] * grid.stride[1] + axes[2].index[k] * grid.stride[2];
        taps.weight[at] = u * v * w;
        taps.slope[at] = {slopes[0][i] * v * w, u * slopes[1][j] * w, u * v * slopes[2][k]};
      }
}

}  // namespace tandem::cpu
