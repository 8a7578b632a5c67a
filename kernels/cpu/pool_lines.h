// Pooling walks lines of output: for each tap of the window, the part of the line whose input lies inside the tensor.
#pragma once

#include <algorithm>

#include "kernels/api/window.h"
#include "kernels/base/checked.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

inline constexpr int64_t kLinePart = 256;  // outputs of a line done at once: their running values stay in the first-level cache

struct LinePart {
  int64_t depth, line, column, count;
  int64_t first(const Window& w) const { return (depth * w.output[1] + line) * w.output[2] + column; }
};

// Positions [first, last) of `count` whose input `offset + i * stride` is in [low, high).
inline void inside(int64_t offset, int64_t stride, int64_t low, int64_t high, int64_t count, int64_t& first, int64_t& last) {
  first = offset >= low ? 0 : std::min(count, ceil_div(low - offset, stride));
  last = count;
  if (offset + (count - 1) * stride >= high) last = offset >= high ? 0 : (high - 1 - offset) / stride + 1;
}

// Calls f(part) over the output of one plane in order.
template <class F>
void for_each_part(const Window& w, F&& f) {
  for (int64_t depth = 0; depth < w.output[0]; ++depth)
    for (int64_t line = 0; line < w.output[1]; ++line)
      for (int64_t column = 0; column < w.output[2]; column += kLinePart)
        f(LinePart{depth, line, column, std::min(kLinePart, w.output[2] - column)});
}

// Calls f(first, last, source) for each tap in scan order: outputs [first, last) of the part meet input pixels source,
// source + stride[2], ... of the plane.
template <class F>
void for_each_tap_of(const Window& w, const LinePart& part, F&& f) {
  const int64_t depth0 = part.depth * w.stride[0] - w.pad_begin[0], line0 = part.line * w.stride[1] - w.pad_begin[1];
  const int64_t column0 = part.column * w.stride[2] - w.pad_begin[2];
  for (int64_t d = 0, depth = depth0; d < w.kernel[0]; ++d, depth += w.dilation[0]) {
    if (depth < 0 || depth >= w.input[0]) continue;
    for (int64_t l = 0, line = line0; l < w.kernel[1]; ++l, line += w.dilation[1]) {
      if (line < 0 || line >= w.input[1]) continue;
      for (int64_t c = 0, column = column0; c < w.kernel[2]; ++c, column += w.dilation[2]) {
        int64_t first, last;
        inside(column, w.stride[2], 0, w.input[2], part.count, first, last);
        if (first < last) f(first, last, (depth * w.input[1] + line) * w.input[2] + column + first * w.stride[2]);
      }
    }
  }
}

// Calls f(plane) for each batch item and channel of a tensor whose planes are pooled with `w`; threads share the planes.
template <class F>
void for_each_plane(const KernelContext& context, const Window& w, const Shape& x, F&& f) {
  const int64_t planes = x[0] * x[1];
  [[maybe_unused]] const bool team = static_cast<double>(planes * w.output_size()) * static_cast<double>(w.kernel_size()) > 64e3;
#pragma omp parallel for num_threads(context.threads) schedule(static) if (team && context.threads > 1)
  for (int64_t plane = 0; plane < planes; ++plane) f(plane);
}

}  // namespace tandem::cpu
