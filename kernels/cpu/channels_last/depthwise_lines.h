// The loop nest of depthwise convolutions, for any numbers in memory: a chunk of channels after the other, so narrow that the lines under the kernel
// stay in the first-level cache while the window moves down; a chunk line by line. The tile knows which columns of a line are inside the image.
#pragma once

#include <algorithm>

#include "kernels/cpu/channels_last/depthwise.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {

// Kernel lines inside the image: where each begins in the image and in the weights.
template <class Number>
struct KernelLines {
  const Number** x;
  const float** w;
  int64_t count = 0;
};

// A plane is worked through in strips of columns and chunks of channels.
struct DepthwiseStrips {
  static constexpr int64_t kNumbers = 10 * 1024;  // of the image lines under the kernel and its weights, of one strip and chunk
  static constexpr int64_t kLeastColumns = 12;
  int64_t columns, channels;  // of output, of both

  DepthwiseStrips(const ConvGeometry& g, int64_t lanes) {
    const Window& w = g.window;
    const int64_t lines = w.kernel[0] * w.kernel[1], stride = w.stride[2], reach = (w.kernel[2] - 1) * w.dilation[2];
    const int64_t least = std::min(w.output[2], kLeastColumns), unit = 4 * lanes;
    const int64_t fit = kNumbers / (lines * (least * stride + reach) + w.kernel_size());
    channels = fit >= g.channels ? g.channels : std::min(g.channels, std::max(unit, fit / unit * unit));
    const int64_t most = std::clamp(((kNumbers / channels - w.kernel_size()) / lines - reach) / stride, least, w.output[2]);
    columns = ceil_div(w.output[2], ceil_div(w.output[2], most));
  }
};

// Workspace of one thread: pointers to lines, of the image under one line or two and of the weights.
inline int64_t depthwise_line_bytes(const ConvGeometry& g) {
  return round_up((2 * g.window.kernel[0] * g.window.kernel[1] + 1) * static_cast<int64_t>(sizeof(float*)), static_cast<int64_t>(kAlignment));
}

// Whether the tile of a tier that has one for two lines takes them.
inline bool has_depthwise_pairs(const ConvGeometry& g, int64_t lanes) {
  const Window& w = g.window;
  return w.kernel[0] == 1 && w.kernel[1] == 3 && w.kernel[2] == 3 && w.stride[1] == 1 && w.stride[2] == 1 && w.dilation[1] == 1 && w.dilation[2] == 1 &&
         g.channels % lanes == 0;
}

// Column `first` of a line of the image, of which the lines that are `kept` are there; null: the line is outside.
template <class Number>
const Number* image_line(const ConvGeometry& g, const Number* image, int64_t kept, int64_t depth, int64_t height, int64_t first) {
  const Window& w = g.window;
  if (depth < 0 || depth >= w.input[0] || height < 0 || height >= w.input[1]) return nullptr;
  return image + ((depth * w.input[1] + height % kept) * w.input[2] + first) * g.channels;
}

// The line of output pixels from `column` on, at (depth, height): which kernel lines are inside, and which columns. `image` and `w` begin at the
// chunk's first channel; of it, the lines that are `kept` are there. `two`: this line and the next.
template <class Number>
void point_at_lines(const ConvGeometry& g, const Number* image, int64_t kept, const float* weights, int64_t depth, int64_t height, int64_t column,
                    bool two, KernelLines<Number> lines, DepthwisePixelsOf<Number>& line) {
  const Window& w = g.window;
  const int64_t first = column * w.stride[2] - w.pad_begin[2];  // of the image, under the first tap; below 0 in the pad
  const int64_t d0 = depth * w.stride[0] - w.pad_begin[0], h0 = height * w.stride[1] - w.pad_begin[1];
  lines.count = 0;
  if (two) {
    for (int64_t h = 0; h < 4; ++h) lines.x[h] = image_line(g, image, kept, d0, h0 + h, first);
    for (; lines.count < 3; ++lines.count) lines.w[lines.count] = weights + lines.count * w.kernel[2] * g.channels;
    line.c_line = w.output[2] * g.channels;
  } else {
    for (int64_t kd = 0; kd < w.kernel[0]; ++kd)
      for (int64_t kh = 0; kh < w.kernel[1]; ++kh) {
        const Number* x = image_line(g, image, kept, d0 + kd * w.dilation[0], h0 + kh * w.dilation[1], first);
        if (!x) continue;
        lines.x[lines.count] = x;
        lines.w[lines.count++] = weights + (kd * w.kernel[1] + kh) * w.kernel[2] * g.channels;
      }
  }
  line.x = lines.x, line.w = lines.w, line.lines = lines.count;
  line.begin = -first * g.channels, line.end = (w.input[2] - first) * g.channels;
  line.taps = w.kernel[2];
  line.x_pixel = w.stride[2] * g.channels, line.x_tap = w.dilation[2] * g.channels, line.w_tap = g.channels;
  line.ldc = g.channels;
}

