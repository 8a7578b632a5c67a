// What the tiers with AVX-512 VNNI share: the vectors of tiles of 12 x 32 sums. Included by their files only, in an unnamed namespace.
// vpdpbusd adds four products u8 * i8 without saturation; it is asm because g++ 12 keeps the sums of
// the intrinsic in memory.
#pragma once

#include "kernels/cpu/gemm/integer_avx512-inl.h"
#include "kernels/cpu/gemm/integer_block_tile.h"
#include "kernels/cpu/gemm/integer_tile.h"

namespace tandem::cpu {
namespace {

// Windows of four bytes by two shuffles: what a lane of 128 bits needs, then the bytes of its four windows.
__m512i windows_of_line(const std::byte* line, int64_t stride) {
  const __m512i bytes = _mm512_loadu_si512(line);
  if (stride == 1) {
    const __m512i dwords = _mm512_setr_epi32(0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4);
    const __m128i windows = _mm_setr_epi8(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6);
    return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(dwords, bytes), _mm512_broadcast_i32x4(windows));
  }
  const __m512i dwords = _mm512_setr_epi32(0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7, 8, 8);
  const __m128i windows = _mm_setr_epi8(0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9);
  return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(dwords, bytes), _mm512_broadcast_i32x4(windows));
}

struct VnniLanes : Finish512 {
  static constexpr int kLanes = 16, kRows = 12, kPanels = 2;
  using Sum = __m512i;
  using Panel = __m512i;
  using Row = __m512i;
  static Sum zero() { return _mm512_setzero_si512(); }
  static Panel load(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Panel windows(const std::byte* line, int64_t stride) { return windows_of_line(line, stride); }
  static Row set(int32_t quad) { return _mm512_set1_epi32(quad); }
  static void store(int32_t* p, Sum sum) { _mm512_storeu_si512(p, sum); }
  static Sum add_products(Sum sum, Row a, Panel b) { return add(sum, b, a); }

  using Weights = __m512i;
  using Quad = __m512i;
  static Sum load_sums(const int32_t* p) { return _mm512_loadu_si512(p); }
  static Weights load_weights(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Quad quad_of(const std::byte* p) {
    int32_t quad;
    std::memcpy(&quad, p, sizeof quad);
    return set(quad);
  }
  static Sum add(Sum sum, Quad a, Weights b) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
  }
};

}  // namespace
}  // namespace tandem::cpu
