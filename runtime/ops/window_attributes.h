// The attributes and the shape rule that Conv, MaxPool and AveragePool share.
#pragma once

#include <vector>

#include "kernels/api/window.h"
#include "runtime/graph/contexts.h"

namespace tandem {

// kernel_shape, strides, dilations, pads, auto_pad and ceil_mode of one node, as they stand; checked by make_window.
struct WindowAttributes {
  explicit WindowAttributes(const NodeContext& node);
  // Points into this object.
  WindowOptions options() const;

  std::vector<int64_t> kernel, strides, dilations, pads;
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;
};

// [batch, channels, output...] of a window over x, which is [batch, ., input...]; spatial sizes that are not known stay so,
// but keep their symbol where the window does not change them. Throws InvalidArgument as make_window does, naming the node.
Dims window_dims(const NodeContext& node, const WindowAttributes& attributes, const Dims& x, const Dim& channels);

}  // namespace tandem
