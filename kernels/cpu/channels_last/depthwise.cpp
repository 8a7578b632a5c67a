// Depthwise: a chunk of channels after the other, so narrow that the lines under the kernel stay in the first-level cache while the window
// moves down; a chunk line by line. A line has an interior, where every tap is inside the image, and pixels at its ends with fewer taps.
#include "kernels/cpu/channels_last/depthwise.h"

#include <omp.h>

#include <algorithm>

#include "kernels/cpu/channels_last/activation.h"
#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/activation.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kStripFloats = 10 * 1024;  // of the image lines under the kernel and its weights, of one strip and chunk
constexpr int64_t kLeastColumns = 12;

// Kernel lines inside the image: where each begins in the image and in the weights.
struct KernelLines {
  const float **x, **w;
  int64_t count = 0;
};

// A plane is worked through in strips of columns and chunks of channels.
struct Strips {
  int64_t columns, channels;  // of output, of both

  Strips(const ConvGeometry& g, const ChannelsLastTier& tier) {
    const Window& w = g.window;
    const int64_t lines = w.kernel[0] * w.kernel[1], stride = w.stride[2], reach = (w.kernel[2] - 1) * w.dilation[2];
    const int64_t least = std::min(w.output[2], kLeastColumns), unit = 4 * tier.lanes;
    const int64_t fit = kStripFloats / (lines * (least * stride + reach) + w.kernel_size());
    channels = fit >= g.channels ? g.channels : std::min(g.channels, std::max(unit, fit / unit * unit));
    const int64_t most = std::clamp(((kStripFloats / channels - w.kernel_size()) / lines - reach) / stride, least, w.output[2]);
    columns = ceil_div(w.output[2], ceil_div(w.output[2], most));
  }
};

int64_t line_bytes(const ConvGeometry& g) {
  return round_up(2 * g.window.kernel[0] * g.window.kernel[1] * static_cast<int64_t>(sizeof(float*)), static_cast<int64_t>(kAlignment));
}

// One line of output pixels: `image` and `weights` begin at the chunk's first channel.
class Line {
 public:
  Line(const ConvGeometry& g, const ChannelsLastTier& tier, DepthwiseLine line, KernelLines lines)
      : w_(g.window), channels_(g.channels), tier_(tier), line_(line), lines_(lines) {
    line_.x_pixel = w_.stride[2] * channels_, line_.x_tap = w_.dilation[2] * channels_, line_.w_tap = channels_;
    line_.ldc = channels_;
  }

  // Output columns [first, last).
  void run(const float* image, const float* weights, int64_t depth, int64_t height, int64_t first, int64_t last) {
    const int64_t stride = w_.stride[2], pad = w_.pad_begin[2];
    const int64_t reach = w_.input[2] - 1 + pad - (w_.kernel[2] - 1) * w_.dilation[2];
    const int64_t begin = std::clamp<int64_t>(pad > 0 ? ceil_div(pad, stride) : 0, first, last);
    const int64_t end = std::clamp<int64_t>(reach < 0 ? 0 : reach / stride + 1, begin, last);
    for (int64_t i = first; i < begin; ++i) run_border(image, weights, depth, height, i);
    if (begin < end) run_taps(image, weights, depth, height, begin, end - begin, 0, w_.kernel[2]);
    for (int64_t i = end; i < last; ++i) run_border(image, weights, depth, height, i);
  }

 private:
  void run_border(const float* image, const float* weights, int64_t depth, int64_t height, int64_t pixel) {
    const int64_t column = pixel * w_.stride[2] - w_.pad_begin[2], dilation = w_.dilation[2];
    const int64_t first = column < 0 ? ceil_div(-column, dilation) : 0;
    const int64_t last = column < w_.input[2] ? (w_.input[2] - 1 - column) / dilation + 1 : 0;
    const int64_t begin = std::min(first, w_.kernel[2]), end = std::clamp(last, begin, w_.kernel[2]);
    run_taps(image, weights, depth, height, pixel, 1, begin, end - begin);
  }

