// Line by line of output pixels: what is inside is an interval of columns, so that no pixel is asked where it lies.
#include "kernels/cpu/channels_last/rows.h"

#include <algorithm>

#include "kernels/base/checked.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kFewChannels = 16, kLongestLine = 256;  // of a run that is a line of the kernel

// Part of an output line.
struct Segment {
  const float* image;            // of this batch item
  int64_t depth, height, begin, end;
  const float** pointers;        // of the segment's first pixel
};

// A run of one tap: columns [inside.begin, inside.end) of the segment read the line, the others zeros.
void point_at_tap(const Window& w, int64_t channels, const Segment& s, const float* line, int64_t tap, const RowScratch& scratch,
                  const float** out) {
  const int64_t stride = w.stride[2], shift = w.pad_begin[2] - tap * w.dilation[2];  // column = stride * pixel - shift
  const int64_t low = shift > 0 ? ceil_div(shift, stride) : 0, last = w.input[2] - 1 + shift;
  const int64_t begin = std::clamp(low, s.begin, s.end), end = std::clamp(last < 0 ? 0 : last / stride + 1, begin, s.end);
  std::fill_n(out, begin - s.begin, scratch.zeros);
  const float* at = line + (begin * stride - shift) * channels;
  for (int64_t i = begin; i < end; ++i, at += stride * channels) out[i - s.begin] = at;
  std::fill_n(out + (end - s.begin), s.end - end, scratch.zeros);
}

// A run that is a line of the kernel: partly outside, it is copied. Returns where the next copy goes.
float* point_at_line(const Window& w, int64_t channels, const Segment& s, const float* line, float* copy, const RowScratch& scratch,
                     const float** out) {
  const int64_t taps = w.kernel[2], stride = w.stride[2], pad = w.pad_begin[2], reach = w.input[2] - taps + pad;
  const int64_t inside = std::clamp(pad > 0 ? ceil_div(pad, stride) : 0, s.begin, s.end);
  const int64_t behind = std::clamp(reach < 0 ? 0 : reach / stride + 1, inside, s.end);
  const auto copy_part = [&](int64_t i) {
    const int64_t column = i * stride - pad, begin = std::clamp<int64_t>(-column, 0, taps);
    const int64_t end = std::clamp<int64_t>(w.input[2] - column, begin, taps);
    out[i - s.begin] = end == begin ? scratch.zeros : copy;
    if (end == begin) return;
    std::fill_n(copy, begin * channels, 0.0f);
    std::copy_n(line + (column + begin) * channels, (end - begin) * channels, copy + begin * channels);
    std::fill_n(copy + end * channels, (taps - end) * channels, 0.0f);
    copy += taps * channels;
  };
  for (int64_t i = s.begin; i < inside; ++i) copy_part(i);
  const float* at = line + (inside * stride - pad) * channels;
  for (int64_t i = inside; i < behind; ++i, at += stride * channels) out[i - s.begin] = at;
  for (int64_t i = behind; i < s.end; ++i) copy_part(i);
  return copy;
}

float* point_at_segment(const ConvGeometry& g, const RunShape& shape, const Segment& s, int64_t rows, float* copy, const RowScratch& scratch) {
  const Window& w = g.window;
  const float** out = s.pointers;
  for (int64_t kd = 0; kd < w.kernel[0]; ++kd)
    for (int64_t kh = 0; kh < w.kernel[1]; ++kh) {
      const int64_t depth = s.depth * w.stride[0] + kd * w.dilation[0] - w.pad_begin[0];
      const int64_t height = s.height * w.stride[1] + kh * w.dilation[1] - w.pad_begin[1];
      const bool inside = depth >= 0 && depth < w.input[0] && height >= 0 && height < w.input[1];
      const float* line = s.image + (depth * w.input[1] + height) * w.input[2] * g.channels;
      for (int64_t tap = 0; tap < w.kernel[2]; tap += shape.taps, out += rows) {
        if (!inside) std::fill_n(out, s.end - s.begin, scratch.zeros);
        else if (shape.copies()) copy = point_at_line(w, g.channels, s, line, copy, scratch, out);
        else point_at_tap(w, g.channels, s, line, tap, scratch, out);
      }
    }
  return copy;
}

