// One filter a channel: some lines of the output at a time, all channels of a line.
#include <omp.h>

#include <algorithm>
#include <cstring>

#include "kernels/base/block.h"
#include "kernels/cpu/integer_conv_panels.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kTeamWork = 64 * 1024;
constexpr int64_t kTogether = 8;  // lines

int64_t lines_of(const ConvShape& s) { return s.w.kernel[0] * s.w.kernel[1]; }
int64_t whole_channels(const ConvShape& s) { return round_up(s.groups, kDepthwiseChannels); }

DepthwiseLines line_of(const ConvShape& s) {
  DepthwiseLines line;
  line.line_count = lines_of(s);
  line.kernel_width = s.w.kernel[2], line.stride = s.w.stride[2], line.dilation = s.w.dilation[2], line.pad = s.w.pad_begin[2];
  line.input_width = s.w.input[2], line.output_width = s.w.output[2];
  line.channels = s.groups;
  return line;
}

// Of a thread: pointers and strides of lines, and what the tier wants.
struct Scratch {
  int64_t pointers, strides, columns;
  explicit Scratch(const ConvShape& s)
      : pointers(round_up(kTogether * lines_of(s) * static_cast<int64_t>(sizeof(std::byte*)), kAlignment)),
        strides(round_up(kTogether * lines_of(s) * static_cast<int64_t>(sizeof(int64_t)), kAlignment)),
        columns(depthwise_scratch(line_of(s))) {}
  int64_t bytes() const { return pointers + strides + columns; }
};

// Output lines [first, first + count) of all images.
void convolve_lines(const ChannelsLastProblem& p, int64_t first, int64_t count, std::byte* memory) {
  const Window& w = p.s.w;
  const Scratch sizes(p.s);
  auto** lines = reinterpret_cast<const std::byte**>(memory);
  auto* strides = reinterpret_cast<int64_t*>(memory + sizes.pointers);
  for (int64_t index = first, to = 0; index < first + count; ++index) {
    const int64_t row = index % w.output[1], depth = index / w.output[1] % w.output[0], image = index / w.output[1] / w.output[0];
    for (int64_t i = 0; i < lines_of(p.s); ++i, ++to) {
      const int64_t d = depth * w.stride[0] - w.pad_begin[0] + i / w.kernel[1] * w.dilation[0];
      const int64_t l = row * w.stride[1] - w.pad_begin[1] + i % w.kernel[1] * w.dilation[1];
      const bool inside = d >= 0 && d < w.input[0] && l >= 0 && l < w.input[1];
      lines[to] = inside ? p.x.data + ((image * w.input[0] + d) * w.input[1] + l) * w.input[2] * p.s.groups : nullptr;
      strides[to] = inside ? p.s.groups : 0;
    }
  }
  DepthwiseLines line = line_of(p.s);
  line.count = count, line.lines = lines, line.strides = strides;
  line.flip = p.flipped ? std::byte{0x80} : std::byte{0};
  line.zero = p.x_zero;
  line.seeds = p.seeds;
  line.result = result_at(p, first * w.output[2], 0);
  line.scratch = memory + sizes.pointers + sizes.strides;
  if (p.filters.is_narrow) {
    line.narrow = p.filters.data;
    p.tier.depthwise.narrow(line);
  } else {
    line.wide = reinterpret_cast<const int16_t*>(p.filters.data);
    p.tier.depthwise.wide(line);
  }
}

// The weight of a channel and tap, less its zero point.
struct Weights {
  const ConvShape& s;
  ConstTensorView w, zero;
  int32_t at(int64_t channel, int64_t tap) const {
    return number_of(w.data[channel * s.taps + tap], w.dtype) - (zero ? number_of(zero.data[channel % zero.elements()], w.dtype) : 0);
  }
  bool are_narrow() const {
    for (int64_t c = 0; c < s.groups; ++c)
      for (int64_t t = 0; t < s.taps; ++t)
        if (at(c, t) != static_cast<int8_t>(at(c, t))) return false;
    return true;
  }
};

void place_narrow(const Weights& weights, std::byte* to) {
  const ConvShape& s = weights.s;
  const int64_t width = s.w.kernel[2], quads = depthwise_quads(lines_of(s));
  const DepthwiseLines shape = line_of(s);
  for (int64_t c = 0; c < s.groups; ++c)
    for (int64_t t = 0; t < s.taps; ++t) {
      const int64_t line = t / width, column = t % width;
      const int64_t quad = (c / kDepthwiseChannels * width + column) * quads + line / kQuadLines;
      to[(quad * kDepthwiseChannels + place_in_lanes(shape, c) % kDepthwiseChannels) * kQuadLines + line % kQuadLines] = static_cast<std::byte>(weights.at(c, t));
    }
}

}  // namespace

void pack_channel_filters(const ConvShape& s, const IntegerTier& tier, ConstTensorView w, ConstTensorView w_zero,
                          IntegerFilterPanels& to) {
  const Weights weights = {s, w, w_zero};
  to.is_narrow = tier.depthwise.narrow && weights.are_narrow();
  const int64_t channels = whole_channels(s), numbers = round_up(channels * 4, kAlignment);
  const int64_t elements = to.is_narrow ? channels * s.w.kernel[2] * depthwise_quads(lines_of(s)) * kQuadLines : 2 * channels * s.taps;
  const int64_t data = round_up(elements, kAlignment);
  to.bytes = static_cast<size_t>(data + numbers);
  to.memory = make_zero_block(to.bytes);
  to.data = to.memory.get();
  to.sums = reinterpret_cast<int32_t*>(to.data + data);
  for (int64_t c = 0; c < s.groups; ++c)
    for (int64_t t = 0; t < s.taps; ++t) {
      to.sums[c] += weights.at(c, t);
      if (!to.is_narrow) reinterpret_cast<int16_t*>(to.data)[t * channels + c] = static_cast<int16_t>(weights.at(c, t));
    }
  if (to.is_narrow) place_narrow(weights, to.data);
}

int64_t channelwise_scratch(const ConvShape& s) { return Scratch(s).bytes(); }

void convolve_channels(const ChannelsLastProblem& p, int threads, std::byte* scratch) {
  const int64_t lines = p.batch * p.s.w.output[0] * p.s.w.output[1], bytes = round_up(channelwise_scratch(p.s), kAlignment);
  const bool team = threads > 1 && p.batch * p.s.output * p.s.groups * p.s.taps >= kTeamWork;
  const int64_t blocks = std::min(lines, round_up(ceil_div(lines, kTogether), team ? threads : 1));
#pragma omp parallel for num_threads(threads) schedule(static) if (team)
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t line = lines * block / blocks, count = lines * (block + 1) / blocks - line;
    convolve_lines(p, line, count, scratch + omp_get_thread_num() * bytes);
    add_residual(p, line * p.s.w.output[2] * p.s.groups, count * p.s.w.output[2] * p.s.groups);
  }
}

}  // namespace tandem::cpu