  // `taps` taps of every kernel line inside the image, for `pixels` pixels.
  void run_taps(const float* image, const float* weights, int64_t depth, int64_t height, int64_t pixel, int64_t pixels, int64_t tap,
                int64_t taps) {
    lines_.count = 0;
    const int64_t column = pixel * w_.stride[2] - w_.pad_begin[2] + tap * w_.dilation[2];
    for (int64_t kd = 0; kd < w_.kernel[0] && taps > 0; ++kd)
      for (int64_t kh = 0; kh < w_.kernel[1]; ++kh) {
        const int64_t d = depth * w_.stride[0] + kd * w_.dilation[0] - w_.pad_begin[0];
        const int64_t h = height * w_.stride[1] + kh * w_.dilation[1] - w_.pad_begin[1];
        if (d < 0 || d >= w_.input[0] || h < 0 || h >= w_.input[1]) continue;
        lines_.x[lines_.count] = image + ((d * w_.input[1] + h) * w_.input[2] + column) * channels_;
        lines_.w[lines_.count++] = weights + ((kd * w_.kernel[1] + kh) * w_.kernel[2] + tap) * channels_;
      }
    DepthwiseLine line = line_;
    line.x = lines_.x, line.w = lines_.w, line.lines = lines_.count;
    line.taps = taps, line.pixels = pixels;
    line.c += pixel * channels_;
    if (line.residual) line.residual += pixel * channels_;
    tier_.depthwise(line);
  }

  const Window& w_;
  int64_t channels_;
  const ChannelsLastTier& tier_;
  DepthwiseLine line_;
  KernelLines lines_;
};

}  // namespace

void pack_depthwise_filters(const ConvGeometry& g, const float* w, float* packed) {
  const int64_t taps = g.window.kernel_size();
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int64_t c = 0; c < g.channels; ++c) packed[tap * g.channels + c] = w[c * taps + tap];
}

size_t depthwise_workspace(const ConvGeometry& g, int threads) { return static_cast<size_t>(threads * line_bytes(g)); }

void convolve_depthwise(const KernelContext& context, const ConvGeometry& g, const ChannelsLastTier& tier, const ChannelsLastOperands& o) {
  workspace_of<std::byte>(context.workspace, context.threads * line_bytes(g), "channels-last depthwise conv");
  const Window::Sizes& out = g.window.output;
  const Strips strip(g, tier);
  const int64_t chunks = ceil_div(g.channels, strip.channels), strips = ceil_div(out[2], strip.columns), lines = out[0] * out[1];
#pragma omp parallel for num_threads(context.threads) schedule(static) if (worth_a_team(ConvShape(g), o.batch))
  for (int64_t unit = 0; unit < o.batch * chunks * strips * lines; ++unit) {
    const int64_t at = unit % lines, first = unit / lines % strips * strip.columns, last = std::min(out[2], first + strip.columns);
    const int64_t c = unit / (lines * strips) % chunks * strip.channels, image = unit / (lines * strips * chunks);
    const int64_t to = (image * lines + at) * out[2] * g.channels + c;
    DepthwiseLine line;
    line.channels = std::min(strip.channels, g.channels - c);
    line.c = o.y + to;
    line.residual = o.residual ? o.residual + to : nullptr;
    line.bias = o.bias ? o.bias + c : nullptr;
    line.finish = finish_of(o.activation);
    const auto pointers = reinterpret_cast<const float**>(context.workspace.data() + omp_get_thread_num() * line_bytes(g));
    Line(g, tier, line, {pointers, pointers + g.window.kernel[0] * g.window.kernel[1]})
        .run(o.x + image * g.window.input_size() * g.channels + c, o.w + c, at / out[1], at % out[1], first, last);
    if (!in_channels_last_tile(o.activation))
      activate(o.activation, line.c + first * g.channels, g.channels, last - first, line.channels);
  }
}

}  // namespace tandem::cpu
