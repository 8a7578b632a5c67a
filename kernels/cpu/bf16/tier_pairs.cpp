// Products of bf16 by AVX-512 BF16 (vdpbf16ps, two products and two sums a lane): 12 x 32 sums in 24 of the 32 registers.
#include <immintrin.h>

#include "kernels/cpu/bf16/make_kernel.h"
#include "kernels/cpu/bf16/tiers.h"
#include "kernels/cpu/bf16/vectors_avx512-inl.h"
#include "kernels/cpu/channels_last/depthwise_tile.h"

namespace tandem::cpu {
namespace {

struct Pairs : Bf16Vectors {
  static constexpr int kLanes = 16, kRows = 12, kPanels = 2;
  static constexpr bool kNative = true;
  using Sum = __m512;
  using Weights = __m512i;
  using Quad = __m512i;
  static Sum load_sums(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Sum sum) { _mm512_storeu_ps(p, sum); }
  static Weights load_weights(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Quad quad_of(const std::byte* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
  }
  static Sum add(Sum sum, Quad a, Weights b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
};

constexpr Bf16Kernel make_pairs_kernel() {
  Bf16Kernel kernel = make_bf16_kernel<Pairs>();
  kernel.takes_lines = true;
  kernel.depthwise = &DepthwiseTile<Avx512Vector, Bf16Numbers>::run_line;
  return kernel;
}

}  // namespace

constinit const Bf16Kernel kPairsBf16 = make_pairs_kernel();

}  // namespace tandem::cpu
