// Where the bins of a region lie and what each of their points reads: what RoiAlign and its gradient walk over.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/api/roi_pool.h"
#include "kernels/base/error.h"

namespace tandem::cpu {

inline constexpr double kMostPoints = 1 << 20;

struct Extent {
  int64_t channels, height, width, rows, columns;  // rows and columns of bins
  Extent(const Shape& x, const Shape& y) : channels(x[1]), height(x[2]), width(x[3]), rows(y[2]), columns(y[3]) {}
  int64_t plane() const { return height * width; }
  int64_t bins() const { return rows * columns; }
};

// Bins of one region: bin (r, c) begins at top + r * bin_height, and has points_y * points_x points.
struct Region {
  double top, left, bin_height, bin_width;
  int64_t points_y, points_x;
};

inline double points_of(double size, int64_t ratio) {
  return ratio > 0 ? static_cast<double>(ratio) : std::max(0.0, std::ceil(size));
}

template <class T>
Region region_of(const T* corners, const RoiAlignOptions& options, const Extent& e) {
  const double shift = options.half_pixel ? 0.5 : 0;
  const auto at = [&](int i) { return static_cast<double>(corners[i]) * options.spatial_scale - shift; };
  const double least = options.half_pixel ? -std::numeric_limits<double>::infinity() : 1;
  const double width = std::max(at(2) - at(0), least), height = std::max(at(3) - at(1), least);
  Region region{at(1), at(0), height / static_cast<double>(e.rows), width / static_cast<double>(e.columns), 0, 0};
  const double points_y = points_of(region.bin_height, options.sampling_ratio),
               points_x = points_of(region.bin_width, options.sampling_ratio);
  require(points_y * points_x <= kMostPoints, "[RoiAlign] a region is not finite, or its bins have too many points", points_y,
          points_x);
  region.points_y = static_cast<int64_t>(points_y), region.points_x = static_cast<int64_t>(points_x);
  return region;
}

template <class T>
struct Corners {
  std::array<int64_t, 4> offset{};
  std::array<T, 4> weight{};
};

// Points up to one pixel outside read the edge, those beyond nothing.
template <class T>
Corners<T> corners_of(double y, double x, const Extent& e) {
  Corners<T> corners;
  if (!(y >= -1 && y <= static_cast<double>(e.height) && x >= -1 && x <= static_cast<double>(e.width))) return corners;
  const auto along = [](double at, int64_t size, std::array<int64_t, 2>& index, double& part) {
    at = std::clamp(at, 0.0, static_cast<double>(size - 1));
    index[0] = static_cast<int64_t>(at);
    index[1] = std::min(index[0] + 1, size - 1);
    part = at - static_cast<double>(index[0]);
  };
  std::array<int64_t, 2> row, column;
  double down, right;
  along(y, e.height, row, down);
  along(x, e.width, column, right);
  for (size_t i = 0; i < 4; ++i) {
    corners.offset[i] = row[i / 2] * e.width + column[i % 2];
    corners.weight[i] = static_cast<T>((i / 2 ? down : 1 - down) * (i % 2 ? right : 1 - right));
  }
  return corners;
}

// The points of bin (row, column) of a region: calls f(corners) for each, line by line.
template <class T, class F>
void for_each_point(const Region& region, int64_t row, int64_t column, const Extent& e, F&& f) {
  const double top = region.top + static_cast<double>(row) * region.bin_height,
               left = region.left + static_cast<double>(column) * region.bin_width;
  const double step_y = region.bin_height / static_cast<double>(region.points_y),
               step_x = region.bin_width / static_cast<double>(region.points_x);
  for (int64_t i = 0; i < region.points_y; ++i)
    for (int64_t j = 0; j < region.points_x; ++j)
      f(corners_of<T>(top + (static_cast<double>(i) + 0.5) * step_y, left + (static_cast<double>(j) + 0.5) * step_x, e));
}

// Throws InvalidArgument unless all regions lie in an image of the batch, are finite and have bins of at most kMostPoints points:
// before threads begin.
template <class T>
void check_regions(const T* corners, std::span<const int64_t> images, int64_t batch, const RoiAlignOptions& options,
                   const Extent& e) {
  require(e.plane() > 0, "[RoiAlign] an image without pixels has no regions", e.height, e.width);
  for (size_t r = 0; r < images.size(); ++r) {
    require(images[r] >= 0 && images[r] < batch, "a region lies in an image outside the batch (image, batch)", images[r], batch);
    region_of(corners + 4 * r, options, e);
  }
}

}  // namespace tandem::cpu
