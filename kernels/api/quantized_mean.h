// Means of quantized images over all of their pixels: exact sums, so that bits depend neither on an order nor on threads.
#pragma once

#include "kernels/api/quantized_elementwise.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem::cpu {

// y[image][channel] = the mean over the pixels of (x[image][pixel][channel] - zero) * scale, computed in f64 from the exact sum
// and rounded to f32; of no pixels NaN. x: [images, pixels..., channels] of u8 or i8; y: f32, images * channels elements in any
// shape.
void quantized_mean(const KernelContext&, const QuantizedOperand& x, TensorView y);

}  // namespace tandem::cpu
