// Functions of quantized numbers, element by element: the same f32 arithmetic as DequantizeLinear, the function and
// QuantizeLinear one after another, bit for bit, without the f32 tensors between them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "kernels/api/elementwise.h"
#include "kernels/api/isa.h"
#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// Bytes and what they stand for: (q - zero) * scale.
struct QuantizedOperand {
  ConstTensorView x;  // u8 or i8
  float scale = 1;
  int32_t zero = 0;
};

// The sum of two bytes in whole numbers, both as u8 (i8: 128 more), its zero point included: with low = own * own_low + other * other_low + fraction,
//   ((low >> 15) + own * own_high + other * other_high) >> shift
// plus `addend`, clamped to 0 and 255. `is_exact`: right for all 65,536 pairs of bytes.
struct WholeResidual {
  static constexpr int kLowBits = 15;  // of a factor
  bool is_exact = false;
  int16_t own_high = 0, own_low = 0, other_high = 0, other_low = 0;
  int32_t fraction = 0, addend = 0;
  int shift = 0;
};

// The sum of two bytes, before its zero point, as two multiply-adds: (own - own_zero) * own_factor + other * other_factor + addend, `other` as u8
// (i8: 128 more), rounded. `is_exact`: tried on all 65,536 pairs of bytes, and right for each.
struct QuickResidual {
  bool is_exact = false;
  float own_factor = 0, other_factor = 0, addend = 0;
  WholeResidual whole = {};  // for tiers that multiply 16 bits
};

// The product of two bytes, before its zero point, as one multiply-add: own * factor[s] + addend[s], rounded, with `own` as u8 (i8: 128 more) and s the
// bits of the other. `is_exact[s]`: tried on all 256 bytes `own`, and right for each.
struct QuickProducts {
  size_t operand = 0;  // the other: 0 for a, 1 for b
  std::array<float, 256> factor, addend;
  std::array<bool, 256> is_exact;
};

}  // namespace tandem

namespace tandem::cpu {

// y[i] = table[x[i]]; x, and the table of 256 in the order of bytes (of i8: 0 to 127, -128 to -1), are u8 or i8. y may be x.
void look_up(const KernelContext&, ConstTensorView x, ConstTensorView table, TensorView y);

// y = quantized(op(a, b) / y_scale, y_zero), op one of kAdd and kMul; a and b broadcast to y, which is u8 or i8.
// `products`: null, or what quick_products found of operands of the same types, scales and zero points, whatever their shapes; the result is the same.
void quantized_binary(const KernelContext&, BinaryOp op, const QuantizedOperand& a, const QuantizedOperand& b, float y_scale,
                      int32_t y_zero, TensorView y, const QuickProducts* products = nullptr);

// Of products of images, channels last, by one byte a channel: the bytes of a and b are not looked at. Null for other shapes, for scales far apart, and
// where the instruction set has no use for them.
std::shared_ptr<const QuickProducts> quick_products(const QuantizedOperand& a, const QuantizedOperand& b, float y_scale, int32_t y_zero,
                                                    const Shape& y, DType y_type, Isa isa = chosen_isa());

}  // namespace tandem::cpu
