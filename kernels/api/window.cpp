// Window arithmetic of ONNX Conv-22, MaxPool-22 and AveragePool-22. Sizes come from model files: every product and sum is checked.
#include "kernels/api/window.h"

#include <algorithm>

namespace tandem {
namespace {

// One attribute, right-aligned into three axes; absent: `fallback` everywhere.
Window::Sizes aligned(std::span<const int64_t> values, int rank, int64_t fallback, int64_t least, std::string_view what) {
  Window::Sizes sizes{fallback, fallback, fallback};
  if (values.empty()) return sizes;
  require(static_cast<int>(values.size()) == rank, "window attribute needs one value a spatial axis", what, values.size(), rank);
  for (int i = 0; i < rank; ++i) {
    const int64_t value = values[static_cast<size_t>(i)];
    require(value >= least, "window attribute is too small", what, value);
    sizes[static_cast<size_t>(3 - rank + i)] = value;
  }
  return sizes;
}

// Output size of one axis by the explicit pads.
int64_t padded_output(const Window& w, size_t axis, int64_t reach, bool ceil_mode) {
  const int64_t padded = checked_add(checked_add(w.input[axis], w.pad_begin[axis], "padded size"), w.pad_end[axis], "padded size");
  const int64_t spare = ceil_mode ? w.stride[axis] - 1 : 0;  // rounding up lets the only window reach over the end
  require(reach - spare <= padded, "window is larger than the padded input", reach, padded);
  const int64_t room = std::max<int64_t>(0, padded - reach);
  int64_t output = (ceil_mode ? ceil_div(room, w.stride[axis]) : room / w.stride[axis]) + 1;
  // The last window must start inside the input or its begin pad.
  if (ceil_mode && checked_mul(output - 1, w.stride[axis], "window start") >= w.input[axis] + w.pad_begin[axis]) --output;
  return output;
}

// SAME: output = ceil(input / stride), the pads shared between both sides, the odd one at the end (upper) or the begin (lower).
void pad_to_same(Window& w, size_t axis, int64_t reach, bool upper) {
  w.output[axis] = ceil_div(w.input[axis], w.stride[axis]);
  const int64_t needed = std::max<int64_t>(0, checked_add(checked_mul(w.output[axis] - 1, w.stride[axis]), reach) - w.input[axis]);
  w.pad_begin[axis] = upper ? needed / 2 : needed - needed / 2;
  w.pad_end[axis] = needed - w.pad_begin[axis];
}

}  // namespace

Window make_window(const Shape& x, const WindowOptions& options) {
  Window w;
  w.rank = x.rank() - 2;
  require(w.rank >= 1 && w.rank <= 3, "a windowed op needs [batch, channels, 1 to 3 spatial axes]", to_string(x));
  require(static_cast<int>(options.kernel.size()) == w.rank, "kernel needs one size a spatial axis", options.kernel.size(), w.rank);
  for (int i = 0; i < w.rank; ++i) {
    require(x[2 + i] >= 1, "a windowed op needs spatial sizes of at least 1", to_string(x));
    w.input[static_cast<size_t>(3 - w.rank + i)] = x[2 + i];
  }
  w.kernel = aligned(options.kernel, w.rank, 1, 1, "kernel_shape");
  w.stride = aligned(options.strides, w.rank, 1, 1, "strides");
  w.dilation = aligned(options.dilations, w.rank, 1, 1, "dilations");
  if (options.auto_pad == AutoPad::kNotSet && !options.pads.empty()) {
    require(static_cast<int>(options.pads.size()) == 2 * w.rank, "pads need two values a spatial axis", options.pads.size(), w.rank);
    const auto half = static_cast<size_t>(w.rank);
    w.pad_begin = aligned(options.pads.first(half), w.rank, 0, 0, "pads");
    w.pad_end = aligned(options.pads.last(half), w.rank, 0, 0, "pads");
  }
  for (size_t axis = static_cast<size_t>(3 - w.rank); axis < 3; ++axis) {
    const int64_t reach = checked_add(checked_mul(w.kernel[axis] - 1, w.dilation[axis], "dilated kernel"), 1, "dilated kernel");
    if (options.auto_pad == AutoPad::kSameUpper || options.auto_pad == AutoPad::kSameLower)
      pad_to_same(w, axis, reach, options.auto_pad == AutoPad::kSameUpper);
    else
      w.output[axis] = padded_output(w, axis, reach, options.ceil_mode);
  }
  checked_mul(checked_mul(w.kernel[0], w.kernel[1], "window"), w.kernel[2], "window");
  checked_mul(checked_mul(w.output[0], w.output[1], "output"), w.output[2], "output");
  return w;
}

}  // namespace tandem
