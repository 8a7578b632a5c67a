// The sliding window that convolution and pooling share: sizes, strides, dilations and pads over 1 to 3 spatial axes.
//
// Missing leading axes are filled with ones, so that a kernel sees three axes always: [depth, height, width].
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/base/shape.h"

namespace tandem {

enum class AutoPad : uint8_t { kNotSet, kValid, kSameUpper, kSameLower };

// As in the attributes of ONNX Conv, MaxPool and AveragePool. Empty: strides and dilations 1, pads 0.
struct WindowOptions {
  std::span<const int64_t> kernel;     // one a spatial axis
  std::span<const int64_t> strides = {};
  std::span<const int64_t> dilations = {};
  std::span<const int64_t> pads = {};  // all begins, then all ends; ignored unless auto_pad is kNotSet
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;              // output size rounded up; a window never starts beyond the input and its begin pad
};

struct Window {
  using Sizes = std::array<int64_t, 3>;
  int rank = 2;  // spatial axes of the tensor
  Sizes input{1, 1, 1}, kernel{1, 1, 1}, output{1, 1, 1};
  Sizes stride{1, 1, 1}, dilation{1, 1, 1}, pad_begin{0, 0, 0}, pad_end{0, 0, 0};

  int64_t input_size() const { return input[0] * input[1] * input[2]; }
  int64_t kernel_size() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t output_size() const { return output[0] * output[1] * output[2]; }
};

// `x` is [batch, channels, spatial...] with 1 to 3 spatial axes. Throws InvalidArgument for attributes of the wrong length, sizes that
// are not positive, negative pads, or a window larger than the padded input.
Window make_window(const Shape& x, const WindowOptions& options);

}  // namespace tandem
