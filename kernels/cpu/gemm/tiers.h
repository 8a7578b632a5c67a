// The tiers that exist, one file each. A new one is a file, a line here and a line in tiers.cpp.
#pragma once

#include "kernels/cpu/gemm/tier.h"

namespace tandem::cpu {

extern const GemmTier<float> kPortableF32;
extern const GemmTier<double> kPortableF64;
#if defined(__x86_64__)
extern const GemmTier<float> kAvx2F32;
extern const GemmTier<float> kAvx512F32;
extern const GemmTier<float> kAvx512WideF32;  // of wide products
#endif

}  // namespace tandem::cpu
