// From the name of a tier to its kernels. Compiled without tier flags.
#include "kernels/cpu/bf16/tiers.h"

namespace tandem::cpu {

const Bf16Kernel& bf16_kernel([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  static const bool has_pairs = __builtin_cpu_supports("avx512bf16");
  if (isa >= Isa::kAmx && has_pairs) return kAmxBf16;
  if (isa >= Isa::kVnni && has_pairs) return kPairsBf16;
  if (isa >= Isa::kAvx512) return kAvx512Bf16;
  if (isa >= Isa::kAvx2) return kAvx2Bf16;
#endif
  return kPortableBf16;
}

}  // namespace tandem::cpu
