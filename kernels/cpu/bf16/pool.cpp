// Pools of bf16, pixel by pixel: maxima among whole numbers in the order of the floats, averages in f32 and rounded once.
#include <algorithm>
#include <array>
#include <limits>

#include "kernels/api/bf16_conv.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd/bf16_rows.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kChannels = 256;  // folded at once, on the stack

// Taps [first, last) of one axis whose place is within [low, high).
struct Taps {
  int64_t first, last;
  int64_t count() const { return std::max<int64_t>(0, last - first); }
};
Taps taps_within(const Window& w, size_t axis, int64_t position, int64_t low, int64_t high) {
  const int64_t origin = position * w.stride[axis] - w.pad_begin[axis], dilation = w.dilation[axis];
  const auto steps = [&](int64_t distance) { return dilation == 1 ? distance : ceil_div(distance, dilation); };  // a division takes long
  const int64_t first = origin >= low ? 0 : steps(low - origin);
  const int64_t last = origin >= high ? 0 : steps(high - origin);
  return {first, std::min(last, w.kernel[axis])};
}

// Calls f(pixel of the result, its place, the taps inside on each axis) for each.
template <class F>
void for_each_window(const KernelContext& context, const Window& w, int64_t channels, int64_t pixels, F f) {
  parallel_chunks(context, pixels, grain_of(channels * w.kernel_size()), [&](int64_t first, int64_t last) {
    for (int64_t pixel = first; pixel < last;) {  // line by line: what a line's pixels share is found once
      const int64_t at = pixel % w.output_size();
      std::array<int64_t, 3> place = {at / (w.output[1] * w.output[2]), at / w.output[2] % w.output[1], at % w.output[2]};
      std::array<Taps, 3> taps;
      for (size_t a = 0; a < 2; ++a) taps[a] = taps_within(w, a, place[a], 0, w.input[a]);
      for (; place[2] < w.output[2] && pixel < last; ++place[2], ++pixel) {
        taps[2] = taps_within(w, 2, place[2], 0, w.input[2]);
        f(pixel, place, taps);
      }
    }
  });
}
int64_t count_of(const std::array<Taps, 3>& taps) { return taps[0].count() * taps[1].count() * taps[2].count(); }

// Calls f(pixel of the image) for the taps of a window that are inside.
template <class F>
void for_each_tap(const Window& w, int64_t image, const std::array<int64_t, 3>& place, const std::array<Taps, 3>& taps, F f) {
  const auto input = [&](size_t a, int64_t t) { return place[a] * w.stride[a] - w.pad_begin[a] + t * w.dilation[a]; };
  for (int64_t d = taps[0].first; d < taps[0].last; ++d)
    for (int64_t r = taps[1].first; r < taps[1].last; ++r) {
      const int64_t line = ((image * w.input[0] + input(0, d)) * w.input[1] + input(1, r)) * w.input[2];
      for (int64_t c = taps[2].first; c < taps[2].last; ++c) f(line + input(2, c));
    }
}

}  // namespace

void bf16_max_pool(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y) {
  constexpr size_t kMostRows = 16;  // at once; larger windows go on from what is there
  const int64_t channels = x.shape[x.shape.rank() - 1];
  const BF16* in = x.as<BF16>().data();
  const simd::Bf16RowOps& ops = simd::bf16_row_ops();
  for_each_window(context, w, channels, x.shape[0] * w.output_size(), [&](int64_t pixel, const auto& place, const auto& taps) {
    BF16* to = y.as<BF16>().data() + pixel * channels;
    std::array<const BF16*, kMostRows> rows;
    size_t count = 0;
    for_each_tap(w, pixel / w.output_size(), place, taps, [&](int64_t from) {
      if (count == kMostRows) {
        ops.max(rows.data(), kMostRows, to, channels);
        rows[0] = to, count = 1;
      }
      rows[count++] = in + from * channels;
    });
    if (count == 0) return static_cast<void>(std::fill_n(to, channels, to_bf16(-std::numeric_limits<float>::infinity())));
    ops.max(rows.data(), static_cast<int64_t>(count), to, channels);
  });
}

void bf16_average_pool(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y, bool count_include_pad) {
  const int64_t channels = x.shape[x.shape.rank() - 1];
  const BF16* in = x.as<BF16>().data();
  for_each_window(context, w, channels, x.shape[0] * w.output_size(), [&](int64_t pixel, const auto& place, const auto& taps) {
    int64_t counted = count_of(taps);
    if (count_include_pad && counted > 0) {
      counted = 1;
      for (size_t a = 0; a < 3; ++a) counted *= taps_within(w, a, place[a], -w.pad_begin[a], w.input[a] + w.pad_end[a]).count();
    }
    const float scale = counted > 0 ? 1.0f / static_cast<float>(counted) : 0;
    for (int64_t channel = 0; channel < channels; channel += kChannels) {
      const int64_t n = std::min(kChannels, channels - channel);
      alignas(64) std::array<float, kChannels> sums{};
      for_each_tap(w, pixel / w.output_size(), place, taps, [&](int64_t from) {
        const BF16* __restrict tap = in + from * channels + channel;
        for (int64_t i = 0; i < n; ++i) sums[static_cast<size_t>(i)] += to_float(tap[i]);
      });
      BF16* to = y.as<BF16>().data() + pixel * channels + channel;
      for (int64_t i = 0; i < n; ++i) to[i] = to_bf16(sums[static_cast<size_t>(i)] * scale);
    }
  });
}

void bf16_global_average(const KernelContext& context, ConstTensorView x, TensorView y) {
  constexpr int64_t kWidth = 64, kRows = 512;  // of a task; and of pixels that are added up in f32
  const int64_t rank = x.shape.rank(), channels = x.shape[static_cast<int>(rank) - 1], pixels = x.shape.product(1, static_cast<int>(rank) - 1);
  const int64_t chunks = ceil_div(channels, kWidth);
  const simd::Bf16RowOps& ops = simd::bf16_row_ops();
  parallel_chunks(context, x.shape[0] * chunks, grain_of(pixels * kWidth), [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t image = task / chunks, channel = task % chunks * kWidth, n = std::min(kWidth, channels - channel);
      const BF16* from = x.as<BF16>().data() + image * pixels * channels + channel;
      std::array<double, kWidth> totals{};
      for (int64_t row = 0; row < pixels; row += kRows) {
        std::array<float, kWidth> sums;
        ops.sum(from + row * channels, channels, std::min(kRows, pixels - row), sums.data(), n);
        for (int64_t i = 0; i < n; ++i) totals[static_cast<size_t>(i)] += static_cast<double>(sums[static_cast<size_t>(i)]);
      }
      float* to = y.as<float>().data() + image * channels + channel;
      for (int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(totals[static_cast<size_t>(i)] / static_cast<double>(pixels));
    }
  });
}

}  // namespace tandem::cpu
