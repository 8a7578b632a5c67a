// Patches of images whose channels come last, gathered as rows of bytes: each the pixels under the kernel in the order of its taps.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/conv_patches.h"

namespace tandem::cpu {

// Short runs by two pieces of fixed size that overlap: a call of memcpy takes longer than the bytes.
inline void copy_bytes(std::byte* to, const std::byte* from, int64_t n) {
  const auto both_ends = [&]<size_t kSize>(std::integral_constant<size_t, kSize>) {
    std::array<std::byte, kSize> first, last;
    std::memcpy(first.data(), from, kSize), std::memcpy(last.data(), from + n - kSize, kSize);
    std::memcpy(to, first.data(), kSize), std::memcpy(to + n - kSize, last.data(), kSize);
  };
  if (n > 64) return static_cast<void>(std::memcpy(to, from, static_cast<size_t>(n)));
  if (n >= 32) return both_ends(std::integral_constant<size_t, 32>());
  if (n >= 16) return both_ends(std::integral_constant<size_t, 16>());
  if (n >= 8) return both_ends(std::integral_constant<size_t, 8>());
  if (n >= 4) return both_ends(std::integral_constant<size_t, 4>());
  for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}

// Pixels of one line of the output under one line of the kernel.
struct LineRun {
  const std::byte* line;  // of x, at the group's first channel; null: outside
  int64_t column, count;
  std::byte* to;          // of the first pixel
};

// A "channel" here is a byte: shapes of wider elements have their channels multiplied by the element's size.
struct PatchGather {
  const ConvShape& s;
  int64_t depth, channels;  // bytes of a row; all channels of a pixel
  int64_t line_bytes;       // of a row, for one line of the kernel
  std::byte zero;

  void copy_taps(const LineRun& run, int64_t pixel) const {
    const Window& w = s.w;
    std::byte* to = run.to + pixel * depth;
    int64_t at = (run.column + pixel) * w.stride[2] - w.pad_begin[2];
    for (int64_t k = 0; k < w.kernel[2]; ++k, at += w.dilation[2], to += s.channels) {
      if (at >= 0 && at < w.input[2])
        copy_bytes(to, run.line + at * channels, s.channels);
      else
        std::memset(to, static_cast<int>(zero), static_cast<size_t>(s.channels));
    }
  }

  void line(const LineRun& run) const {
    const Window& w = s.w;
    const int64_t bytes = w.kernel[2] * s.channels;
    if (!run.line) {
      for (int64_t i = 0; i < run.count; ++i) std::memset(run.to + i * depth, static_cast<int>(zero), static_cast<size_t>(bytes));
      return;
    }
    int64_t first = 0, last = 0;  // of the pixels whose taps are neighbours, all in the image
    if (w.kernel[2] == 1 || (w.dilation[2] == 1 && s.groups == 1)) {
      const int64_t offset = run.column * w.stride[2] - w.pad_begin[2];
      clip(offset, w.stride[2], w.input[2] - w.kernel[2] + 1, run.count, first, last);
      first = std::min(first, run.count), last = std::max(first, last);
    }
    for (int64_t i = 0; i < first; ++i) copy_taps(run, i);
    const int64_t step = w.stride[2] * channels;
    const std::byte* from = run.line + ((run.column + first) * w.stride[2] - w.pad_begin[2]) * channels;
    for (int64_t i = first; i < last; ++i, from += step) copy_bytes(run.to + i * depth, from, bytes);
    for (int64_t i = last; i < run.count; ++i) copy_taps(run, i);
  }

  // Pixels [first, first + count) of all images; `x` at the group's first channel. What lies behind a row's taps stays as it is.
  void rows(const std::byte* x, int64_t first, int64_t count, std::byte* to) const {
    const Window& w = s.w;
    for (int64_t done = 0; done < count;) {
      const int64_t pixel = first + done, column = pixel % w.output[2], line = pixel / w.output[2] % w.output[1];
      const int64_t plane = pixel / w.output[2] / w.output[1], image = plane / w.output[0];
      const int64_t run = std::min(w.output[2] - column, count - done);
      std::byte* target = to + done * depth;
      for (int64_t i = 0; i < w.kernel[0]; ++i)
        for (int64_t j = 0; j < w.kernel[1]; ++j, target += line_bytes) {
          const int64_t d = plane % w.output[0] * w.stride[0] - w.pad_begin[0] + i * w.dilation[0];
          const int64_t l = line * w.stride[1] - w.pad_begin[1] + j * w.dilation[1];
          const bool inside = d >= 0 && d < w.input[0] && l >= 0 && l < w.input[1];
          const std::byte* at = x + ((image * w.input[0] + d) * w.input[1] + l) * w.input[2] * channels;
          this->line({inside ? at : nullptr, column, run, target});
        }
      done += run;
    }
  }
};

}  // namespace tandem::cpu
