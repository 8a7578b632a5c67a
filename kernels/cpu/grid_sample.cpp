// A point's taps are found once and read in every channel.
#include "kernels/api/grid_sample.h"

#include "kernels/cpu/grid_positions.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sample_point.h"

namespace tandem::cpu {
void grid_sample(const KernelContext& context, ConstTensorView x, ConstTensorView grid, const SampleOptions& options,
                 TensorView y) {
  const PixelGrid pixels(x.shape.dims().subspan(2));
  const int64_t channels = x.shape[1], points = y.shape.product(2, y.shape.rank()), in = pixels.pixels();
  if (y.elements() == 0) return;
  require(in > 0, "[GridSample] an image without pixels cannot be sampled", to_string(x.shape));
  visit_float(x.dtype, [&]<class T>() {
    const T *source = x.as<T>().data(), *positions = grid.as<T>().data();
    T* target = y.as<T>().data();
    parallel_chunks(context, y.shape[0] * points, grain_of(8 * channels), [&](int64_t begin, int64_t end) {
      PointTaps<T> taps;
      for (int64_t p = begin; p < end; ++p) {
        std::array<T, kMostSampleAxes> at{};
        for (int a = 0; a < pixels.axes; ++a) {
          const auto i = static_cast<size_t>(a);
          at[i] = pixel_at(positions[p * pixels.axes + pixels.axes - 1 - a], pixels.size[i], options.align_corners);
        }
        point_taps(pixels, at.data(), options, taps);
        const int64_t image = p / points;
        for (int64_t c = 0; c < channels; ++c)
          target[(image * channels + c) * points + p % points] = taps.read(source + (image * channels + c) * in);
      }
    });
  });
}

void affine_grid(const KernelContext& context, ConstTensorView theta, bool align_corners, TensorView grid) {
  const int axes = static_cast<int>(theta.shape[1]);
  const int64_t points = grid.shape.product(1, axes + 1);
  visit_float(theta.dtype, [&]<class T>() {
    const T* maps = theta.as<T>().data();
    T* out = grid.as<T>().data();
    parallel_chunks(context, grid.shape[0] * points, grain_of(16), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        std::array<double, kMostSampleAxes> at{};  // last axis of the image first
        int64_t rest = p;
        for (int a = 0; a < axes; ++a) {
          const int64_t size = grid.shape[axes - a];
          at[static_cast<size_t>(a)] = position_of(rest % size, size, align_corners);
          rest /= size;
        }
        for (int row = 0; row < axes; ++row) {
          const T* map = maps + (p / points * axes + row) * (axes + 1);
          double sum = static_cast<double>(map[axes]);
          for (int a = 0; a < axes; ++a) sum += static_cast<double>(map[a]) * at[static_cast<size_t>(a)];
          out[p * axes + row] = static_cast<T>(sum);
        }
      }
    });
  });
}

}  // namespace tandem::cpu
