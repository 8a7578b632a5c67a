// The end of a line of sums, shared by products and convolutions.
#pragma once

#include "kernels/api/integer_gemm.h"

namespace tandem::cpu {

// Puts sums [0, n), corrected for zero points, where element (row, column) of the result lies, quantized if so asked.
void finish_line(int32_t* sums, int64_t n, int64_t row, int64_t column, const IntegerResult& result);

}  // namespace tandem::cpu
