// Architectures without tiers of their own: the portable one.
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

bool machine_has(Isa isa) { return isa == Isa::kPortable; }

template <>
const GemmTier<float>& gemm_tier<float>(Isa) {
  return kPortableF32;
}
template <>
const GemmTier<float>& gemm_tier<float>(Isa isa, int64_t) {
  return gemm_tier<float>(isa);
}

bool reads_best_in_streams() { return true; }
bool multiplies_from_second_level() { return false; }
size_t far_copy_bytes() { return size_t{1} << 20; }

const ChannelsLastTier& channels_last_tier(Isa) { return kPortableChannelsLast; }
const IntegerTier& integer_tier(Isa) { return kPortableIntegers; }
const simd::BlockDotOps* nibble_dots(Isa) { return nullptr; }

const Bf16Kernel& bf16_kernel(Isa) { return kPortableBf16; }

std::vector<const ArithmeticProbe*> arithmetic_probes(Isa) { return {&kPortableF32Probe}; }
std::vector<const StreamProbe*> stream_probes() { return {&kPortableStream}; }

}  // namespace tandem::cpu
