// Byte products by AVX-512BW: 8 x 32 sums in 16 of the 32 registers.
//
// pmaddubsw would saturate its sums of two products at 16 bits; so even and odd bytes are widened to 16 bits, and pmaddwd is
// exact.
#include <immintrin.h>

#include "kernels/cpu/gemm/integer_avx512_residual-inl.h"
#include "kernels/cpu/gemm/integer_block_tile.h"
#include "kernels/cpu/gemm/integer_depthwise_line.h"
#include "kernels/cpu/gemm/integer_scale_line-inl.h"
#include "kernels/cpu/gemm/integer_tile.h"

namespace tandem::cpu {
namespace {

struct Lanes : Finish512 {
  static constexpr int kLanes = 16, kRows = 8, kPanels = 2;
  using Sum = __m512i;
  struct Pairs {
    __m512i even, odd;
  };
  using Panel = Pairs;
  using Row = Pairs;

  static Pairs unsigned_pairs(Sum bytes) {
    return {_mm512_and_si512(bytes, _mm512_set1_epi16(0xFF)), _mm512_srli_epi16(bytes, 8)};
  }
  static Pairs signed_pairs(Sum bytes) { return {_mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 8), _mm512_srai_epi16(bytes, 8)}; }

  static Sum zero() { return _mm512_setzero_si512(); }
  static Panel load(const std::byte* p) { return unsigned_pairs(_mm512_loadu_si512(p)); }
  static Panel windows(const std::byte* line, int64_t stride) { return load(copied_windows<kLanes>(line, stride).data()); }
  static Row set(int32_t quad) { return signed_pairs(_mm512_set1_epi32(quad)); }
  static void store(int32_t* p, Sum sum) { _mm512_storeu_si512(reinterpret_cast<Sum*>(p), sum); }
  static Sum add_products(Sum sum, const Row& a, const Panel& b) {
    return _mm512_add_epi32(sum, _mm512_add_epi32(_mm512_madd_epi16(a.even, b.even), _mm512_madd_epi16(a.odd, b.odd)));
  }

  using Weights = Pairs;
  using Quad = Pairs;
  static Sum load_sums(const int32_t* p) { return _mm512_loadu_si512(p); }
  static Weights load_weights(const std::byte* p) { return signed_pairs(_mm512_loadu_si512(p)); }
  static Quad quad_of(const std::byte* p) {
    int32_t quad;
    std::memcpy(&quad, p, sizeof quad);
    return unsigned_pairs(_mm512_set1_epi32(quad));
  }
  static Sum add(Sum sum, const Quad& a, const Weights& b) { return add_products(sum, a, b); }
};

constexpr IntegerBlockKernel make_kernel() {
  IntegerBlockKernel kernel = make_block_kernel<Lanes>();
  kernel.find_quick = &QuickResidual512::find;
  return kernel;
}

}  // namespace

constinit const IntegerTier kAvx512Integers = make_integer_tier<Lanes>(
    make_kernel(), {&IntegerDepthwiseLine<Lanes>::wide, nullptr}, &combine512, &IntegerTile<Lanes>::look_up, &scale_line_512);

}  // namespace tandem::cpu