// Places of the output along a dimension all of whose taps are inside the image.
struct Interval {
  int64_t begin, end;
  Interval(const Window& w, int d) {
    const int64_t reach = w.input[d] - 1 - (w.kernel[d] - 1) * w.dilation[d] + w.pad_begin[d];
    begin = w.pad_begin[d] > 0 ? ceil_div(w.pad_begin[d], w.stride[d]) : 0;
    end = reach < 0 ? 0 : reach / w.stride[d] + 1;
  }
  bool has(int64_t place) const { return begin <= place && place < end; }
};

}  // namespace

RunShape run_shape(const ConvGeometry& g) {
  const Window& w = g.window;
  const int64_t line = w.kernel[2] * g.channels;
  RunShape shape;
  const bool lines = g.groups == 1 && w.dilation[2] == 1 && w.kernel[2] > 1 && g.channels <= kFewChannels && line <= kLongestLine;
  shape.taps = lines ? w.kernel[2] : 1;
  shape.count = w.kernel_size() / shape.taps;
  shape.length = lines ? line : g.channels / g.groups;
  shape.pitch = shape.length * g.groups;
  return shape;
}

void point_at_rows(const ConvGeometry& g, const RunShape& shape, const float* x, int64_t first, int64_t rows, const RowScratch& scratch) {
  const Window::Sizes& out = g.window.output;
  float* copy = scratch.copies;
  for (int64_t row = 0; row < rows;) {
    const int64_t pixel = first + row, line = pixel / out[2];
    Segment s;
    s.image = x + line / (out[0] * out[1]) * g.window.input_size() * g.channels;
    s.depth = line / out[1] % out[0], s.height = line % out[1];
    s.begin = pixel % out[2], s.end = std::min(out[2], s.begin + rows - row);
    s.pointers = scratch.pointers + row;
    copy = point_at_segment(g, shape, s, rows, copy, scratch);
    row += s.end - s.begin;
  }
}

RowLists list_rows(const ConvGeometry& g, const RunShape& shape, int64_t first, int64_t rows, const RowScratch& scratch) {
  const Window::Sizes& out = g.window.output;
  const Interval depths(g.window, 0), heights(g.window, 1), columns(g.window, 2);
  int32_t *whole = scratch.places + shape.count * rows, *cut = whole + rows;
  RowLists lists{0, 0, whole, cut, scratch.counts, scratch.places};
  for (int64_t row = 0; row < rows;) {
    const int64_t pixel = first + row, line = pixel / out[2], shift = pixel % out[2] - row, end = std::min(rows, out[2] - shift);
    const bool inside = heights.has(line % out[1]) && depths.has(line / out[1] % out[0]);
    const int64_t from = inside ? std::clamp(columns.begin - shift, row, end) : end, to = inside ? std::clamp(columns.end - shift, from, end) : end;
    for (; row < from; ++row) cut[lists.cut++] = static_cast<int32_t>(row);
    for (; row < to; ++row) whole[lists.whole++] = static_cast<int32_t>(row);
    for (; row < end; ++row) cut[lists.cut++] = static_cast<int32_t>(row);
  }
  for (int64_t run = 0; run < shape.count; ++run) {
    int32_t* places = scratch.places + run * rows;
    int64_t count = 0;
    for (int64_t i = 0; i < lists.cut; ++i)
      if (scratch.pointers[run * rows + cut[i]] != scratch.zeros) places[count++] = cut[i];
    scratch.counts[run] = count;
  }
  return lists;
}

}  // namespace tandem::cpu
