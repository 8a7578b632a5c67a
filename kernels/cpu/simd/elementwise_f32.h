// f32 elementwise loops over contiguous memory, compiled once per instruction set and chosen at the first call (TANDEM_ISA).
#pragma once

#include <cstdint>

#include "kernels/api/elementwise.h"

namespace tandem::cpu::simd {

void unary(UnaryOp op, const float* x, float* y, int64_t n, UnaryParameters parameters);
void unary_backward(UnaryGradOp op, const float* saved, const float* dy, float* dx, int64_t n, UnaryParameters parameters);
// op is one of add to max. A stride is 0 (the same element for all) or 1.
void binary(BinaryOp op, const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* y, int64_t n);
void clip(const float* x, float low, float high, float* y, int64_t n);

}  // namespace tandem::cpu::simd
