// A plane's outputs as tiles of M x M, and the pixels that each reads.
#pragma once

#include "kernels/api/conv.h"
#include "kernels/base/checked.h"

namespace tandem::cpu {

// The tiles of a plane, line by line, plane by plane; images as rows of channels.
struct TileGrid {
  const ConvGeometry& g;
  int64_t m, n, high, wide;

  TileGrid(const ConvGeometry& geometry, int64_t outputs)
      : g(geometry), m(outputs), n(m + 2), high(ceil_div(g.window.output[1], m)), wide(ceil_div(g.window.output[2], m)) {}
  int64_t plane() const { return high * wide; }

  // The pixels that tile `t` reads.
  void point_at_pixels(int64_t t, const float* x, const float* zeros, const float** pixels) const {
    const Window& window = g.window;
    const float* image = x + t / plane() * window.input_size() * g.channels;
    const int64_t row = t % plane() / wide * m - window.pad_begin[1], column = t % wide * m - window.pad_begin[2];
    for (int64_t i = row; i < row + n; ++i)
      for (int64_t j = column; j < column + n; ++j) {
        const bool inside = i >= 0 && i < window.input[1] && j >= 0 && j < window.input[2];
        *pixels++ = inside ? image + (i * window.input[2] + j) * g.channels : zeros;
      }
  }
  // Where its outputs lie; -1 for those outside.
  void outputs(int64_t t, int64_t* offsets) const {
    const Window& window = g.window;
    const int64_t first = t / plane() * window.output_size(), row = t % plane() / wide * m, column = t % wide * m;
    for (int64_t i = row; i < row + m; ++i)
      for (int64_t j = column; j < column + m; ++j)
        *offsets++ = i < window.output[1] && j < window.output[2] ? (first + i * window.output[2] + j) * g.filters : -1;
  }
};

}  // namespace tandem::cpu
