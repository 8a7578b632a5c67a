// Transposed convolution (ONNX ConvTranspose-22): the input gradient of a convolution, taken forward.
//
//   x [batch, filters, spatial...]   w [filters, channels / groups, kernel...]   y [batch, channels, output...]
//
// Its geometry is that of the convolution from y to x, so `conv` and `conv_weight_grad` are its gradients: dx = conv(dy, w),
// dw = conv_weight_grad(dy, x).
#pragma once

#include "kernels/api/conv.h"

namespace tandem {

struct TransposedWindowOptions {
  WindowOptions window;                          // pads are ignored where output_shape is given
  std::span<const int64_t> output_padding = {};  // elements added behind the last one, one an axis
  std::span<const int64_t> output_shape = {};    // spatial sizes of y, with or without batch and channels in front
};

// Throws InvalidArgument saying which size is wrong and what it should be.
ConvGeometry make_conv_transpose_geometry(const Shape& x, const Shape& w, int64_t groups, const TransposedWindowOptions& options);

namespace cpu {

// y = conv_input_grad(w, x) + bias. f32 and f64; the workspace is that of conv_input_grad. `bias` is null or [channels].
void conv_transpose(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView w, ConstTensorView bias,
                    TensorView y);

}  // namespace cpu
}  // namespace tandem
