// From the name of a tier to its kernels. Compiled without tier flags.
#include "kernels/cpu/gemm/tiers.h"

namespace tandem::cpu {

template <>
const GemmTier<float>& gemm_tier<float>([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::kAvx512) return kAvx512F32;
  if (isa >= Isa::kAvx2) return kAvx2F32;
#endif
  return kPortableF32;
}

template <>
const GemmTier<double>& gemm_tier<double>(Isa) {
  return kPortableF64;
}

}  // namespace tandem::cpu
