// Max pooling as most networks have it: 2 x 2 windows, stride 2, no padding, in one pass.
#pragma once

#include <algorithm>

#include "kernels/api/window.h"

namespace tandem::cpu {

// Whether `challenger` replaces `best`: it is larger, or the first NaN.
template <class T>
constexpr bool beats(T challenger, T best) {
  const bool stays = (best >= challenger) | (best != best);  // a NaN stays; against a NaN nothing is >=
  return !stays;
}

inline bool has_quads(const Window& w) {
  const Window::Sizes two{1, 2, 2}, one{1, 1, 1}, zero{0, 0, 0};
  return w.kernel == two && w.stride[1] == 2 && w.stride[2] == 2 && w.dilation == one && w.pad_begin == zero && w.input[0] == 1 &&
         2 * w.output[1] <= w.input[1] && 2 * w.output[2] <= w.input[2];
}

// Calls f(output, input) with the pixel of the first maximum of every window of one plane. Comparisons become numbers, not branches:
// which of four is largest cannot be predicted.
template <class T, class F>
void for_each_quad(const Window& w, const T* x, F&& f) {
  const int64_t width = w.input[2];
  for (int64_t line = 0; line < w.output[1]; ++line)
    for (int64_t i = 0; i < w.output[2]; ++i) {
      int64_t upper = 2 * line * width + 2 * i, lower = upper + width;
      upper += static_cast<int64_t>(beats(x[upper + 1], x[upper]));
      lower += static_cast<int64_t>(beats(x[lower + 1], x[lower]));
      f(line * w.output[2] + i, upper + (lower - upper) * static_cast<int64_t>(beats(x[lower], x[upper])));
    }
}

}  // namespace tandem::cpu