template <class Number>
struct DepthwiseOperands {
  const Number* x = nullptr;
  const float *w = nullptr, *bias = nullptr;  // w: [taps][channels]; no bias: null
  const Number* residual = nullptr;           // null: none
  Number* y = nullptr;
  TileFinish finish = {};
  int64_t batch = 0;
};

// Whether `rows` lines are shared by a team with an eighth more for nobody: then each thread takes lines that follow each other, as it does of the
// convolutions before and behind, and finds what it wrote itself. Otherwise chunks of channels are shared as well.
inline bool is_shared_evenly(int64_t rows, int64_t parts) { return 8 * ceil_div(rows, parts) * parts <= 9 * rows; }

// Calls convolve(const DepthwisePixelsOf<Number>&) for parts of lines, for the tile of a tier whose vectors have `lanes` channels; of two lines where
// it takes `pairs` of them. Workspace: depthwise_line_bytes a thread.
template <class Number, class F>
void for_each_depthwise_line(const KernelContext& context, const ConvGeometry& g, int64_t lanes, bool pairs, const DepthwiseOperands<Number>& o,
                             const DepthwiseRange& range, F&& convolve) {
  workspace_of<std::byte>(context.workspace, context.threads * depthwise_line_bytes(g), "channels-last depthwise conv");
  const Window::Sizes& out = g.window.output;
  const DepthwiseStrips strip(g, lanes);
  const int64_t chunks = ceil_div(g.channels, strip.channels), strips = ceil_div(out[2], strip.columns);
  const int64_t lines = range.last - range.first, rows = o.batch * lines;
  const auto convolve_strip = [&](int64_t image, int64_t chunk, int64_t strip_index, int64_t line_index, bool two, std::byte* memory) {
    const int64_t at = range.first + line_index, first = strip_index * strip.columns, last = std::min(out[2], first + strip.columns);
    const int64_t c = chunk * strip.channels, to = ((image * lines + line_index) * out[2] + first) * g.channels + c;
    DepthwisePixelsOf<Number> line;
    line.pixels = last - first;
    line.channels = std::min(strip.channels, g.channels - c);
    line.c = o.y + to;
    line.residual = o.residual ? o.residual + to : nullptr;
    line.bias = o.bias ? o.bias + c : nullptr;
    line.finish = o.finish;
    const auto x = reinterpret_cast<const Number**>(memory);
    const auto w = reinterpret_cast<const float**>(memory) + g.window.kernel[0] * g.window.kernel[1] + 1;
    point_at_lines<Number>(g, o.x + image * g.window.input_size() * g.channels + c, range.kept, o.w + c, at / out[1], at % out[1], first, two, {x, w},
                           line);
    convolve(line);
  };
  const int64_t parts = worth_a_team(ConvShape(g), o.batch) ? context.threads : 1;  // each with pointers of its own
  const bool in_pairs = pairs && has_depthwise_pairs(g, lanes);
  const bool by_lines = is_shared_evenly(rows, parts);
  const int64_t columns_of_chunks = by_lines ? 1 : chunks, shares = rows * columns_of_chunks;
#pragma omp parallel for num_threads(context.threads) schedule(static, 1) if (parts > 1)
  for (int64_t part = 0; part < parts; ++part) {
    std::byte* memory = context.workspace.data() + part * depthwise_line_bytes(g);
    const int64_t end = shares * (part + 1) / parts;
    for (int64_t begin = shares * part / parts, until; begin < end; begin = until) {
      until = std::min(end, (begin / lines + 1) * lines);  // of one image, and of one chunk where these are shared
      const int64_t column = begin / lines, image = column / columns_of_chunks, only = column % columns_of_chunks;
      for (int64_t chunk = by_lines ? 0 : only; chunk < (by_lines ? chunks : only + 1); ++chunk)
        for (int64_t s = 0; s < strips; ++s)
          for (int64_t line = begin % lines, last = until - column * lines, next; line < last; line = next) {
            const bool two = in_pairs && line + 1 < last && (range.first + line + 1) % out[1] != 0;
            next = line + (two ? 2 : 1);
            convolve_strip(image, chunk, s, line, two, memory);
          }
    }
  }
}

}  // namespace tandem::cpu
