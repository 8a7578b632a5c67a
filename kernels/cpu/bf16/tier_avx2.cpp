// Products of bf16 by AVX2: pairs are widened to f32, and multiplied by two FMAs.
#include <immintrin.h>

#include "kernels/cpu/bf16/make_kernel.h"
#include "kernels/cpu/bf16/tiers.h"

namespace tandem::cpu {
namespace {

struct Avx2 {
  static constexpr int kLanes = 8, kRows = 4, kPanels = 1;
  using Sum = __m256;
  struct Weights {
    __m256 even, odd;
  };
  using Quad = Weights;
  static Sum load_sums(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Sum sum) { _mm256_storeu_ps(p, sum); }
  static Weights widened(__m256i pairs) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)),
            _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int32_t>(0xFFFF0000))))};
  }
  static Weights load_weights(const std::byte* p) { return widened(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
  static Quad quad_of(const std::byte* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return widened(_mm256_set1_epi32(pair));
  }
  static Sum add(Sum sum, Quad a, Weights b) { return _mm256_fmadd_ps(a.odd, b.odd, _mm256_fmadd_ps(a.even, b.even, sum)); }
};

}  // namespace

constinit const Bf16Kernel kAvx2Bf16 = make_bf16_kernel<Avx2>();

}  // namespace tandem::cpu
