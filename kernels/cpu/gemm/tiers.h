// The tiers that exist, one file each. A new one is a file, a line here and a line in kernels/cpu/architecture/.
#pragma once

#include "kernels/cpu/gemm/tier.h"

namespace tandem::cpu {

extern const GemmTier<float> kPortableF32;
extern const GemmTier<double> kPortableF64;
extern const GemmTier<float> kAvx2F32;
extern const GemmTier<float> kAvx512F32;
extern const GemmTier<float> kAvx512WideF32;  // of wide products
extern const GemmTier<float> kNeonF32;

}  // namespace tandem::cpu
