// Products of bf16 by AVX-512 without BF16: pairs are widened to f32, and multiplied by two FMAs.
#include <immintrin.h>

#include "kernels/cpu/bf16/make_kernel.h"
#include "kernels/cpu/bf16/tiers.h"
#include "kernels/cpu/gemm/vector_avx512-inl.h"

namespace tandem::cpu {
namespace {

struct Avx512 {
  static constexpr int kLanes = 16, kRows = 10, kPanels = 2;
  using Vector = Avx512Vector;
  using Sum = __m512;
  struct Weights {
    __m512 even, odd;
  };
  using Quad = Weights;
  static Sum load_sums(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Sum sum) { _mm512_storeu_ps(p, sum); }
  static Weights widened(__m512i pairs) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
            _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int32_t>(0xFFFF0000))))};
  }
  static Weights load_weights(const std::byte* p) { return widened(_mm512_loadu_si512(p)); }
  static Quad quad_of(const std::byte* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return widened(_mm512_set1_epi32(pair));
  }
  static Sum add(Sum sum, Quad a, Weights b) { return _mm512_fmadd_ps(a.odd, b.odd, _mm512_fmadd_ps(a.even, b.even, sum)); }
};

}  // namespace

constinit const Bf16Kernel kAvx512Bf16 = make_bf16_kernel<Avx512>();

}  // namespace tandem::cpu
