// The gradient to the input of a convolution at stride 1 is a convolution too: of dY, with filters and channels exchanged and the taps turned round.
#pragma once

#include <utility>

#include "kernels/api/conv.h"

namespace tandem::cpu {

inline ConvGeometry input_grad_geometry(const ConvGeometry& g) {
  ConvGeometry turned = g;
  std::swap(turned.channels, turned.filters);
  std::swap(turned.window.input, turned.window.output);
  for (size_t axis = 0; axis < 3; ++axis) {
    const int64_t reach = (g.window.kernel[axis] - 1) * g.window.dilation[axis];
    turned.window.pad_begin[axis] = reach - g.window.pad_begin[axis];
    turned.window.pad_end[axis] = reach - g.window.pad_end[axis];
  }
  return turned;
}

// At stride 1, and its pads are not negative.
inline bool has_turned_form(const ConvGeometry& g) {
  const Window& w = g.window;
  for (size_t axis = 0; axis < 3; ++axis) {
    const int64_t reach = (w.kernel[axis] - 1) * w.dilation[axis];
    if (w.stride[axis] != 1 || w.pad_begin[axis] > reach || w.pad_end[axis] > reach) return false;
  }
  return true;
}

}  // namespace tandem::cpu
