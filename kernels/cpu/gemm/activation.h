// Activations that need more than a maximum: applied to a block of C while it is still in cache.
#pragma once

#include <cstdint>

#include "kernels/api/gemm.h"

namespace tandem::cpu {

// In place on c[rows, cols]; none does nothing. T is float or double.
template <class T>
void activate(const Activation& activation, T* c, int64_t ldc, int64_t rows, int64_t cols);

// In place on c[rows, cols]: times the slope of the activation that saved `saved`, laid out as c (UnaryGradOp without
// parameters).
template <class T>
void multiply_by_slope(UnaryGradOp slope, const T* saved, T* c, int64_t ldc, int64_t rows, int64_t cols);

// Whether the register tile does it while storing.
constexpr bool in_tile(const Activation& activation) { return !activation || activation.is(UnaryOp::kRelu); }

}  // namespace tandem::cpu
