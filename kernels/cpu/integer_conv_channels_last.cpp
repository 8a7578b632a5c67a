// Pixel by pixel and filter by filter: sums over the taps that fall inside the image, quantized at once.
#include "kernels/api/integer_conv_channels_last.h"

#include <vector>

#include "kernels/cpu/conv_patches.h"

namespace tandem::cpu {

// Filters less their zero points: [filters][taps][channels of a group].
struct IntegerFilterPanels {
  Isa isa;
  std::vector<int16_t> weights;
};

size_t ChannelsLastIntegerFilters::bytes() const { return panels_ ? panels_->weights.size() * sizeof(int16_t) : 0; }
Isa ChannelsLastIntegerFilters::isa() const { return panels_ ? panels_->isa : Isa::kPortable; }

namespace {

int32_t number_of(std::byte bits, DType type) { return type == DType::kI8 ? static_cast<int8_t>(bits) : static_cast<int32_t>(bits); }

void check_8_bits(std::string_view what, DType type) {
  require(type == DType::kU8 || type == DType::kI8, "an operand of an integer convolution must be u8 or i8", what, name(type));
}

int64_t check_images(const ConvGeometry& g, const Shape& x, const Shape& y) {
  const Window& w = g.window;
  const auto fits = [&](const Shape& shape, const Window::Sizes& sizes, int64_t channels) {
    if (shape.rank() != w.rank + 2 || shape[w.rank + 1] != channels || shape[0] != x[0]) return false;
    for (int i = 0; i < w.rank; ++i)
      if (shape[i + 1] != sizes[static_cast<size_t>(3 - w.rank + i)]) return false;
    return true;
  };
  ensure(fits(x, w.input, g.channels), "x does not fit the geometry of a channels-last convolution", to_string(x));
  ensure(fits(y, w.output, g.filters), "y does not fit the geometry of a channels-last convolution", to_string(y));
  return x[0];
}

struct Convolution {
  const ConvGeometry& g;
  const ConvShape s;
  ConstTensorView x;
  int32_t x_zero;
  const int16_t* weights;

  int32_t sum(int64_t image, const std::array<int64_t, 3>& at, int64_t filter) const {
    const Window& w = g.window;
    const int64_t first = filter / s.filters * s.channels;
    uint32_t total = 0;  // sums wrap
    for_each_tap(s, [&](int64_t index, const Tap& tap) {
      const int64_t d = at[0] * w.stride[0] - w.pad_begin[0] + tap.depth * w.dilation[0];
      const int64_t l = at[1] * w.stride[1] - w.pad_begin[1] + tap.line * w.dilation[1];
      const int64_t c = at[2] * w.stride[2] - w.pad_begin[2] + tap.column * w.dilation[2];
      if (d < 0 || d >= w.input[0] || l < 0 || l >= w.input[1] || c < 0 || c >= w.input[2]) return;
      const std::byte* pixel = x.data + (((image * w.input[0] + d) * w.input[1] + l) * w.input[2] + c) * g.channels + first;
      const int16_t* tap_weights = weights + (filter * s.taps + index) * s.channels;
      for (int64_t i = 0; i < s.channels; ++i)
        total += static_cast<uint32_t>((number_of(pixel[i], x.dtype) - x_zero) * tap_weights[i]);
    });
    return static_cast<int32_t>(total);
  }
};

}  // namespace

ChannelsLastIntegerFilters pack_integer_filters_channels_last(const ConvGeometry& geometry, ConstTensorView w,
                                                              ConstTensorView w_zero, Isa isa) {
  check_conv_weight(geometry, w.shape);
  check_8_bits("w", w.dtype);
  require(!w_zero || w_zero.dtype == w.dtype, "the zero point of w must have its type", name(w_zero.dtype), name(w.dtype));
  require(!w_zero || w_zero.elements() == 1 || w_zero.elements() == geometry.filters,
          "w has one zero point, or one a filter; the shape given", w_zero ? to_string(w_zero.shape) : "");
  const int64_t taps = geometry.window.kernel_size(), channels = geometry.channels / geometry.groups;
  auto panels = std::make_shared<IntegerFilterPanels>();
  panels->isa = isa;
  panels->weights.resize(static_cast<size_t>(w.elements()));
  for (int64_t f = 0; f < geometry.filters; ++f) {
    const int32_t zero = w_zero ? number_of(w_zero.data[f % w_zero.elements()], w.dtype) : 0;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t t = 0; t < taps; ++t)
        panels->weights[static_cast<size_t>((f * taps + t) * channels + c)] =
            static_cast<int16_t>(number_of(w.data[(f * channels + c) * taps + t], w.dtype) - zero);
  }
  ChannelsLastIntegerFilters filters;
  filters.panels_ = std::move(panels);
  return filters;
}

size_t integer_conv_channels_last_workspace(const ConvGeometry&, int, Isa) { return 0; }

void integer_conv_channels_last(const KernelContext& context, const ConvGeometry& g, ConstTensorView x, ConstTensorView x_zero,
                                const ChannelsLastIntegerFilters& filters, TensorView y, const OutputScales* scales) {
  check_8_bits("x", x.dtype);
  require(!x_zero || (x_zero.elements() == 1 && x_zero.dtype == x.dtype), "x has one zero point of its own type; the shape given",
          x_zero ? to_string(x_zero.shape) : "");
  const int64_t batch = check_images(g, x.shape, y.shape);
  const Convolution conv = {g, ConvShape(g), x, x_zero ? number_of(*x_zero.data, x.dtype) : 0, filters.panels_->weights.data()};
  const Window& w = g.window;
  int32_t* sums = scales ? nullptr : y.as<int32_t>().data();
  const int64_t pixels = batch * w.output_size();
#pragma omp parallel for num_threads(context.threads) schedule(static)
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    const int64_t inside = pixel % w.output_size();
    const std::array<int64_t, 3> at = {inside / (w.output[1] * w.output[2]), inside / w.output[2] % w.output[1],
                                       inside % w.output[2]};
    for (int64_t f = 0; f < g.filters; ++f) {
      const int32_t sum = conv.sum(pixel / w.output_size(), at, f);
      if (scales)
        y.data[pixel * g.filters + f] = static_cast<std::byte>(
            requantized(sum, scales->exact[scales->count == 1 ? 0 : f], scales->low, scales->high) + scales->zero);
      else
        sums[pixel * g.filters + f] = sum;
    }
  }
}

}  // namespace tandem::cpu
