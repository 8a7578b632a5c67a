// Runs of bf16 as whole numbers: exact conversions, denormals included, and maxima.
//
// The table for the best instruction set of this machine is chosen by Highway at run time. Bits are the same in all of them.
#pragma once

#include <cstdint>

#include "kernels/base/half.h"

namespace tandem::cpu::simd {

struct Bf16RowOps {
  // As to_bf16 and to_float; `x` and `y` do not overlap.
  void (*narrow)(const float* x, BF16* y, int64_t n);
  void (*widen)(const BF16* x, float* y, int64_t n);
  // y[i] = the largest of rows[r][i], of count > 0 rows. -0 is less than 0; NaN is above all. y may be one of the rows.
  void (*max)(const BF16* const* rows, int64_t count, BF16* y, int64_t n);
  // sums[i] = x[i] + x[stride + i] + ... of `rows` rows, in f32, in this order.
  void (*sum)(const BF16* x, int64_t stride, int64_t rows, float* sums, int64_t n);
};

const Bf16RowOps& bf16_row_ops();

}  // namespace tandem::cpu::simd
