// Depthwise convolutions of bf16 by the tiles of kernels/cpu/channels_last. Where a tier has one that reads bf16 the image is read as it lies. For others
// lines of a chunk of channels are widened once into a ring, with their pads, the window moves down it, and each line of results is rounded into
// its place.
#include <omp.h>

#include <algorithm>
#include <array>

#include "kernels/cpu/bf16/conv.h"
#include "kernels/cpu/channels_last/activation.h"
#include "kernels/cpu/channels_last/depthwise_lines.h"
#include "kernels/cpu/gemm/activation.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kRingFloats = 8 * 1024;  // of the ring and a line of results: they stay in the first-level cache
constexpr int64_t kMostKernelLines = 64;

// One thread's part of the workspace, in floats.
struct Layout {
  int64_t lines, width, chunk, ring, result, residual;

  Layout(const ConvGeometry& g, const ChannelsLastTier& tier) {
    const Window& w = g.window;
    lines = (w.kernel[1] - 1) * w.dilation[1] + 1;
    width = std::max((w.output[2] - 1) * w.stride[2] + (w.kernel[2] - 1) * w.dilation[2] + 1,
                     w.input[2] + std::max<int64_t>(w.pad_begin[2], 0));
    const int64_t unit = 2 * tier.lanes, fit = kRingFloats / (lines * width + w.output[2]);
    chunk = fit >= g.channels ? g.channels : std::min(g.channels, std::max(unit, fit / unit * unit));
    ring = 0, result = round_up(lines * width * chunk, 16), residual = result + round_up(w.output[2] * chunk, 16);
  }
  int64_t bytes(const ConvGeometry& g) const {
    const int64_t floats =
        std::max(residual + g.window.output[2] * chunk, 2 * kRingFloats + 32);  // enough for smaller planes too
    return round_up(floats * static_cast<int64_t>(sizeof(float)), static_cast<int64_t>(kAlignment));
  }
};

// Output lines of one image and one chunk of channels, in order.
class Chunk {
 public:
  Chunk(const Bf16ConvProblem& p, const ChannelsLastTier& tier, const Layout& at, int64_t image, int64_t channel, float* memory)
      : p_(p),
        w_(p.g.window),
        tier_(tier),
        at_(at),
        image_(image),
        channel_(channel),
        channels_(std::min(at.chunk, p.g.channels - channel)),
        memory_(memory) {
    std::fill_n(memory, at.lines * at.width * at.chunk, 0.0f);  // the pads of every line
    held_.fill(-1);
  }

  void run(int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) convolve_line(row);
  }

 private:
  // The widened line `row` of the image.
  const float* line(int64_t row) {
    const int64_t slot = row % at_.lines;
    float* to = memory_ + slot * at_.width * channels_;
    if (held_[static_cast<size_t>(slot)] == row) return to;
    held_[static_cast<size_t>(slot)] = row;
    // A negative pad cuts the line's beginning off.
    const int64_t pad = w_.pad_begin[2], cut = std::max<int64_t>(-pad, 0),
                  count = std::min(w_.input[2] - cut, at_.width - std::max<int64_t>(pad, 0));
    const BF16* from = p_.x.as<BF16>().data() + ((image_ * w_.input[1] + row) * w_.input[2] + cut) * p_.g.channels + channel_;
    p_.kernel.widen_rows(from, p_.g.channels, to + std::max<int64_t>(pad, 0) * channels_, channels_, count, channels_);
    return to;
  }

  void convolve_line(int64_t row) {
    std::array<const float*, kMostKernelLines> x, w;
    DepthwisePixels line;
    for (int64_t k = 0; k < w_.kernel[1]; ++k) {
      const int64_t source = row * w_.stride[1] - w_.pad_begin[1] + k * w_.dilation[1];
      if (source < 0 || source >= w_.input[1]) continue;
      x[static_cast<size_t>(line.lines)] = this->line(source);
      w[static_cast<size_t>(line.lines++)] =
          reinterpret_cast<const float*>(p_.filters) + k * w_.kernel[2] * p_.g.channels + channel_;
    }
    line.x = x.data(), line.w = w.data(), line.taps = w_.kernel[2];
    line.x_pixel = w_.stride[2] * channels_, line.x_tap = w_.dilation[2] * channels_, line.w_tap = p_.g.channels;
    line.pixels = w_.output[2], line.channels = channels_;
    line.end = at_.width * channels_;  // pads are there, as zeros
    line.c = memory_ + at_.result, line.ldc = channels_;
    const Bf16Epilogue& epilogue = p_.epilogue;
    if (epilogue.bias) line.bias = epilogue.bias.as<float>().data() + channel_;
    const int64_t at = ((image_ * w_.output[1] + row) * w_.output[2]) * p_.g.channels + channel_;
    if (p_.kernel.finish && in_channels_last_tile(epilogue.activation)) {
      tier_.depthwise(line);
      return finish(line.c, at);
    }
    if (epilogue.residual) line.residual = widened_residual(at);
    line.finish = finish_of(epilogue.activation);
    tier_.depthwise(line);
    if (!in_channels_last_tile(epilogue.activation)) activate(epilogue.activation, line.c, channels_, line.pixels, channels_);
    store(line.c, at);
  }

  const float* widened_residual(int64_t at) {
    float* to = memory_ + at_.residual;
    const ConstTensorView& residual = p_.epilogue.residual;
    if (residual.dtype == DType::kBF16)
      p_.kernel.widen_rows(residual.as<BF16>().data() + at, p_.g.channels, to, channels_, w_.output[2], channels_);
    else
      for (int64_t i = 0; i < w_.output[2]; ++i)
        std::copy_n(residual.as<float>().data() + at + i * p_.g.channels, channels_, to + i * channels_);
    return to;
  }

  // Residual, activation and rounding in one pass.
  void finish(float* sums, int64_t at) const {
    Bf16Block line;
    line.activation = p_.epilogue.activation;
    line.result = {p_.y.data, p_.y.dtype == DType::kBF16, p_.g.channels};
    line.result.data = line.result.at(0, at);
    if (const ConstTensorView& residual = p_.epilogue.residual) {
      line.residual = {residual.data, residual.dtype == DType::kBF16, p_.g.channels};
      line.residual.data = line.residual.at(0, at);
    }
    p_.kernel.finish(line, sums, channels_, 0, w_.output[2], channels_);
  }

  void store(const float* from, int64_t at) {
    if (p_.y.dtype == DType::kBF16)
      return p_.kernel.narrow_rows(from, channels_, p_.y.as<BF16>().data() + at, p_.g.channels, w_.output[2], channels_);
    for (int64_t i = 0; i < w_.output[2]; ++i)
      std::copy_n(from + i * channels_, channels_, p_.y.as<float>().data() + at + i * p_.g.channels);
  }

  const Bf16ConvProblem& p_;
  const Window& w_;
  const ChannelsLastTier& tier_;
  const Layout& at_;
  int64_t image_, channel_, channels_;
  float* memory_;
  std::array<int64_t, kMostKernelLines> held_;  // the line of the image in each slot of the ring
};

