// Lines of an image with the border that a convolution sees around them: rows of a product are read from them where they lie, a run of
// neighbouring taps after the other, so that no patches are gathered.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/cpu/conv_patches.h"
#include "kernels/cpu/gemm/integer_block.h"

namespace tandem::cpu {

// Pixels of a line that a tile takes: a divisor, so that tiles are full; 0 if there is none.
inline int64_t tile_of_line(int64_t width) {
  constexpr int64_t kFewest = 12, kMost = 16;
  for (int64_t n = kMost; n >= kFewest; --n)
    if (width % n == 0) return n;
  return 0;
}

// Lines and pixels of a line that the windows of `output` results cover.
inline int64_t covered(const Window& w, size_t axis, int64_t output) {
  return (output - 1) * w.stride[axis] + (w.kernel[axis] - 1) * w.dilation[axis] + 1;
}

// Pixels of a line that is copied for tiles of vectors, `bytes` each: one more than `width` where lines would lie whole pages apart, since those of
// a column of the result share the ways of the first-level cache then.
inline int64_t width_of_copy(int64_t width, int64_t bytes) {
  constexpr int64_t kPage = 4096;
  return width * bytes % kPage == 0 ? width + 1 : width;
}

// Whether all windows lie inside the image.
inline bool is_borderless(const Window& w) {
  return w.pad_begin[1] == 0 && w.pad_begin[2] == 0 && covered(w, 1, w.output[1]) <= w.input[1] && covered(w, 2, w.output[2]) <= w.input[2];
}

// Taps [first, last) of the kernel along an axis that lie in the image for place `at` of the result; the others lie on its border.
inline std::pair<int64_t, int64_t> taps_inside(const Window& w, size_t axis, int64_t at) {
  int64_t first, last;
  clip(at * w.stride[axis] - w.pad_begin[axis], w.dilation[axis], w.input[axis], w.kernel[axis], first, last);
  first = std::min(first, w.kernel[axis]);
  return {first, std::max(first, last)};
}

// Columns [first, last) of the result under which all columns of the kernel lie in the image.
inline std::pair<int64_t, int64_t> whole_columns(const Window& w) {
  int64_t first, last;
  clip(-w.pad_begin[2], w.stride[2], w.input[2] - covered(w, 2, 1) + 1, w.output[2], first, last);
  first = std::min(first, w.output[2]);
  return {first, std::max(first, last)};
}

// Copies `count` lines of `width` pixels from line `first` on, those outside of the image too; what is outside is `border`. A pixel has `bytes`
// bytes; in the image it may have 6 where it gets 8, the others 0.
struct BorderedLines {
  const Window& w;
  int64_t width, bytes;
  std::byte border;
  int64_t source = bytes;  // bytes of a pixel of the image

  void copy(const std::byte* image, int64_t first, int64_t count, std::byte* to) const {
    const int64_t left = std::min(w.pad_begin[2], width), inside = std::min(w.input[2], width - left);
    for (int64_t line = first; line < first + count; ++line, to += width * bytes) {
      if (line < 0 || line >= w.input[1]) {
        fill(to, width);
        continue;
      }
      fill(to, left);
      const std::byte* from = image + line * w.input[2] * source;
      if (source == bytes)
        std::memcpy(to + left * bytes, from, static_cast<size_t>(inside * bytes));
      else
        widen(from, inside, to + left * bytes);
      fill(to + (left + inside) * bytes, width - left - inside);
    }
  }

 private:
  static void widen(const std::byte* from, int64_t pixels, std::byte* to) {
    constexpr int64_t kFrom = 6, kTo = 8;
    for (int64_t i = 0; i < pixels; ++i, from += kFrom, to += kTo) {
      uint32_t low;
      uint16_t high;
      std::memcpy(&low, from, sizeof low), std::memcpy(&high, from + sizeof low, sizeof high);
      const uint64_t pixel = low | uint64_t{high} << 32;  // as one number: bytes of a buffer would be waited for
      std::memcpy(to, &pixel, sizeof pixel);
    }
  }
  void fill(std::byte* from, int64_t pixels) const { std::memset(from, static_cast<int>(border), static_cast<size_t>(pixels * bytes)); }
};

// How a team shares the lines of images: blocks of neighbouring lines, at most `most` each, times parts of the filters, of whole kFilters. By lines
// where these come out even to an eighth, or filters no evener: so a thread reads what it wrote. Blocks of an image differ by one line.
struct StripShares {
  static constexpr int64_t kFilters = 2 * kPanelColumns;
  int64_t images, lines, blocks, parts = 1;

  StripShares(int64_t count, int64_t all_lines, int64_t most, int64_t filters, int64_t team)
      : images(count), lines(all_lines), blocks(ceil_div(lines, most)) {
    const bool whole = images * blocks % team == 0, uneven = 8 * round_up(images * lines, team) > 9 * images * lines;
    // The largest share of a thread, in results of a column.
    const int64_t by_lines = ceil_div(images * lines, team) * filters, by_filters = images * lines * round_up(ceil_div(filters, team), kFilters);
    if ((uneven && by_filters < by_lines) || (!whole && lines < 2 * team && by_filters <= by_lines))
      parts = team;
    else if (!whole)
      blocks = std::min(round_up(blocks, team), lines);
  }

  struct Task {
    int64_t image, first, count, part;  // lines [first, first + count)
  };
  // Neighbouring ones go to one thread.
  int64_t tasks() const { return images * blocks * parts; }
  Task task(int64_t index) const {
    const int64_t block = index % blocks, first = lines * block / blocks;
    return {index / blocks % images, first, lines * (block + 1) / blocks - first, index / (blocks * images)};
  }
};

}  // namespace tandem::cpu
