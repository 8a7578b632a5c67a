// Doubles have one tier on every machine; those of floats are chosen in kernels/cpu/architecture/.
#include "kernels/cpu/gemm/tiers.h"

namespace tandem::cpu {

template <>
const GemmTier<double>& gemm_tier<double>(Isa) {
  return kPortableF64;
}

template <>
const GemmTier<double>& gemm_tier<double>(Isa isa, int64_t) {
  return gemm_tier<double>(isa);
}

}  // namespace tandem::cpu
