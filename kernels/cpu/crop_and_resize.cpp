// Each point's row and column are found once and read in every channel. Positions are computed in the element type and in
// onnxruntime's order of operations: a corner that is exactly the border must not fall outside by rounding.
#include <cmath>

#include "kernels/api/roi_pool.h"
#include "kernels/base/error.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// Point `i` of `count` from `first` to `last`, both in parts of an axis of `size` pixels.
template <class T>
T position(int64_t i, int64_t count, T first, T last, int64_t size) {
  const T end = static_cast<T>(size - 1);
  if (count == 1) return T(0.5) * (first + last) * end;
  if (i == 0) return first * end;
  if (i == count - 1) return last * end;
  return first * end + static_cast<T>(i) * ((last - first) * end / static_cast<T>(count - 1));
}

// The two pixels around a position, and how far it is from the first; both are the nearest one where that is wanted.
template <class T>
struct Line {
  int64_t low, high;
  T part;
};
template <class T>
Line<T> line_at(T at, bool nearest) {
  if (nearest) return {static_cast<int64_t>(std::round(at)), static_cast<int64_t>(std::round(at)), T(0)};
  const T low = std::floor(at);
  return {static_cast<int64_t>(low), static_cast<int64_t>(std::ceil(at)), at - low};
}

template <class T>
T between(T a, T b, T part) {
  return a + (b - a) * part;
}

}  // namespace

void crop_and_resize(const KernelContext& context, ConstTensorView x, ConstTensorView regions, ConstTensorView images,
                     const CropOptions& options, TensorView y) {
  const int64_t channels = x.shape[1], height = x.shape[2], width = x.shape[3], rows = y.shape[2], columns = y.shape[3];
  const auto image = images.as<int32_t>();
  for (int32_t i : image)
    require(i >= 0 && i < x.shape[0], "[CropAndResize] a region lies in an image outside the batch (image, batch)", i,
            x.shape[0]);
  visit_float(x.dtype, [&]<class T>() {
    const T *pixels = x.as<T>().data(), *corners = regions.as<T>().data();
    T* out = y.as<T>().data();
    parallel_chunks(context, y.shape[0] * rows * columns, grain_of(8 * channels), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t r = i / (rows * columns), bin = i % (rows * columns);
        const T* corner = corners + 4 * r;
        const T down = position(bin / columns, rows, corner[0], corner[2], height),
                right = position(bin % columns, columns, corner[1], corner[3], width);
        const bool inside = down >= 0 && down <= static_cast<T>(height - 1) && right >= 0 && right <= static_cast<T>(width - 1);
        const Line<T> row = line_at(inside ? down : T(0), options.nearest),
                      column = line_at(inside ? right : T(0), options.nearest);
        const T* plane = pixels + image[static_cast<size_t>(r)] * channels * height * width;
        T* target = out + r * channels * rows * columns + bin;
        for (int64_t c = 0; c < channels; ++c, plane += height * width, target += rows * columns) {
          const auto along = [&](int64_t line) {
            return between(plane[line * width + column.low], plane[line * width + column.high], column.part);
          };
          *target = inside ? between(along(row.low), along(row.high), row.part) : static_cast<T>(options.outside);
        }
      }
    });
  });
}

}  // namespace tandem::cpu
