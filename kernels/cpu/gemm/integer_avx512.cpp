// Integer products by AVX-512BW: 8 x 32 sums in 16 of the 32 registers.
#include <immintrin.h>

#include "kernels/cpu/gemm/integer_tile.h"

namespace tandem::cpu {
namespace {

struct Lanes {
  static constexpr int kLanes = 16, kRows = 8;
  __m512i v;

  static Lanes zero() { return {_mm512_setzero_si512()}; }
  static Lanes load(const int16_t* p) { return {_mm512_loadu_si512(p)}; }
  static Lanes set(int32_t pair) { return {_mm512_set1_epi32(pair)}; }
  void store(int32_t* p) const { _mm512_storeu_si512(p, v); }
  static Lanes add_products(Lanes sum, Lanes a, Lanes b) { return {_mm512_add_epi32(sum.v, _mm512_madd_epi16(a.v, b.v))}; }
};

}  // namespace

constinit const IntegerTier kAvx512Integers = make_integer_tier<Lanes>();

}  // namespace tandem::cpu
