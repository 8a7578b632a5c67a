// The patches that a deformable convolution multiplies its filters with, one image at a time.
#pragma once

#include <array>

#include "kernels/api/deform_conv.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sample_point.h"

namespace tandem::cpu {

inline constexpr SampleOptions kDeformedSample{
    .mode = SampleMode::kLinear, .padding = SamplePadding::kZeros, .align_corners = true};

// Where the undisturbed tap of an output pixel lies on each axis in use.
inline void tap_place(const Window& w, int64_t pixel, int64_t tap, std::array<int64_t, 3>& at) {
  for (size_t a = 3; a-- > static_cast<size_t>(3 - w.rank);) {
    at[a] = pixel % w.output[a] * w.stride[a] - w.pad_begin[a] + tap % w.kernel[a] * w.dilation[a];
    pixel /= w.output[a], tap /= w.kernel[a];
  }
}

// One image. The offset of (group, tap) on axis `a` lies at offset[offset_row(group, tap, a) * out + pixel], its scale at
// mask[(group * taps + tap) * out + pixel].
template <class T>
struct DeformedImage {
  const ConvGeometry& g;
  int64_t offset_groups;
  const T *x, *offset, *mask;  // mask may be null

  int64_t taps() const { return g.window.kernel_size(); }
  int64_t out() const { return g.window.output_size(); }
  int64_t channels() const { return g.channels / offset_groups; }  // of a group of offsets
  PixelGrid pixels() const { return PixelGrid(std::span(g.window.input).last(static_cast<size_t>(g.window.rank))); }
  int64_t offset_row(int64_t group, int64_t tap, int64_t a) const { return (group * taps() + tap) * g.window.rank + a; }

  // In pixels, outermost axis first.
  std::array<T, 3> place(int64_t group, int64_t tap, int64_t pixel) const {
    std::array<int64_t, 3> undisturbed{};
    std::array<T, 3> at{};
    tap_place(g.window, pixel, tap, undisturbed);
    for (int a = 0; a < g.window.rank; ++a)
      at[static_cast<size_t>(a)] = static_cast<T>(undisturbed[static_cast<size_t>(3 - g.window.rank + a)]) +
                                   offset[offset_row(group, tap, a) * out() + pixel];
    return at;
  }
  T scale(int64_t group, int64_t tap, int64_t pixel) const { return mask ? mask[(group * taps() + tap) * out() + pixel] : T(1); }

  // patches[(channel, tap)][i] of the pixels first, first + 1, ...
  void fill(const KernelContext& context, int64_t first, int64_t count, T* patches) const {
    const PixelGrid grid = pixels();
    parallel_chunks(context, offset_groups * taps() * count, grain_of(8 * channels()), [&](int64_t begin, int64_t end) {
      PointTaps<T> point;
      for (int64_t item = begin; item < end; ++item) {
        const int64_t i = item % count, tap = item / count % taps(), group = item / count / taps();
        point_taps(grid, place(group, tap, first + i).data(), kDeformedSample, point);
        const T factor = scale(group, tap, first + i);
        for (int64_t c = group * channels(); c < (group + 1) * channels(); ++c)
          patches[(c * taps() + tap) * count + i] = factor * point.read(x + c * g.window.input_size());
      }
    });
  }
};

// Image `n` of the views.
template <class T>
DeformedImage<T> deformed_image(const ConvGeometry& g, int64_t offset_groups, const DeformConvViews& views, int64_t n) {
  const int64_t rows = offset_groups * g.window.kernel_size() * g.window.output_size();
  return {g, offset_groups, views.x.as<T>().data() + n * g.channels * g.window.input_size(),
          views.offset.as<T>().data() + n * rows * g.window.rank, views.mask ? views.mask.as<T>().data() + n * rows : nullptr};
}

}  // namespace tandem::cpu
