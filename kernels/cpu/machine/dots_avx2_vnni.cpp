// The dot product of bytes in 256 bits (vpdpbusd), as AVX-VNNI and as AVX-512 VNNI write it.
#include <immintrin.h>

#include "kernels/cpu/machine/probes.h"

namespace tandem::cpu {
namespace {

constexpr int kChains = 12;

template <bool kVex>
float run(int64_t steps) {
  __m256i sums[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sums[i] = _mm256_set1_epi32(i);  // different, or they would be one
  const __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);    // not zero: those might let the clock rise
  for (int64_t s = 0; s < steps; ++s)
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) {
      if constexpr (kVex)
        asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums[i]) : "x"(a), "x"(b));
      else
        asm("%{evex%} vpdpbusd %2, %1, %0" : "+x"(sums[i]) : "x"(a), "x"(b));
    }
  __m256i total = _mm256_setzero_si256();
#pragma GCC unroll 16
  for (const __m256i& sum : sums) total = _mm256_add_epi32(total, sum);
  return static_cast<float>(_mm256_cvtsi256_si32(total));
}

constexpr const char* kName = "int8 VNNI, 256 bits";
constexpr double kOperations = 2.0 * 32 * kChains;

}  // namespace

constinit const ArithmeticProbe kAvx2VnniProbe{kName, Arithmetic::kInt8, kOperations, run<true>};
constinit const ArithmeticProbe kAvx2VnniEvexProbe{kName, Arithmetic::kInt8, kOperations, run<false>};

}  // namespace tandem::cpu