// Whether the tier's own tile takes all of it.
bool is_read_in_place(const Bf16ConvProblem& p) {
  const Bf16Epilogue& epilogue = p.epilogue;
  return p.kernel.depthwise && p.y.dtype == DType::kBF16 && (!epilogue.residual || epilogue.residual.dtype == DType::kBF16) &&
         in_channels_last_tile(epilogue.activation);
}

void convolve_in_place(const KernelContext& context, const Bf16ConvProblem& p, const ChannelsLastTier& tier) {
  const Bf16Epilogue& epilogue = p.epilogue;
  const DepthwiseOperands<BF16> operands = {p.x.as<BF16>().data(),
                                            reinterpret_cast<const float*>(p.filters),
                                            epilogue.bias ? epilogue.bias.as<float>().data() : nullptr,
                                            epilogue.residual ? epilogue.residual.as<BF16>().data() : nullptr,
                                            p.y.as<BF16>().data(),
                                            finish_of(epilogue.activation),
                                            p.batch};
  const Window& w = p.g.window;
  for_each_depthwise_line(context, p.g, tier.lanes, tier.depthwise_pairs, operands, {0, w.output[0] * w.output[1], w.input[1]}, p.kernel.depthwise);
}

}  // namespace

bool is_held_in_a_ring(const ConvGeometry& g) { return (g.window.kernel[1] - 1) * g.window.dilation[1] < kMostKernelLines; }

size_t bf16_channelwise_workspace(const ConvGeometry& g, Isa isa, int threads) {
  return static_cast<size_t>(std::max(Layout(g, channels_last_tier(isa)).bytes(g), depthwise_line_bytes(g)) * threads);
}

void convolve_bf16_channels(const KernelContext& context, const Bf16ConvProblem& p) {
  const ChannelsLastTier& tier = channels_last_tier(p.isa);
  if (is_read_in_place(p)) return convolve_in_place(context, p, tier);
  const Layout at(p.g, tier);
  const int64_t chunks = ceil_div(p.g.channels, at.chunk), lines = p.g.window.output[1], all = p.batch * chunks;
  // Bands of lines only where images and chunks are fewer than threads: each widens the lines above its first once more.
  const int64_t bands = all % context.threads == 0 ? 1 : std::min<int64_t>(lines, context.threads), items = all * bands;
#pragma omp parallel for num_threads(context.threads) schedule(static) if (p.y.elements() * p.g.window.kernel_size() >= 64 * 1024)
  for (int64_t i = 0; i < items; ++i) {
    const int64_t band = i % bands, chunk = i / bands % chunks, image = i / bands / chunks;
    auto* memory = reinterpret_cast<float*>(context.workspace.data() + omp_get_thread_num() * at.bytes(p.g));
    Chunk(p, tier, at, image, chunk * at.chunk, memory).run(lines * band / bands, lines * (band + 1) / bands);
  }
}

}  // namespace tandem::cpu
