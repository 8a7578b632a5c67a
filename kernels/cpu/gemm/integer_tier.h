// What an instruction set brings to the product of 16-bit integers with 32-bit sums.
#pragma once

#include "kernels/api/integer_gemm.h"
#include "kernels/api/isa.h"

namespace tandem::cpu {

struct IntegerTier {
  int64_t columns;  // of one panel of B: [panel][ceil(k / 2)][columns][2], zeros where there is no k or no column
  // C = A B, with A [m][2 * ceil(k / 2)]; rows of C are `ldc` apart.
  void (*multiply)(const IntegerGemmShape&, const int16_t* a, const int16_t* b, int32_t* c, int64_t ldc);
};

const IntegerTier& integer_tier(Isa isa);

extern const IntegerTier kPortableIntegers;
#if defined(__x86_64__)
extern const IntegerTier kAvx2Integers;
extern const IntegerTier kAvx512Integers;
#endif

}  // namespace tandem::cpu
