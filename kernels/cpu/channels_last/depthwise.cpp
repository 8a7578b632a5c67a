#include "kernels/cpu/channels_last/depthwise.h"

#include "kernels/cpu/channels_last/activation.h"
#include "kernels/cpu/channels_last/depthwise_lines.h"
#include "kernels/cpu/gemm/activation.h"

namespace tandem::cpu {

void pack_depthwise_filters(const ConvGeometry& g, const float* w, float* packed) {
  const int64_t taps = g.window.kernel_size();
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int64_t c = 0; c < g.channels; ++c) packed[tap * g.channels + c] = w[c * taps + tap];
}

size_t depthwise_workspace(const ConvGeometry& g, int threads) { return static_cast<size_t>(threads * depthwise_line_bytes(g)); }

void convolve_depthwise(const KernelContext& context, const ConvGeometry& g, const ChannelsLastTier& tier, const ChannelsLastOperands& o) {
  convolve_depthwise_lines(context, g, tier, o, {0, g.window.output[0] * g.window.output[1], g.window.input[1]});
}

void convolve_depthwise_lines(const KernelContext& context, const ConvGeometry& g, const ChannelsLastTier& tier, const ChannelsLastOperands& o,
                              const DepthwiseRange& range) {
  const DepthwiseOperands<float> operands = {o.x, o.w, o.bias, o.residual, o.y, finish_of(o.activation), o.batch};
  for_each_depthwise_line(context, g, tier.lanes, tier.depthwise_pairs, operands, range, [&](const DepthwisePixels& line) {
    tier.depthwise(line);
    if (in_channels_last_tile(o.activation)) return;
    activate(o.activation, line.c, g.channels, line.pixels, line.channels);
    if (line.c_line) activate(o.activation, line.c + line.c_line, g.channels, line.pixels, line.channels);
  });
}

}  // namespace tandem::cpu
