// Channels-last convolution: pixel by pixel, rows of weights scaled by the pixels under the window are added to the row of y.
#include "kernels/api/conv_channels_last.h"

#include <algorithm>

#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/activation.h"
#include "kernels/cpu/gemm/storage.h"

namespace tandem::cpu {
namespace {

// Filters as [groups][taps][channels of a group][filters of a group].
struct Operands {
  const float *x, *w;
  float* y;
};

// Adds the sums of one output pixel of one image to its row of y.
void add_products(const ConvGeometry& g, const Operands& o, const Window::Sizes& out) {
  const Window& w = g.window;
  const int64_t channels = g.channels / g.groups, filters = g.filters / g.groups, taps = w.kernel_size();
  for (int64_t tap = 0; tap < taps; ++tap) {
    const Window::Sizes at{tap / (w.kernel[1] * w.kernel[2]), tap / w.kernel[2] % w.kernel[1], tap % w.kernel[2]};
    int64_t pixel = 0;
    bool inside = true;
    for (size_t axis = 0; axis < 3; ++axis) {
      const int64_t i = out[axis] * w.stride[axis] + at[axis] * w.dilation[axis] - w.pad_begin[axis];
      inside = inside && i >= 0 && i < w.input[axis];
      pixel = pixel * w.input[axis] + i;
    }
    if (!inside) continue;
    for (int64_t group = 0; group < g.groups; ++group)
      for (int64_t c = 0; c < channels; ++c) {
        const float x = o.x[pixel * g.channels + group * channels + c];
        const float* row = o.w + ((group * taps + tap) * channels + c) * filters;
        float* y = o.y + group * filters;
        for (int64_t f = 0; f < filters; ++f) y[f] += x * row[f];
      }
  }
}

}  // namespace

ChannelsLastFilters pack_filters_channels_last(const ConvGeometry& g, ConstTensorView w, Isa isa) {
  check_conv_weight(g, w.shape);
  const int64_t channels = g.channels / g.groups, filters = g.filters / g.groups, taps = g.window.kernel_size();
  ChannelsLastFilters packed;
  packed.isa_ = isa;
  packed.bytes_ = w.bytes();
  packed.data_ = make_aligned(packed.bytes_);
  const float* from = w.as<float>().data();
  float* to = reinterpret_cast<float*>(packed.data_.get());
  for (int64_t f = 0; f < g.filters; ++f)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t tap = 0; tap < taps; ++tap)
        to[((f / filters * taps + tap) * channels + c) * filters + f % filters] = from[(f * channels + c) * taps + tap];
  return packed;
}

size_t conv_channels_last_workspace(const ConvGeometry&, int, Isa) { return 0; }

void conv_channels_last(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, const ChannelsLastFilters& w,
                        TensorView y, const ConvEpilogue& epilogue) {
  const int64_t batch = check_channels_last_conv(g, x.shape, y.shape);
  check_conv_epilogue(g, y.shape, epilogue);
  const float* bias = epilogue.bias ? epilogue.bias.as<float>().data() : nullptr;
  const float* residual = epilogue.residual ? epilogue.residual.as<float>().data() : nullptr;
  const Window::Sizes& out = g.window.output;
  const int64_t pixels = batch * g.window.output_size();
  const Operands all{x.as<float>().data(), w.data(), y.as<float>().data()};
#pragma omp parallel for num_threads(context.threads) schedule(static) if (worth_a_team(ConvShape(g), batch))
  for (int64_t i = 0; i < pixels; ++i) {
    Operands o = all;
    o.x += i / g.window.output_size() * g.window.input_size() * g.channels;
    o.y += i * g.filters;
    for (int64_t f = 0; f < g.filters; ++f) o.y[f] = (residual ? residual[i * g.filters + f] : 0.0f) + (bias ? bias[f] : 0.0f);
    add_products(g, o, {i / (out[1] * out[2]) % out[0], i / out[2] % out[1], i % out[2]});
    activate(epilogue.activation, o.y, g.filters, 1, g.filters);
  }
}

}  // namespace tandem::cpu
