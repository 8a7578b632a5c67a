// Gradients of reading an image at positions between its pixels. By x threads share planes, as points meet in a plane; a point's
// taps are found once for the planes of a piece.
#include "kernels/api/grid_sample.h"
#include "kernels/cpu/grid_positions.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sample_slope.h"

namespace tandem::cpu {
namespace {

// The place of point `p` of a grid in pixels, outermost axis first.
template <class T>
std::array<T, kMostSampleAxes> pixels_of(const PixelGrid& pixels, const T* positions, int64_t p, bool align_corners) {
  std::array<T, kMostSampleAxes> at{};
  for (int a = 0; a < pixels.axes; ++a) {
    const auto i = static_cast<size_t>(a);
    at[i] = pixel_at(positions[p * pixels.axes + pixels.axes - 1 - a], pixels.size[i], align_corners);
  }
  return at;
}

}  // namespace

void grid_sample_input_grad(const KernelContext& context, ConstTensorView dy, ConstTensorView grid, const SampleOptions& options,
                            TensorView dx) {
  const PixelGrid pixels(dx.shape.dims().subspan(2));
  const int64_t channels = dx.shape[1], points = dy.shape.product(2, dy.shape.rank()), in = pixels.pixels();
  visit_float(dx.dtype, [&]<class T>() {
    const T *upstream = dy.as<T>().data(), *positions = grid.as<T>().data();
    T* out = dx.as<T>().data();
    parallel_chunks(context, dx.shape[0] * channels, grain_of(8 * points), [&](int64_t begin, int64_t end) {
      std::fill(out + begin * in, out + end * in, T(0));
      PointTaps<T> taps;
      for (int64_t image = begin / channels; image * channels < end; ++image) {
        const int64_t first = std::max(begin, image * channels), last = std::min(end, (image + 1) * channels);
        for (int64_t p = 0; p < points && in > 0; ++p) {
          const auto at = pixels_of(pixels, positions, image * points + p, options.align_corners);
          point_taps(pixels, at.data(), options, taps);
          for (int64_t plane = first; plane < last; ++plane) taps.add(upstream[plane * points + p], out + plane * in);
        }
      }
    });
  });
}

void grid_sample_grid_grad(const KernelContext& context, ConstTensorView dy, ConstTensorView x, ConstTensorView grid,
                           const SampleOptions& options, TensorView dgrid) {
  const PixelGrid pixels(x.shape.dims().subspan(2));
  const int64_t channels = x.shape[1], points = dy.shape.product(2, dy.shape.rank()), in = pixels.pixels();
  visit_float(dy.dtype, [&]<class T>() {
    const T *upstream = dy.as<T>().data(), *source = x.as<T>().data(), *positions = grid.as<T>().data();
    T* out = dgrid.as<T>().data();
    parallel_chunks(context, dy.shape[0] * points, grain_of(16 * channels), [&](int64_t begin, int64_t end) {
      PointSlopes<T> taps;
      for (int64_t p = begin; p < end; ++p) {
        const auto at = pixels_of(pixels, positions, p, options.align_corners);
        point_slopes(pixels, at.data(), options, taps);
        std::array<T, kMostSampleAxes> sum{};
        for (int64_t plane = p / points * channels; plane < (p / points + 1) * channels; ++plane) {
          const auto slope = taps.derivative(source + plane * in);
          for (size_t a = 0; a < sum.size(); ++a) sum[a] += upstream[plane * points + p % points] * slope[a];
        }
        for (int a = 0; a < pixels.axes; ++a) {
          const auto i = static_cast<size_t>(a);
          out[p * pixels.axes + pixels.axes - 1 - a] = sum[i] * pixels_a_unit<T>(pixels.size[i], options.align_corners);
        }
      }
    });
  });
}

void affine_grid_grad(const KernelContext&, ConstTensorView dgrid, bool align_corners, TensorView dtheta) {
  const int axes = static_cast<int>(dtheta.shape[1]);
  const int64_t points = dgrid.shape.product(1, axes + 1);
  visit_float(dgrid.dtype, [&]<class T>() {
    const T* upstream = dgrid.as<T>().data();
    T* out = dtheta.as<T>().data();
    for (int64_t n = 0; n < dtheta.shape[0]; ++n) {
      std::array<double, kMostSampleAxes*(kMostSampleAxes + 1)> sums{};
      for (int64_t p = 0; p < points; ++p) {
        std::array<double, kMostSampleAxes + 1> at{};  // last axis of the image first, then 1
        at[static_cast<size_t>(axes)] = 1;
        for (int64_t a = 0, rest = p; a < axes; ++a) {
          const int64_t size = dgrid.shape[axes - static_cast<int>(a)];
          at[static_cast<size_t>(a)] = position_of(rest % size, size, align_corners);
          rest /= size;
        }
        for (int64_t i = 0; i < axes * (axes + 1); ++i)
          sums[static_cast<size_t>(i)] +=
              static_cast<double>(upstream[(n * points + p) * axes + i / (axes + 1)]) * at[static_cast<size_t>(i % (axes + 1))];
      }
      for (int64_t i = 0; i < axes * (axes + 1); ++i)
        out[n * axes * (axes + 1) + i] = static_cast<T>(sums[static_cast<size_t>(i)]);
    }
  });
}

}  // namespace tandem::cpu
