// Byte products by the 256-bit form of VNNI (vpdpbusd, four products u8 * i8 a lane without saturation): 6 x 16 sums in 12 of the 16
// registers.
//
// AVX-VNNI and AVX-512 VNNI have the same instruction in different bytes. It is asm because g++ 12 keeps the sums of the intrinsic in memory.
#include <immintrin.h>

#include "kernels/cpu/gemm/integer_block_tile.h"
#include "kernels/cpu/gemm/integer_depthwise_line.h"
#include "kernels/cpu/gemm/integer_tile.h"

namespace tandem::cpu {
namespace {

// `kVex`: as AVX-VNNI writes it, else as AVX-512.
template <bool kVex>
struct Lanes {
  static constexpr int kLanes = 8, kRows = 6, kPanels = 1;
  static constexpr bool kOwnFinish = false;
  using Sum = __m256i;
  using Panel = __m256i;
  using Row = __m256i;
  using Weights = __m256i;
  using Quad = __m256i;

  static Sum zero() { return _mm256_setzero_si256(); }
  static Sum load(const std::byte* p) { return _mm256_loadu_si256(reinterpret_cast<const Sum*>(p)); }
  static Panel windows(const std::byte* line, int64_t stride) { return load(copied_windows<kLanes>(line, stride).data()); }
  static Row set(int32_t quad) { return _mm256_set1_epi32(quad); }
  static void store(int32_t* p, Sum sum) { _mm256_storeu_si256(reinterpret_cast<Sum*>(p), sum); }
  static Sum load_sums(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const Sum*>(p)); }
  static Weights load_weights(const std::byte* p) { return load(p); }
  static Quad quad_of(const std::byte* p) {
    int32_t quad;
    std::memcpy(&quad, p, sizeof quad);
    return set(quad);
  }
  // Of `a`, u8, and `b`, i8.
  static Sum add(Sum sum, Quad a, Weights b) {
    if constexpr (kVex)
      asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    else
      asm("%{evex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
  }
  static Sum add_products(Sum sum, Row a, Panel b) { return add(sum, b, a); }
};

template <bool kVex>
constexpr IntegerTier make_tier() {
  return make_integer_tier<Lanes<kVex>>(make_block_kernel<Lanes<kVex>>(), {&IntegerDepthwiseLine<Lanes<kVex>>::wide, nullptr});
}

}  // namespace

constinit const IntegerTier kAvx2VnniIntegers = make_tier<true>();
constinit const IntegerTier kAvx2VnniEvexIntegers = make_tier<false>();

}  // namespace tandem::cpu
