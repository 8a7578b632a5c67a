// Linear quantization: the one definition of its arithmetic, where scales lie, and the kernels on whole tensors.
//
//   quantized   = saturate(round(x / scale) + zero)      rounded half to even; NaN becomes the lowest number
//   dequantized = (q - zero) * scale
//
// Integers of 2 to 16 bits; float8 and float4 take x / scale + zero as a cast does. Source: ONNX QuantizeLinear-25.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/base/kernel_context.h"
#include "kernels/base/narrow_convert.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// The range of a quantized integer type; throws InvalidArgument for another.
struct IntegerRange {
  float lowest, highest;
};
IntegerRange quantized_range(DType type);

// The integer nearest to x, ties to even, for |x| <= 2^22: what adding 1.5 * 2^23 leaves in the low bits. Vectorises everywhere.
constexpr int32_t nearest_integer(float x) { return std::bit_cast<int32_t>(x + 12582912.0f) - 0x4B400000; }

// `quotient` is x / scale; `zero` a whole number within the range.
constexpr int32_t quantized(float quotient, float zero, IntegerRange range) {
  const float lowest = range.lowest - zero, highest = range.highest - zero;
  const float raised = quotient > lowest ? quotient : lowest;
  return nearest_integer(raised < highest ? raised : highest) + static_cast<int32_t>(zero);
}
constexpr float dequantized(float q, float zero, float scale) { return (q - zero) * scale; }

// Which scale (and zero point) belongs to which element of x, seen around the axis as [outer, length, inner].
struct QuantizationGrid {
  int64_t outer = 1, length = 1, inner = 1;
  int64_t block = 1;  // neighbours along the axis that share a scale
  // From one index to the next in the tensor of scales. All 0: there is one scale.
  int64_t outer_stride = 0, block_stride = 0, inner_stride = 0;
};
// One scale: a scalar or [1]. One a position of `axis`: 1-D. Blocks of `block_size` > 0 along `axis`: the shape of x but for the
// axis, which has ceil(dim / block_size). Throws InvalidArgument naming the shapes otherwise.
QuantizationGrid make_grid(const Shape& x, const Shape& scale, int64_t axis, int64_t block_size);

// What DynamicQuantizeLinear chooses for values between `low` and `high` (which it widens to hold 0).
struct Quantization {
  float scale;
  uint8_t zero;
};
Quantization dynamic_quantization(float low, float high);

}  // namespace tandem

namespace tandem::cpu {

struct QuantizeOptions {
  DType precision = DType::kF32;  // f32, f16 or bf16: what the quotient is rounded to
  bool saturate = true;           // of float8
};

// x: f32, f16, bf16 or i32; scale: the same or float8e8m0; zero: null (0) or of y's type and scale's shape; y: a quantized type.
void quantize_linear(const KernelContext&, const QuantizationGrid&, ConstTensorView x, ConstTensorView scale,
                     ConstTensorView zero, TensorView y, QuantizeOptions options = {});
// x: a quantized type or i32; zero: null or of x's type; y: f32, f16 or bf16.
void dequantize_linear(const KernelContext&, const QuantizationGrid&, ConstTensorView x, ConstTensorView scale,
                       ConstTensorView zero, TensorView y);
// y u8, scale f32 and zero u8 of one element each, from the values of x (f32); NaNs are looked over.
void dynamic_quantize_linear(const KernelContext&, ConstTensorView x, TensorView y, TensorView scale, TensorView zero);

}  // namespace tandem::cpu
