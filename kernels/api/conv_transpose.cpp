// Output sizes and pads of ONNX ConvTranspose-22. Sizes come from model files: every product and sum is checked.
#include "kernels/api/conv_transpose.h"

#include <algorithm>

namespace tandem {
namespace {

using Ints = std::span<const int64_t>;

// An axis of y has `full` = stride * (input - 1) + output_padding + reach elements, less its pads. A full size below the one
// asked for is filled up with zeros at the end (a negative pad).
struct Pads {
  int64_t begin, end;
};
Pads pads_for(int64_t full, int64_t output, bool upper) {
  require(output >= 1, "output_shape of a transposed convolution must be positive", output);
  const int64_t total = std::max<int64_t>(0, full - output), begin = upper ? total / 2 : total - total / 2;
  return {begin, full - output - begin};
}

int64_t full_size(const Window& w, size_t axis, int64_t input, int64_t extra) {
  const int64_t reach = checked_add(checked_mul(w.kernel[axis] - 1, w.dilation[axis], "dilated kernel"), 1, "dilated kernel");
  const int64_t spread = checked_mul(w.stride[axis], input - 1, "transposed convolution");
  return checked_add(checked_add(spread, reach, "transposed convolution"), extra, "transposed convolution");
}

void check_operands(const Shape& x, const Shape& w, int64_t groups, const TransposedWindowOptions& options) {
  require(x.rank() == w.rank() && x.rank() >= 3, "input and weight of a transposed convolution need one rank of at least 3",
          to_string(x), to_string(w));
  require(x[1] >= 1 && x[1] == w[0] && w[1] >= 1, "channels of the input are not those of the weight", to_string(x),
          to_string(w));
  require(groups >= 1 && w[0] % groups == 0, "channels of the input are not a multiple of group", w[0], groups);
  const Ints spatial = w.dims().subspan(2);
  require(options.window.kernel.empty() || std::ranges::equal(options.window.kernel, spatial),
          "kernel_shape differs from the weight", to_string(w));
  const size_t padded = options.output_padding.size(), shaped = options.output_shape.size();
  require(padded == 0 || padded == spatial.size(), "output_padding needs one value a spatial axis", padded, spatial.size());
  require(shaped == 0 || shaped == spatial.size() || shaped == spatial.size() + 2, "output_shape needs one size a spatial axis",
          shaped, spatial.size());
}

// The attributes as those of a convolution over an input that any window fits; its sizes are to be set.
Window window_of(Ints spatial, WindowOptions options) {
  options.kernel = spatial;
  Shape large{1, 1};
  for (size_t a = 0; a < spatial.size(); ++a) {
    const int64_t dilation = a < options.dilations.size() ? options.dilations[a] : 1;
    large.push_back(checked_add(checked_mul(spatial[a], dilation, "dilated kernel"), 1, "dilated kernel"));
  }
  return make_window(large, options);
}

}  // namespace

ConvGeometry make_conv_transpose_geometry(const Shape& x, const Shape& w, int64_t groups,
                                          const TransposedWindowOptions& options) {
  check_operands(x, w, groups, options);
  const Ints spatial = w.dims().subspan(2);
  const Ints wanted = options.output_shape.last(std::min(options.output_shape.size(), spatial.size()));
  const AutoPad auto_pad = options.window.auto_pad;
  const bool upper = auto_pad == AutoPad::kSameUpper, same = upper || auto_pad == AutoPad::kSameLower;
  ConvGeometry g{.channels = checked_mul(w[1], groups, "channels"),
                 .filters = w[0],
                 .groups = groups,
                 .window = window_of(spatial, options.window)};
  for (size_t a = 0; a < spatial.size(); ++a) {
    const size_t at = 3 - spatial.size() + a;
    const int64_t input = x[static_cast<int>(a) + 2], extra = options.output_padding.empty() ? 0 : options.output_padding[a];
    require(input >= 1 && extra >= 0, "a transposed convolution needs sizes of at least 1 and no negative output_padding", input,
            extra);
    const int64_t full = full_size(g.window, at, input, extra);
    Pads pads{g.window.pad_begin[at], g.window.pad_end[at]};
    if (!wanted.empty())
      pads = pads_for(full, wanted[a], upper);
    else if (same)
      pads = pads_for(full, checked_mul(input, g.window.stride[at], "output"), upper);
    const int64_t output = full - checked_add(pads.begin, pads.end, "pads");
    require(output >= 1, "pads take the whole output of a transposed convolution (full size, begin, end)", full, pads.begin,
            pads.end);
    g.window.input[at] = output;
    g.window.output[at] = input;
    g.window.pad_begin[at] = pads.begin;
    g.window.pad_end[at] = pads.end - extra;
  }
  g.input_shape(1);  // its product is checked
  return g;
}

}  // namespace tandem
