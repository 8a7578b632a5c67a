// Which input elements meet which output pixels: the arithmetic that forward, input gradient and weight gradient share.
//
// A patch is what one output pixel sees: channels / groups times the taps of the kernel. Nothing here materialises all patches; blocks
// of output pixels are clipped against the input, tap by tap, so padding costs no memory and no multiply.
#pragma once

#include <algorithm>

#include "kernels/api/conv.h"
#include "kernels/base/checked.h"

namespace tandem::cpu {

// A convolution as kernels see it: per group, spatial sizes on three axes. A pointwise one (kernel 1, stride 1, no pads) has one axis.
struct ConvShape {
  int64_t groups, channels, filters;  // channels and filters of one group
  int64_t taps, patch;                // patch = channels * taps
  int64_t input, output;              // pixels of a plane
  bool pointwise;
  Window w;

  explicit ConvShape(const ConvGeometry& g)
      : groups(g.groups), channels(g.channels / g.groups), filters(g.filters / g.groups), taps(g.window.kernel_size()),
        patch(channels * taps), input(g.window.input_size()), output(g.window.output_size()), w(g.window) {
    const Window::Sizes ones{1, 1, 1}, zeros{0, 0, 0};
    pointwise = taps == 1 && w.stride == ones && w.pad_begin == zeros && w.pad_end == zeros;
    if (pointwise) w.input = w.output = {1, 1, output};
  }
  bool depthwise() const { return groups > 1 && channels == 1; }
};

// A rectangle of output pixels at one depth: whole lines, or a part of one line; contiguous in a plane either way.
struct PixelBlock {
  int64_t depth, line, lines, column, width;
  int64_t first(const ConvShape& s) const { return (depth * s.w.output[1] + line) * s.w.output[2] + column; }
  int64_t pixels() const { return lines * width; }
};

// Calls f(block) over all output pixels in order, in blocks of at most `most` pixels (at least one line or a part of it).
template <class F>
void for_each_block(const ConvShape& s, int64_t most, F&& f) {
  const int64_t width = s.w.output[2], lines = std::max<int64_t>(1, most / width), part = std::min(width, most);
  for (int64_t depth = 0; depth < s.w.output[0]; ++depth)
    for (int64_t line = 0; line < s.w.output[1]; line += lines)
      for (int64_t column = 0; column < width; column += part)
        f(PixelBlock{depth, line, std::min(lines, s.w.output[1] - line), column, std::min(part, width - column)});
}
// The most pixels that a block of for_each_block can have.
inline int64_t largest_block(const ConvShape& s, int64_t most) {
  const int64_t width = s.w.output[2];
  return width > most ? most : std::min(most / width, s.w.output[1]) * width;
}

// The part of a block for which one tap falls inside the input.
struct TapBlock {
  int64_t line, lines, column, width;  // within the block
  int64_t source;                      // input pixel of the first one
  bool empty() const { return lines <= 0 || width <= 0; }
};

// [first, last) of the positions in [0, count) whose input `offset + i * stride` is in [0, size).
inline void clip(int64_t offset, int64_t stride, int64_t size, int64_t count, int64_t& first, int64_t& last) {
  if (stride == 1) {
    first = std::max<int64_t>(0, -offset);
    last = std::min(count, size - offset);
  } else {
    first = offset >= 0 ? 0 : ceil_div(-offset, stride);
    last = count;
    if (offset + (count - 1) * stride >= size) last = offset >= size ? 0 : (size - 1 - offset) / stride + 1;
  }
}

struct Tap {
  int64_t depth, line, column;
};

inline TapBlock clip_tap(const ConvShape& s, const PixelBlock& block, const Tap& tap) {
  const Window& w = s.w;
  const int64_t depth = block.depth * w.stride[0] - w.pad_begin[0] + tap.depth * w.dilation[0];
  if (depth < 0 || depth >= w.input[0]) return {0, 0, 0, 0, 0};
  const int64_t line = block.line * w.stride[1] - w.pad_begin[1] + tap.line * w.dilation[1];
  const int64_t column = block.column * w.stride[2] - w.pad_begin[2] + tap.column * w.dilation[2];
  int64_t l0, l1, c0, c1;
  clip(line, w.stride[1], w.input[1], block.lines, l0, l1);
  clip(column, w.stride[2], w.input[2], block.width, c0, c1);
  return {l0, l1 - l0, c0, c1 - c0, (depth * w.input[1] + line + l0 * w.stride[1]) * w.input[2] + column + c0 * w.stride[2]};
}

// Calls f(index, tap) over the taps of the kernel in order.
template <class F>
void for_each_tap(const ConvShape& s, F&& f) {
  int64_t index = 0;
  for (int64_t d = 0; d < s.w.kernel[0]; ++d)
    for (int64_t l = 0; l < s.w.kernel[1]; ++l)
      for (int64_t c = 0; c < s.w.kernel[2]; ++c) f(index++, Tap{d, l, c});
}

}  // namespace tandem::cpu
