// The patches as a matrix, and its gradients. By x threads share channels, as taps meet in a plane; by offset and mask they share
// taps.
#include "kernels/cpu/deform_patches.h"
#include "kernels/cpu/sample_slope.h"

namespace tandem::cpu {
namespace {

// dx of the channels [begin, end) of one image.
template <class T>
void spread_patches(const DeformedImage<T>& image, int64_t begin, int64_t end, const T* dpatches, T* dx) {
  const PixelGrid grid = image.pixels();
  const int64_t taps = image.taps(), out = image.out(), plane = image.g.window.input_size();
  std::fill(dx + begin * plane, dx + end * plane, T(0));
  PointTaps<T> point;
  for (int64_t group = begin / image.channels(); group * image.channels() < end; ++group) {
    const int64_t first = std::max(begin, group * image.channels()), last = std::min(end, (group + 1) * image.channels());
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t pixel = 0; pixel < out; ++pixel) {
        point_taps(grid, image.place(group, tap, pixel).data(), kDeformedSample, point);
        const T factor = image.scale(group, tap, pixel);
        for (int64_t c = first; c < last; ++c) point.add(factor * dpatches[(c * taps + tap) * out + pixel], dx + c * plane);
      }
  }
}

// doffset and dmask of one tap of one group at one pixel.
template <class T>
void move_tap(const DeformedImage<T>& image, int64_t group, int64_t tap, int64_t pixel, const T* dpatches, T* doffset, T* dmask) {
  PointSlopes<T> point;
  point_slopes(image.pixels(), image.place(group, tap, pixel).data(), kDeformedSample, point);
  std::array<T, 3> slope{};
  T value = 0;
  for (int64_t c = group * image.channels(); c < (group + 1) * image.channels(); ++c) {
    const T upstream = dpatches[(c * image.taps() + tap) * image.out() + pixel];
    const T* x = image.x + c * image.g.window.input_size();
    const auto here = point.derivative(x);
    for (size_t a = 0; a < 3; ++a) slope[a] += upstream * here[a];
    value += upstream * point.read(x);
  }
  const T factor = image.scale(group, tap, pixel);
  for (int a = 0; a < image.g.window.rank; ++a)
    doffset[image.offset_row(group, tap, a) * image.out() + pixel] = factor * slope[static_cast<size_t>(a)];
  if (dmask) dmask[(group * image.taps() + tap) * image.out() + pixel] = value;
}

}  // namespace

void deform_patches(const KernelContext& context, const ConvGeometry& g, int64_t offset_groups, const DeformConvViews& views,
                    TensorView patches) {
  const int64_t out = g.window.output_size(), size = g.channels * g.window.kernel_size() * out;
  ensure(patches.elements() == views.x.shape[0] * size, "patches of a deformable convolution of the wrong shape",
         to_string(patches.shape));
  visit_float(patches.dtype, [&]<class T>() {
    for (int64_t n = 0; n < views.x.shape[0]; ++n)
      deformed_image<T>(g, offset_groups, views, n).fill(context, 0, out, patches.as<T>().data() + n * size);
  });
}

void deform_patches_grad(const KernelContext& context, const ConvGeometry& g, int64_t offset_groups, const DeformConvViews& views,
                         ConstTensorView dpatches, const DeformGradients& to) {
  const int64_t out = g.window.output_size(), taps = g.window.kernel_size(), size = g.channels * taps * out;
  const int64_t rows = offset_groups * taps * out;
  ensure(dpatches.elements() == views.x.shape[0] * size, "gradient of patches of the wrong shape", to_string(dpatches.shape));
  visit_float(dpatches.dtype, [&]<class T>() {
    for (int64_t n = 0; n < views.x.shape[0]; ++n) {
      const DeformedImage<T> image = deformed_image<T>(g, offset_groups, views, n);
      const T* upstream = dpatches.as<T>().data() + n * size;
      T* dx = to.x.as<T>().data() + n * g.channels * g.window.input_size();
      T* doffset = to.offset.as<T>().data() + n * rows * g.window.rank;
      T* dmask = to.mask ? to.mask.as<T>().data() + n * rows : nullptr;
      parallel_chunks(context, g.channels, grain_of(8 * taps * out),
                      [&](int64_t begin, int64_t end) { spread_patches(image, begin, end, upstream, dx); });
      parallel_chunks(context, rows, grain_of(16 * image.channels()), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) move_tap(image, i / out / taps, i / out % taps, i % out, upstream, doffset, dmask);
      });
    }
  });
}

}  // namespace tandem::cpu
