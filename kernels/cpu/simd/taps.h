// A few rows of equal length folded into one, element by element: what pooling over channels that lie side by side is made of.
#pragma once

#include <cstdint>

namespace tandem::cpu::simd {

// `rows`: `count` >= 1 pointers to `n` elements each. `out` may be one of the rows.
struct TapOps {
  // The largest; a NaN among them is.
  void (*max_f32)(const float* const* rows, int64_t count, int64_t n, float* out);
  void (*max_u8)(const uint8_t* const* rows, int64_t count, int64_t n, uint8_t* out);
  void (*max_i8)(const int8_t* const* rows, int64_t count, int64_t n, int8_t* out);
  // scale * ((row 0 + row 1) + ...)
  void (*sum_f32)(const float* const* rows, int64_t count, int64_t n, float scale, float* out);
};

// For the best instruction set, or that of TANDEM_ISA.
const TapOps& tap_ops();

}  // namespace tandem::cpu::simd
