#include "runtime/ops/window_attributes.h"

#include "runtime/ops/dim_algebra.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

AutoPad auto_pad_of(const NodeContext& node) {
  const std::string text = node.get_string("auto_pad", "NOTSET");
  if (text == "NOTSET") return AutoPad::kNotSet;
  if (text == "VALID") return AutoPad::kValid;
  if (text == "SAME_UPPER") return AutoPad::kSameUpper;
  if (text == "SAME_LOWER") return AutoPad::kSameLower;
  node.reject("auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER", text);
}

// A size at which any sane window fits, to check the attributes of an axis whose size is not known yet.
int64_t probe_size(const WindowAttributes& attributes, size_t axis) {
  const int64_t dilation = axis < attributes.dilations.size() ? attributes.dilations[axis] : 1;
  return checked_add(checked_mul(attributes.kernel[axis], dilation, "window"), 1, "window");
}

// The size that a window leaves of one that is a symbol; unknown where it rounds up and the last window might start behind the end.
Dim window_size(const WindowAttributes& attributes, const Window& window, size_t spatial_axis, const Dim& size) {
  const size_t axis = spatial_axis + 3 - attributes.kernel.size();  // a Window has three axes, the last ones in use
  const int64_t stride = window.stride[axis];
  if (window.output[axis] == window.input[axis] && stride == 1) return size;
  if (attributes.auto_pad == AutoPad::kSameUpper || attributes.auto_pad == AutoPad::kSameLower) return ceil_quotient(size, stride);
  const int64_t reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
  const Dim room = shifted(size, window.pad_begin[axis] + window.pad_end[axis] - reach);
  if (!attributes.ceil_mode) return shifted(floor_quotient(room, stride), 1);
  return window.pad_end[axis] + stride <= reach ? shifted(ceil_quotient(room, stride), 1) : Dim();
}

}  // namespace

WindowAttributes::WindowAttributes(const NodeContext& node)
    : kernel(node.get_ints("kernel_shape")),
      strides(node.get_ints("strides")),
      dilations(node.get_ints("dilations")),
      pads(node.get_ints("pads")),
      auto_pad(auto_pad_of(node)),
      ceil_mode(node.get_int("ceil_mode", 0) != 0) {}

WindowOptions WindowAttributes::options() const {
  return {
      .kernel = kernel, .strides = strides, .dilations = dilations, .pads = pads, .auto_pad = auto_pad, .ceil_mode = ceil_mode};
}

Dims window_dims(const NodeContext& node, const WindowAttributes& attributes, const Dims& x, const Dim& channels) {
  const size_t spatial = x.size() - 2;
  node.require(attributes.kernel.size() == spatial, "kernel_shape needs one size a spatial axis (sizes, axes)",
               attributes.kernel.size(), spatial);
  return naming(node, [&] {
    Shape probe{1, 1};
    for (size_t i = 0; i < spatial; ++i)
      probe.push_back(x[i + 2].known() ? x[i + 2].size : std::max<int64_t>(probe_size(attributes, i), 1));
    const Window window = make_window(probe, attributes.options());
    Dims y = {x[0], channels};
    for (size_t i = 0; i < spatial; ++i)
      y.push_back(x[i + 2].known() ? Dim(window.output[i + 3 - spatial]) : window_size(attributes, window, i, x[i + 2]));
    return y;
  });
}

}  // namespace tandem
