// The tiers of x86-64, by cpuid: what the processor has, and the kernels of each. Compiled without tier flags.
//
// The compiler's __builtin_cpu_supports also asks XGETBV whether the operating system saves the wide registers.
#include "kernels/api/isa.h"
#include "kernels/cpu/amx_permission.h"
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

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
// The dot products of bytes in 256 bits, of either kind.
bool has_avx_vnni() { return has_avx2() && __builtin_cpu_supports("avxvnni"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool has_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

}  // namespace

bool machine_has(Isa isa) {
  switch (isa) {
    case Isa::kPortable: return true;
    case Isa::kAvx2: return has_avx2();
    case Isa::kAvx2Vnni: return has_avx_vnni() || has_vnni();
    case Isa::kAvx512: return has_avx512();
    case Isa::kVnni: return has_vnni();
    case Isa::kAmx: return has_vnni() && amx_is_permitted();
    default: return false;
  }
}

template <>
const GemmTier<float>& gemm_tier<float>(Isa isa) {
  if (isa >= Isa::kAvx512) return kAvx512F32;
  if (isa >= Isa::kAvx2) return kAvx2F32;
  return kPortableF32;
}

template <>
const GemmTier<float>& gemm_tier<float>(Isa isa, int64_t n) {
  constexpr int64_t kWide = 480;  // columns, ten panels
  if (isa >= Isa::kAvx512 && n >= kWide) return kAvx512WideF32;
  return gemm_tier<float>(isa);
}

bool reads_best_in_streams() {
  // Measured: Sapphire Rapids gives a third more to four streams, Zen 4 a seventh more to one that no prefetch instruction disturbs.
  static const bool is_amd = __builtin_cpu_is("amd");
  return !is_amd;
}

bool multiplies_from_second_level() {
  // Measured: on Zen 4 tiles of 512 steps are as fast on either, and its first-level cache, of 32 KiB, would be full of a block of weights. On Sapphire
  // Rapids lines from the second level take their share of the loads.
  static const bool is_amd = __builtin_cpu_is("amd");
  return is_amd;
}

size_t far_copy_bytes() {
  // Measured: Zen 4 reads 1.5 MiB of keys again from its third-level cache in half the time, and 6 MiB no sooner than from memory; Sapphire Rapids gains by
  // passing its caches from 1 MiB on.
  static const bool is_amd = __builtin_cpu_is("amd");
  return size_t{1} << (is_amd ? 22 : 20);
}

const ChannelsLastTier& channels_last_tier(Isa isa) {
  if (isa >= Isa::kAvx512) return kAvx512ChannelsLast;
  if (isa >= Isa::kAvx2) return kAvx2ChannelsLast;
  return kPortableChannelsLast;
}

const IntegerTier& integer_tier(Isa isa) {
  if (isa >= Isa::kAmx) return kAmxIntegers;
  if (isa >= Isa::kVnni) return kVnniIntegers;
  if (isa >= Isa::kAvx512) return kAvx512Integers;
  if (isa >= Isa::kAvx2Vnni) return has_avx_vnni() ? kAvx2VnniIntegers : kAvx2VnniEvexIntegers;
  if (isa >= Isa::kAvx2) return kAvx2Integers;
  return kPortableIntegers;
}

const simd::BlockDotOps* nibble_dots(Isa isa) { return isa >= Isa::kVnni ? &simd::kVnniNibbleDots : nullptr; }

const Bf16Kernel& bf16_kernel(Isa isa) {
  static const bool has_pairs = __builtin_cpu_supports("avx512bf16");
  if (isa >= Isa::kAmx && has_pairs) return kAmxBf16;
  if (isa >= Isa::kVnni && has_pairs) return kPairsBf16;
  if (isa >= Isa::kAvx512) return kAvx512Bf16;
  if (isa >= Isa::kAvx2) return kAvx2Bf16;
  return kPortableBf16;
}

std::vector<const ArithmeticProbe*> arithmetic_probes(Isa isa) {
  std::vector<const ArithmeticProbe*> probes = {&kPortableF32Probe};
  if (isa >= Isa::kAvx2) probes.push_back(&kAvx2F32Probe);
  if (isa >= Isa::kAvx512) probes.push_back(&kAvx512F32Probe);
  if (isa >= Isa::kAvx512 && __builtin_cpu_supports("avx512bf16")) probes.push_back(&kBf16Probe);
  if (isa >= Isa::kAmx) probes.push_back(&kAmxBf16Probe);
  if (isa >= Isa::kAvx2Vnni && machine_has(Isa::kAvx2Vnni)) probes.push_back(has_avx_vnni() ? &kAvx2VnniProbe : &kAvx2VnniEvexProbe);
  if (isa >= Isa::kVnni) probes.push_back(&kVnniProbe);
  if (isa >= Isa::kAmx) probes.push_back(&kAmxInt8Probe);
  return probes;
}

std::vector<const StreamProbe*> stream_probes() {
  std::vector<const StreamProbe*> probes = {&kPortableStream};
  if (has_avx2()) probes.push_back(&kAvx2Stream);
  if (has_avx512()) probes.push_back(&kAvx512Stream);
  return probes;
}

}  // namespace tandem::cpu
