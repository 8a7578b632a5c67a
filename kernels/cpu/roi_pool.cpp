// Each sampled point's four corners are found once and read in every channel.
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/roi_points.h"

namespace tandem::cpu {
namespace {

constexpr double kMostCoordinate = 1 << 30;

template <class T>
void add_point(const Corners<T>& corners, const T* x, const Extent& e, bool max, bool first, T* y) {
  for (int64_t c = 0; c < e.channels; ++c, x += e.plane(), y += e.bins()) {
    std::array<T, 4> part;
    for (size_t i = 0; i < 4; ++i) part[i] = corners.weight[i] * x[corners.offset[i]];
    if (max) {
      const T best = std::max(std::max(part[0], part[1]), std::max(part[2], part[3]));
      *y = first ? best : std::max(*y, best);
    } else {
      *y += part[0] + part[1] + part[2] + part[3];
    }
  }
}

// One bin of one region, in all channels.
template <class T>
void align_bin(const Region& region, int64_t row, int64_t column, const T* x, const Extent& e, bool max, T* y) {
  for (int64_t c = 0; c < e.channels; ++c) y[c * e.bins()] = T(0);
  bool first = true;
  for_each_point<T>(region, row, column, e, [&](const Corners<T>& corners) {
    add_point(corners, x, e, max, first, y);
    first = false;
  });
  const int64_t count = region.points_y * region.points_x;
  if (max || count == 0) return;
  for (int64_t c = 0; c < e.channels; ++c) y[c * e.bins()] /= static_cast<T>(count);
}

void check_image(int64_t image, int64_t batch) {
  require(image >= 0 && image < batch, "a region lies in an image outside the batch (image, batch)", image, batch);
}

// The pixels of bin `i` of `bins` over [start, start + size), within [0, limit).
std::pair<int64_t, int64_t> pixels_of(int64_t i, int64_t bins, int64_t start, int64_t size, int64_t limit) {
  const double bin = static_cast<double>(size) / static_cast<double>(bins);
  const auto first = start + static_cast<int64_t>(std::floor(static_cast<double>(i) * bin));
  const auto last = start + static_cast<int64_t>(std::ceil(static_cast<double>(i + 1) * bin));
  return {std::clamp<int64_t>(first, 0, limit), std::clamp<int64_t>(last, 0, limit)};
}

template <class T>
T largest(const T* x, const Extent& e, std::pair<int64_t, int64_t> rows, std::pair<int64_t, int64_t> columns) {
  if (rows.first >= rows.second || columns.first >= columns.second) return T(0);
  T best = x[rows.first * e.width + columns.first];
  for (int64_t r = rows.first; r < rows.second; ++r)
    for (int64_t c = columns.first; c < columns.second; ++c) best = std::max(best, x[r * e.width + c]);
  return best;
}

}  // namespace

void roi_align(const KernelContext& context, ConstTensorView x, ConstTensorView regions, ConstTensorView images,
               const RoiAlignOptions& options, TensorView y) {
  if (y.elements() == 0) return;
  const Extent e(x.shape, y.shape);
  const auto image = images.as<int64_t>();
  visit_float(x.dtype, [&]<class T>() {
    const T *in = x.as<T>().data(), *corners = regions.as<T>().data();
    T* out = y.as<T>().data();
    check_regions(corners, image, x.shape[0], options, e);
    parallel_chunks(context, y.shape[0] * e.bins(), grain_of(16 * e.channels), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t r = i / e.bins(), bin = i % e.bins();
        const Region region = region_of(corners + 4 * r, options, e);
        align_bin(region, bin / e.columns, bin % e.columns, in + image[static_cast<size_t>(r)] * e.channels * e.plane(), e,
                  options.max, out + r * e.channels * e.bins() + bin);
      }
    });
  });
}

void max_roi_pool(const KernelContext& context, ConstTensorView x, ConstTensorView regions, double spatial_scale, TensorView y) {
  if (y.elements() == 0) return;
  const Extent e(x.shape, y.shape);
  visit_float(x.dtype, [&]<class T>() {
    const T *in = x.as<T>().data(), *corners = regions.as<T>().data();
    T* out = y.as<T>().data();
    for (int64_t i = 0; i < 5 * y.shape[0]; ++i)
      require(std::fabs(static_cast<double>(corners[i]) * std::max(1.0, std::fabs(spatial_scale))) < kMostCoordinate,
              "[MaxRoiPool] a region is not finite or too large", static_cast<double>(corners[i]));
    for (int64_t r = 0; r < y.shape[0]; ++r) check_image(static_cast<int64_t>(corners[5 * r]), x.shape[0]);
    parallel_chunks(context, y.shape[0] * e.channels, grain_of(e.plane()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* region = corners + 5 * (i / e.channels);
        const auto at = [&](int k) { return static_cast<int64_t>(std::round(static_cast<double>(region[k]) * spatial_scale)); };
        const int64_t left = at(1), top = at(2), width = std::max<int64_t>(1, at(3) - left + 1),
                      height = std::max<int64_t>(1, at(4) - top + 1);
        const T* plane = in + (static_cast<int64_t>(region[0]) * e.channels + i % e.channels) * e.plane();
        for (int64_t bin = 0; bin < e.bins(); ++bin)
          out[i * e.bins() + bin] = largest(plane, e, pixels_of(bin / e.columns, e.rows, top, height, e.height),
                                            pixels_of(bin % e.columns, e.columns, left, width, e.width));
      }
    });
  });
}

}  // namespace tandem::cpu
