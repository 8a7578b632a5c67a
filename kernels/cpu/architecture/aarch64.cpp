// The tiers of 64-bit Arm, by the kernel's auxiliary vector: what the processor has, and the kernels of each. Compiled without tier flags.
#include <asm/hwcap.h>
#include <sys/auxv.h>

#include "kernels/api/isa.h"
#include "kernels/cpu/bf16/tiers.h"
#include "kernels/cpu/channels_last/tiers.h"
#include "kernels/cpu/gemm/far_weights.h"
#include "kernels/cpu/gemm/integer_tier.h"
#include "kernels/cpu/gemm/tiers.h"
#include "kernels/cpu/machine/ceilings.h"
#include "kernels/cpu/simd/block_dots.h"
#include "kernels/cpu/stream_copy.h"

namespace tandem::cpu {
namespace {

bool has_dotprod() { return (::getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
bool has_i8mm() { return has_dotprod() && (::getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }
bool has_bf16() { return has_i8mm() && (::getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0; }

}  // namespace

bool machine_has(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
    case Isa::kNeon: return true;  // part of the architecture
    case Isa::kDotprod: return has_dotprod();
    case Isa::kI8mm: return has_i8mm();
    case Isa::kBf16: return has_bf16();
    default: return false;
  }
}

template <>
const GemmTier<float>& gemm_tier<float>(Isa isa) {
  return isa >= Isa::kNeon ? kNeonF32 : kPortableF32;
}
template <>
const GemmTier<float>& gemm_tier<float>(Isa isa, int64_t) {
  return gemm_tier<float>(isa);
}

bool reads_best_in_streams() { return true; }
bool multiplies_from_second_level() { return false; }
size_t far_copy_bytes() { return size_t{1} << 20; }

const ChannelsLastTier& channels_last_tier(Isa isa) { return isa >= Isa::kNeon ? kNeonChannelsLast : kPortableChannelsLast; }

const IntegerTier& integer_tier(Isa isa) {
  if (isa >= Isa::kI8mm) return kI8mmIntegers;
  if (isa >= Isa::kDotprod) return kDotprodIntegers;
  if (isa >= Isa::kNeon) return kNeonIntegers;
  return kPortableIntegers;
}

const simd::BlockDotOps* nibble_dots(Isa) { return nullptr; }

const Bf16Kernel& bf16_kernel(Isa isa) {
  if (isa >= Isa::kBf16) return kMatrixBf16;
  if (isa >= Isa::kNeon) return kNeonBf16;
  return kPortableBf16;
}

std::vector<const ArithmeticProbe*> arithmetic_probes(Isa isa) {
  std::vector<const ArithmeticProbe*> probes = {&kPortableF32Probe};
  if (isa >= Isa::kNeon) probes.push_back(&kNeonF32Probe);
  if (isa >= Isa::kBf16) probes.push_back(&kMatrixBf16Probe);
  if (isa >= Isa::kDotprod) probes.push_back(&kDotprodProbe);
  if (isa >= Isa::kI8mm) probes.push_back(&kI8mmProbe);
  return probes;
}
std::vector<const StreamProbe*> stream_probes() { return {&kPortableStream}; }

}  // namespace tandem::cpu
