// Integer products by AVX2: 6 x 16 sums in 12 of the 16 registers.
#include <immintrin.h>

#include "kernels/cpu/gemm/integer_tile.h"

namespace tandem::cpu {
namespace {

struct Lanes {
  static constexpr int kLanes = 8, kRows = 6;
  __m256i v;

  static Lanes zero() { return {_mm256_setzero_si256()}; }
  static Lanes load(const int16_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
  static Lanes set(int32_t pair) { return {_mm256_set1_epi32(pair)}; }
  void store(int32_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static Lanes add_products(Lanes sum, Lanes a, Lanes b) { return {_mm256_add_epi32(sum.v, _mm256_madd_epi16(a.v, b.v))}; }
};

}  // namespace

constinit const IntegerTier kAvx2Integers = make_integer_tier<Lanes>();

}  // namespace tandem::cpu
