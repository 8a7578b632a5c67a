// Depthwise lines in any tier: sixteen channels at a time, weights of 16 bits, sums in i32; the compiler vectorises.
#pragma once

#include "kernels/cpu/gemm/integer_depthwise.h"
#include "kernels/cpu/gemm/integer_finish.h"

namespace tandem::cpu {

template <class V>
struct IntegerDepthwiseLine {
  static constexpr int64_t kPixels = 16, kColumns = kPanelColumns;

  static void add_tap(const std::byte* x, std::byte flip, const int16_t* w, int32_t* sums) {
    for (int64_t j = 0; j < kColumns; ++j) sums[j] += static_cast<int32_t>(x[j] ^ flip) * w[j];
  }

  // `n` channels from `channel` on of one pixel.
  static void sum_pixel(const DepthwiseLines& d, int64_t pixel, int64_t channel, int64_t n, int32_t* sums) {
    const int64_t whole = (d.channels + kDepthwiseChannels - 1) / kDepthwiseChannels * kDepthwiseChannels;
    std::memcpy(sums, d.seeds + channel, kColumns * sizeof(int32_t));
    std::array<std::byte, kPanelColumns> outside, part{};
    outside.fill(d.zero);
    const int16_t* w = d.wide + channel;
    for (int64_t l = 0; l < d.line_count; ++l)
      for (int64_t k = 0; k < d.kernel_width; ++k, w += whole) {
        const int64_t at = pixel * d.stride + k * d.dilation - d.pad;
        const std::byte* x = outside.data();
        if (at >= 0 && at < d.input_width && d.strides[l] != 0) x = d.lines[l] + at * d.strides[l] + channel;
        if (n < kColumns && x != outside.data()) {
          std::memcpy(part.data(), x, static_cast<size_t>(n));
          x = part.data();
        }
        add_tap(x, d.flip, w, sums);
      }
  }

  static void wide(const DepthwiseLines& d) {
    for (int64_t line = 0; line < d.count; ++line) wide_line(line_at(d, line));
  }
  static void wide_line(const DepthwiseLines& d) {
    alignas(64) std::array<int32_t, kPixels * kPanelColumns> sums;
    for (int64_t channel = 0; channel < d.channels; channel += kColumns) {
      const int64_t left = d.channels - channel, n = left < kColumns ? left : kColumns;
      for (int64_t pixel = 0; pixel < d.output_width; pixel += kPixels) {
        const int64_t more = d.output_width - pixel, count = more < kPixels ? more : kPixels;
        for (int64_t i = 0; i < count; ++i) sum_pixel(d, pixel + i, channel, n, sums.data() + i * kColumns);
        IntegerFinish<V>::template finish_panels<1>(d.result, sums.data(), kColumns, pixel, count, channel, n);
      }
    }
  }
};

}  // namespace tandem::cpu
