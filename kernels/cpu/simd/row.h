// SIMD primitives on contiguous runs of numbers: what softmax, losses and normalisations are made of.
//
// The table for the best instruction set of this machine is chosen by Highway at run time. Within one table the order of
// every sum depends on `n` alone, so results do not depend on who calls or on how many threads do.
#pragma once

#include <cstdint>

namespace tandem::cpu::simd {

template <class T>
struct Range {
  T lowest, highest;
};

// `out` may be equal to an input, but not overlap it otherwise.
template <class T>
struct RowOps {
  T (*max)(const T* x, int64_t n);           // -inf for n = 0; a NaN may be dropped
  Range<T> (*range)(const T* x, int64_t n);  // of the numbers, NaNs are looked over; inf and -inf if there are none
  T (*sum)(const T* x, int64_t n);
  // sum of (x - center) * y
  T (*dot)(const T* x, const T* y, int64_t n, T center);
  // sum of (x - center)^2
  T (*squared_deviation)(const T* x, int64_t n, T center);
  // sum of exp(x - shift)
  T (*sum_exp)(const T* x, int64_t n, T shift);
  // out = exp(x - shift); returns the sum
  T (*exp)(const T* x, T* out, int64_t n, T shift);
  // out = scale * x + offset
  void (*affine)(const T* x, T* out, int64_t n, T scale, T offset);
  // out = x_scale * x + y_scale * y + offset
  void (*combine)(const T* x, const T* y, T* out, int64_t n, T x_scale, T y_scale, T offset);
  // out = x * y + z
  void (*multiply_add)(const T* x, const T* y, const T* z, T* out, int64_t n);
  // out = x * (y + offset)
  void (*product)(const T* x, const T* y, T* out, int64_t n, T offset);
  // out = x - scale * exp(y)
  void (*minus_scaled_exp)(const T* x, const T* y, T* out, int64_t n, T scale);
};

template <class T>
const RowOps<T>& row_ops();
template <>
const RowOps<float>& row_ops<float>();
template <>
const RowOps<double>& row_ops<double>();

}  // namespace tandem::cpu::simd
