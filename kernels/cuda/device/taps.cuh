// Windows on the device: which taps of one fall into the input, and which windows an input pixel falls into. One thread asks for
// one axis.
#pragma once

#include "kernels/api/window.h"
#include "kernels/cuda/device/divide.cuh"

namespace tandem::cuda {

struct Range {
  int first, last;  // exclusive
};

// One axis of a Window in 32 bits; also what a kernel takes by value.
struct WindowAxis {
  int input, kernel, output, stride, dilation, pad_begin, pad_end;
  Divisor by_stride, by_dilation;

  // Where the window of output pixel `o` starts; below 0 in the begin pad.
  __device__ int start(int o) const { return o * stride - pad_begin; }
  // Taps t of a window whose pixel start + t * dilation is in [low, high).
  __device__ Range taps(int start, int low, int high) const {
    const int first = start >= low ? 0 : static_cast<int>(by_dilation.quotient(low - start + dilation - 1));
    const int last = start >= high ? 0 : static_cast<int>(by_dilation.quotient(high - start - 1)) + 1;
    return {first, last < kernel ? last : kernel};
  }
  __device__ Range taps(int start) const { return taps(start, 0, input); }
  // Windows that may have input pixel `p` among their taps, if `meets` says so.
  __device__ Range windows(int p) const {
    const int end = p + pad_begin, begin = end - (kernel - 1) * dilation;
    const int first = begin <= 0 ? 0 : static_cast<int>(by_stride.quotient(begin + stride - 1));
    const int last = static_cast<int>(by_stride.quotient(end)) + 1;
    return {first, last < output ? last : output};
  }
  // REQUIRES: o of windows(p).
  __device__ bool meets(int o, int p) const {
    const int distance = p - start(o);
    return dilation == 1 || static_cast<int>(by_dilation.quotient(distance)) * dilation == distance;
  }
};

struct Pixel {
  int depth, line, column;
};

// A Window and its sizes as a kernel argument.
struct DeviceWindow {
  WindowAxis depth, line, column;
  int64_t input_size, output_size;
  Divisor by_output, by_output_line, by_output_column, by_input, by_input_line, by_input_column;

  // Throws InvalidArgument for sizes beyond 32 bits.
  explicit DeviceWindow(const Window& window);

  // `i` counts the pixels of all planes and becomes the plane.
  __device__ Pixel output_pixel(int64_t& i) const { return pixel(i, by_output, by_output_column, by_output_line); }
  __device__ Pixel input_pixel(int64_t& i) const { return pixel(i, by_input, by_input_column, by_input_line); }
  // Within the plane.
  __device__ int input_index(int d, int l, int c) const { return (d * line.input + l) * column.input + c; }
  __device__ int output_index(Pixel o) const { return (o.depth * line.output + o.line) * column.output + o.column; }

 private:
  __device__ static Pixel pixel(int64_t& i, const Divisor& by_plane, const Divisor& by_column, const Divisor& by_line) {
    int64_t at = by_plane.divide(i);
    const int c = static_cast<int>(by_column.divide(at)), l = static_cast<int>(by_line.divide(at));
    return {static_cast<int>(at), l, c};
  }
};

// Calls f(input pixel) for the taps of the window at `o` that fall into the input, in scan order.
template <class F>
__device__ void for_each_tap(const DeviceWindow& w, Pixel o, F&& f) {
  const int depth = w.depth.start(o.depth), line = w.line.start(o.line), column = w.column.start(o.column);
  const Range depths = w.depth.taps(depth), lines = w.line.taps(line), columns = w.column.taps(column);
  for (int d = depths.first; d < depths.last; ++d)
    for (int l = lines.first; l < lines.last; ++l) {
      const int row = w.input_index(depth + d * w.depth.dilation, line + l * w.line.dilation, column);
      for (int c = columns.first; c < columns.last; ++c) f(row + c * w.column.dilation);
    }
}

// Calls f(pixel) for each output pixel whose window has the input pixel `p` among its taps, in scan order.
template <class F>
__device__ void for_each_window(const DeviceWindow& w, Pixel p, F&& f) {
  const Range depths = w.depth.windows(p.depth), lines = w.line.windows(p.line), columns = w.column.windows(p.column);
  for (int d = depths.first; d < depths.last; ++d) {
    if (!w.depth.meets(d, p.depth)) continue;
    for (int l = lines.first; l < lines.last; ++l) {
      if (!w.line.meets(l, p.line)) continue;
      for (int c = columns.first; c < columns.last; ++c)
        if (w.column.meets(c, p.column)) f(Pixel{d, l, c});
    }
  }
}

}  // namespace tandem::cuda
