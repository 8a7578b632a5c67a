// Pooling with channels last: the taps of an output pixel are rows of channels, folded by vectors over the channels. A window of many taps is
// folded a batch at a time, the result so far being the first row of the next.
#include "kernels/api/pool_channels_last.h"

#include <array>
#include <limits>

#include "kernels/base/dtype_families.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd/taps.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kBatch = 64;  // rows folded at once

// Taps [first, last) of one axis within [low, high).
struct Taps {
  int64_t first, last;
  int64_t count() const { return std::max<int64_t>(0, last - first); }
};
Taps taps_within(const Window& w, size_t axis, int64_t position, int64_t low, int64_t high) {
  const int64_t origin = position * w.stride[axis] - w.pad_begin[axis], dilation = w.dilation[axis];
  if (origin >= low && origin + (w.kernel[axis] - 1) * dilation < high) return {0, w.kernel[axis]};  // most of them
  const int64_t first = origin >= low ? 0 : ceil_div(low - origin, dilation);
  const int64_t last = origin >= high ? 0 : ceil_div(high - origin, dilation);
  return {first, std::min(last, w.kernel[axis])};
}
Taps taps_inside(const Window& w, size_t axis, int64_t position) { return taps_within(w, axis, position, 0, w.input[axis]); }

// One output pixel: where, and which taps it has.
struct Pixel {
  std::array<int64_t, 3> at;
  std::array<Taps, 3> taps;
};

template <class T>
void check(const Window& w, const Shape& x, const Shape& y) {
  bool fits = x.rank() == w.rank + 2 && y.rank() == x.rank() && x[0] == y[0] && x[x.rank() - 1] == y[y.rank() - 1];
  for (int i = 0; fits && i < w.rank; ++i) {
    const auto axis = static_cast<size_t>(3 - w.rank + i);
    fits = x[1 + i] == w.input[axis] && y[1 + i] == w.output[axis];
  }
  ensure(fits, "views of a channels-last pool do not fit its window", to_string(x), to_string(y));
}

// Calls fold(rows, count, out, is_last) for each pixel, a batch of rows at a time, and empty(out) where a window holds no element; pixel(p)
// before that.
template <class T, class Begin, class Fold, class Empty>
void for_each_window(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y, Begin begin, Fold fold, Empty empty) {
  check<T>(w, x.shape, y.shape);
  const int64_t channels = x.shape[x.shape.rank() - 1], lines = x.shape[0] * w.output[0] * w.output[1];
  const T* in = x.as<T>().data();
  T* out = y.as<T>().data();
  const auto line = [&](int64_t l) {
    const int64_t row = l % w.output[1], depth = l / w.output[1] % w.output[0], image = l / (w.output[1] * w.output[0]);
    const T* source = in + image * w.input_size() * channels;
    T* to = out + l * w.output[2] * channels;
    Pixel p{{depth, row, 0}, {taps_inside(w, 0, depth), taps_inside(w, 1, row), {}}};
    std::array<const T*, kBatch> rows;
    for (p.at[2] = 0; p.at[2] < w.output[2]; ++p.at[2], to += channels) {
      p.taps[2] = taps_inside(w, 2, p.at[2]);
      auto finish = begin(p);
      int64_t left = p.taps[0].count() * p.taps[1].count() * p.taps[2].count(), count = 0;
      if (left == 0) empty(to, channels);
      if (left == 0) continue;
      for (int64_t d = p.taps[0].first; d < p.taps[0].last; ++d)
        for (int64_t r = p.taps[1].first; r < p.taps[1].last; ++r) {
          const int64_t z = depth * w.stride[0] - w.pad_begin[0] + d * w.dilation[0], i = row * w.stride[1] - w.pad_begin[1] + r * w.dilation[1];
          const T* at = source + ((z * w.input[1] + i) * w.input[2] + p.at[2] * w.stride[2] - w.pad_begin[2]) * channels;
          for (int64_t c = p.taps[2].first; c < p.taps[2].last; ++c) {
            rows[static_cast<size_t>(count++)] = at + c * w.dilation[2] * channels;
            --left;
            if (count < kBatch && left > 0) continue;
            fold(rows.data(), count, channels, to, left == 0, finish);
            rows[0] = to, count = 1;
          }
        }
    }
  };
  const int64_t work = w.output[2] * channels * w.kernel_size();
  parallel_chunks(context, lines, grain_of(work), [&](int64_t first, int64_t last) {
    for (int64_t l = first; l < last; ++l) line(l);
  });
}

template <class T, class Max>
void max_pool_of(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y, Max max) {
  static constexpr T kLowest = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  for_each_window<T>(
      context, w, x, y, [](const Pixel&) { return 0; },
      [&](const T* const* rows, int64_t count, int64_t n, T* out, bool, int) { max(rows, count, n, out); },
      [](T* out, int64_t n) { std::fill_n(out, n, kLowest); });
}

}  // namespace

void max_pool_channels_last(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y) {
  const simd::TapOps& ops = simd::tap_ops();
  if (x.dtype == DType::kU8) return max_pool_of<uint8_t>(context, w, x, y, ops.max_u8);
  if (x.dtype == DType::kI8) return max_pool_of<int8_t>(context, w, x, y, ops.max_i8);
  max_pool_of<float>(context, w, x, y, ops.max_f32);
}

void average_pool_channels_last(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y, bool count_include_pad) {
  const simd::TapOps& ops = simd::tap_ops();
  const auto scale_of = [&](const Pixel& p) {
    int64_t counted = 1;
    for (size_t a = 0; a < 3; ++a)
      counted *= count_include_pad ? taps_within(w, a, p.at[a], -w.pad_begin[a], w.input[a] + w.pad_end[a]).count() : p.taps[a].count();
    return counted > 0 ? 1.0f / static_cast<float>(counted) : 0.0f;
  };
  for_each_window<float>(
      context, w, x, y, scale_of,
      [&](const float* const* rows, int64_t count, int64_t n, float* out, bool is_last, float scale) {
        ops.sum_f32(rows, count, n, is_last ? scale : 1.0f, out);
      },
      [](float* out, int64_t n) { std::fill_n(out, n, 0.0f); });
}

}  // namespace tandem::cpu
