// Threads share channels, as regions overlap; a point's corners are found once for the channels of a piece.
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/roi_points.h"

namespace tandem::cpu {
namespace {

// dx += the bin's share of dy, for `channels` channels from those at x, dx and dy on.
template <class T>
void spread_mean(const Region& region, int64_t bin, const Extent& e, int64_t channels, const T* dy, T* dx) {
  const int64_t count = region.points_y * region.points_x;
  for_each_point<T>(region, bin / e.columns, bin % e.columns, e, [&](const Corners<T>& corners) {
    for (int64_t c = 0; c < channels; ++c)
      for (size_t i = 0; i < 4; ++i)
        dx[c * e.plane() + corners.offset[i]] += corners.weight[i] * dy[c * e.bins() + bin] / static_cast<T>(count);
  });
}

// To the first of the largest weighted corners.
template <class T>
void spread_max(const Region& region, int64_t bin, const Extent& e, int64_t channels, const T* x, const T* dy, T* dx) {
  for (int64_t c = 0; c < channels; ++c) {
    int64_t at = -1;
    T best{}, weight{};
    for_each_point<T>(region, bin / e.columns, bin % e.columns, e, [&](const Corners<T>& corners) {
      for (size_t i = 0; i < 4; ++i) {
        const T part = corners.weight[i] * x[c * e.plane() + corners.offset[i]];
        if (at < 0 || part > best) at = corners.offset[i], best = part, weight = corners.weight[i];
      }
    });
    if (at >= 0) dx[c * e.plane() + at] += weight * dy[c * e.bins() + bin];
  }
}

}  // namespace

void roi_align_grad(const KernelContext& context, ConstTensorView dy, ConstTensorView x, ConstTensorView regions,
                    ConstTensorView images, const RoiAlignOptions& options, TensorView dx) {
  const Extent e(x.shape, dy.shape);
  const auto image = images.as<int64_t>();
  visit_float(x.dtype, [&]<class T>() {
    const T *in = x.as<T>().data(), *upstream = dy.as<T>().data(), *corners = regions.as<T>().data();
    T* out = dx.as<T>().data();
    std::fill_n(out, dx.elements(), T(0));
    if (dy.elements() == 0) return;
    check_regions(corners, image, x.shape[0], options, e);
    parallel_chunks(context, e.channels, grain_of(16 * dy.shape[0] * e.bins()), [&](int64_t begin, int64_t end) {
      for (int64_t r = 0; r < dy.shape[0]; ++r) {
        const Region region = region_of(corners + 4 * r, options, e);
        const int64_t plane = (image[static_cast<size_t>(r)] * e.channels + begin) * e.plane();
        const T* from = upstream + (r * e.channels + begin) * e.bins();
        for (int64_t bin = 0; bin < e.bins(); ++bin)
          if (options.max)
            spread_max(region, bin, e, end - begin, in + plane, from, out + plane);
          else
            spread_mean(region, bin, e, end - begin, from, out + plane);
      }
    });
  });
}

}  // namespace tandem::cpu
