// Lines of quantized numbers, and their sum or product (kernels/api/quantized_elementwise.h) as the tiers take them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/api/elementwise.h"
#include "kernels/api/quantize.h"
#include "kernels/api/quantized_elementwise.h"

namespace tandem::cpu {

// A line of bytes that stand for (u8 of (byte ^ flip) - zero) * scale.
struct LineOperand {
  const std::byte* data;
  int64_t step;  // 0: the same number for all
  std::byte flip;
  float scale;
  int32_t zero;
};
// Their sum or product divided by the scale, without a division: a * a_factor + b * b_factor + addend, or (a - addend) * (b -
// b_factor) * a_factor. Right where the result is no farther than `limit` from a whole number; negative: nowhere.
struct QuickCombination {
  float a_factor, b_factor, addend, limit;
};
struct LineResult {
  BinaryOp op;  // kAdd or kMul
  float scale, zero, lowest, highest;
  QuickCombination quick;
  QuickResidual exact_sum = {};  // of a sum, where such a formula is known: then no result is near a tie
};
// i8 as u8, whose zero point is 128 more: the differences are the same.
LineOperand line_operand(const QuantizedOperand& operand, int64_t step);
// Bytes of y's range as op, a and b give them.
LineResult line_result(BinaryOp op, const LineOperand& a, const LineOperand& b, float scale, float zero, IntegerRange range);

// out = quantized(op(a, b)) of n numbers, in the arithmetic of kernels/api/quantize.h.
using CombineLines = void (*)(const LineOperand& a, const LineOperand& b, int64_t n, const LineResult&, std::byte* out);

// out[j] = clamp(round(u8 of (x[j] ^ flip) * factor[j] + addend[j]) + zero), with one rounding before; clamped to the type's range, which y's is.
using ScaleLine = void (*)(const LineOperand& x, const float* factor, const float* addend, int64_t n, const LineResult& y, std::byte* out);

// A sum that follows a product: of its bytes where they lie, and of others at the same places.
struct ResidualLines {
  LineOperand own, other;
  LineResult result;
  CombineLines combine = nullptr;

  ResidualLines at(int64_t place) const {
    ResidualLines lines = *this;
    lines.own.data += place, lines.other.data += place;
    return lines;
  }
  void add(int64_t place, int64_t n, std::byte* out) const {
    const ResidualLines lines = at(place);
    combine(lines.own, lines.other, n, result, out);
  }
};

}  // namespace tandem::cpu
