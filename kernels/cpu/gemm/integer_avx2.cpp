// Byte products by AVX2: 4 x 16 sums in 8 of the 16 registers.
//
// pmaddubsw would saturate its sums of two products at 16 bits; so even and odd bytes are widened to 16 bits, and pmaddwd is
// exact.
#include <immintrin.h>

#include "kernels/cpu/gemm/integer_block_tile.h"
#include "kernels/cpu/gemm/integer_depthwise_line.h"
#include "kernels/cpu/gemm/integer_tile.h"

namespace tandem::cpu {
namespace {

struct Lanes {
  static constexpr int kLanes = 8, kRows = 4, kPanels = 1;
  static constexpr bool kOwnFinish = false;
  using Sum = __m256i;
  struct Pairs {
    __m256i even, odd;
  };
  using Panel = Pairs;
  using Row = Pairs;

  static Pairs unsigned_pairs(Sum bytes) {
    return {_mm256_and_si256(bytes, _mm256_set1_epi16(0xFF)), _mm256_srli_epi16(bytes, 8)};
  }
  static Pairs signed_pairs(Sum bytes) { return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)}; }

  static Sum zero() { return _mm256_setzero_si256(); }
  static Panel load(const std::byte* p) { return unsigned_pairs(_mm256_loadu_si256(reinterpret_cast<const Sum*>(p))); }
  static Panel windows(const std::byte* line, int64_t stride) { return load(copied_windows<kLanes>(line, stride).data()); }
  static Row set(int32_t quad) { return signed_pairs(_mm256_set1_epi32(quad)); }
  static void store(int32_t* p, Sum sum) { _mm256_storeu_si256(reinterpret_cast<Sum*>(p), sum); }
  static Sum add_products(Sum sum, const Row& a, const Panel& b) {
    return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(a.even, b.even), _mm256_madd_epi16(a.odd, b.odd)));
  }

  using Weights = Pairs;
  using Quad = Pairs;
  static Sum load_sums(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const Sum*>(p)); }
  static Weights load_weights(const std::byte* p) { return signed_pairs(_mm256_loadu_si256(reinterpret_cast<const Sum*>(p))); }
  static Quad quad_of(const std::byte* p) {
    int32_t quad;
    std::memcpy(&quad, p, sizeof quad);
    return unsigned_pairs(_mm256_set1_epi32(quad));
  }
  static Sum add(Sum sum, const Quad& a, const Weights& b) { return add_products(sum, a, b); }
};

}  // namespace

constinit const IntegerTier kAvx2Integers = make_integer_tier<Lanes>(make_block_kernel<Lanes>(), {&IntegerDepthwiseLine<Lanes>::wide, nullptr});

}  // namespace tandem::cpu
