// Pools of bf16, pixel by pixel: maxima among whole numbers in the order of the floats, averages in f32 and rounded once.
#include <algorithm>
#include <array>
#include <limits>

#include "kernels/api/bf16_conv.h"
#include "kernels/cpu/parallel.h"

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
  const int64_t first = origin >= low ? 0 : ceil_div(low - origin, dilation);
  const int64_t last = origin >= high ? 0 : ceil_div(high - origin, dilation);
  return {first, std::min(last, w.kernel[axis])};
}

// For each output pixel and run of channels: fold(a tap's channels, n, sums, is the first), then end(sums, n, place, taps inside, y).
template <class Number, class Fold, class End>
void for_each_window(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y, Fold fold, End end) {
  const int64_t channels = x.shape[x.shape.rank() - 1], pixels = x.shape[0] * w.output_size();
  const BF16* in = x.as<BF16>().data();
  BF16* out = y.as<BF16>().data();
  const auto pool = [&](int64_t pixel, int64_t channel, int64_t n) {
    const int64_t image = pixel / w.output_size(), at = pixel % w.output_size();
    const std::array<int64_t, 3> place = {at / (w.output[1] * w.output[2]), at / w.output[2] % w.output[1], at % w.output[2]};
    std::array<Taps, 3> taps;
    for (size_t a = 0; a < 3; ++a) taps[a] = taps_within(w, a, place[a], 0, w.input[a]);
    alignas(64) std::array<Number, kChannels> sums;
    bool is_first = true;
    for (int64_t d = taps[0].first; d < taps[0].last; ++d)
      for (int64_t r = taps[1].first; r < taps[1].last; ++r)
        for (int64_t c = taps[2].first; c < taps[2].last; ++c, is_first = false) {
          const auto input = [&](size_t a, int64_t t) { return place[a] * w.stride[a] - w.pad_begin[a] + t * w.dilation[a]; };
          const int64_t from = ((image * w.input[0] + input(0, d)) * w.input[1] + input(1, r)) * w.input[2] + input(2, c);
          fold(in + from * channels + channel, n, sums.data(), is_first);
        }
    end(sums.data(), n, place, taps[0].count() * taps[1].count() * taps[2].count(), out + pixel * channels + channel);
  };
  parallel_chunks(context, pixels, grain_of(channels * w.kernel_size()), [&](int64_t first, int64_t last) {
    for (int64_t pixel = first; pixel < last; ++pixel)
      for (int64_t channel = 0; channel < channels; channel += kChannels) pool(pixel, channel, std::min(kChannels, channels - channel));
  });
}

// A whole number in the order of what the bits stand for, NaN above all; and back.
int16_t rank_of(BF16 x) {
  const auto bits = static_cast<int16_t>(x.bits), magnitude = static_cast<int16_t>(bits & 0x7FFF);
  const auto ordered = static_cast<int16_t>(bits < 0 ? ~magnitude : magnitude);
  return magnitude > 0x7F80 ? magnitude : ordered;
}
BF16 of_rank(int16_t rank) { return {static_cast<uint16_t>(rank < 0 ? ~rank | 0x8000 : rank)}; }

}  // namespace

void bf16_max_pool(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y) {
  for_each_window<int16_t>(
      context, w, x, y,
      [](const BF16* __restrict tap, int64_t n, int16_t* __restrict most, bool is_first) {
        if (is_first)
          for (int64_t i = 0; i < n; ++i) most[i] = rank_of(tap[i]);
        else
          for (int64_t i = 0; i < n; ++i) most[i] = std::max(most[i], rank_of(tap[i]));
      },
      [](const int16_t* __restrict most, int64_t n, const std::array<int64_t, 3>&, int64_t inside, BF16* __restrict to) {
        if (inside == 0) return static_cast<void>(std::fill_n(to, n, to_bf16(-std::numeric_limits<float>::infinity())));
        for (int64_t i = 0; i < n; ++i) to[i] = of_rank(most[i]);
      });
}

void bf16_average_pool(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y, bool count_include_pad) {
  for_each_window<float>(
      context, w, x, y,
      [](const BF16* __restrict tap, int64_t n, float* __restrict sums, bool is_first) {
        for (int64_t i = 0; i < n; ++i) sums[i] = (is_first ? 0 : sums[i]) + to_float(tap[i]);
      },
      [&](const float* __restrict sums, int64_t n, const std::array<int64_t, 3>& place, int64_t inside, BF16* __restrict to) {
        int64_t counted = inside;
        if (count_include_pad) {
          counted = 1;
          for (size_t a = 0; a < 3; ++a) counted *= taps_within(w, a, place[a], -w.pad_begin[a], w.input[a] + w.pad_end[a]).count();
        }
        const float scale = counted > 0 ? 1.0f / static_cast<float>(counted) : 0;
        for (int64_t i = 0; i < n; ++i) to[i] = to_bf16(inside > 0 ? sums[i] * scale : 0.0f);
      });
}

}  // namespace tandem::cpu
