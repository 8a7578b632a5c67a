// Byte products by AVX-512 VNNI: 12 x 32 sums in 24 of the 32 registers. vpdpbusd adds four products u8 * i8 without saturation.
#include <immintrin.h>

#include "kernels/cpu/gemm/integer_tile.h"
#include "kernels/cpu/gemm/integer_windows_avx512.h"

namespace tandem::cpu {
namespace {

struct Lanes {
  static constexpr int kLanes = 16, kRows = 12;
  using Sum = __m512i;
  using Panel = __m512i;
  using Row = __m512i;

  static Sum zero() { return _mm512_setzero_si512(); }
  static Panel load(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Panel windows(const std::byte* line, int64_t stride) { return windows_of_line(line, stride); }
  static Row set(int32_t quad) { return _mm512_set1_epi32(quad); }
  static void store(int32_t* p, Sum sum) { _mm512_storeu_si512(p, sum); }
  static Sum add_products(Sum sum, Row a, Panel b) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(b), "v"(a));  // g++ 12 keeps the intrinsic's sums in memory
    return sum;
  }
};

}  // namespace

constinit const IntegerTier kVnniIntegers = make_integer_tier<Lanes>();

}  // namespace tandem::cpu
