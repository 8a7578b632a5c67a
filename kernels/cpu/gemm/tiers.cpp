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

template <>
const GemmTier<float>& gemm_tier<float>(Isa isa, [[maybe_unused]] int64_t n) {
#if defined(__x86_64__)
  constexpr int64_t kWide = 480;  // columns, ten panels
  if (isa >= Isa::kAvx512 && n >= kWide) return kAvx512WideF32;
#endif
  return gemm_tier<float>(isa);
}

template <>
const GemmTier<double>& gemm_tier<double>(Isa isa, int64_t) {
  return gemm_tier<double>(isa);
}

}  // namespace tandem::cpu
