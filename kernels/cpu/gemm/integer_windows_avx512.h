// Windows of four bytes by two shuffles: what a lane of 128 bits needs, then the bytes of its four windows. Only for files
// compiled with AVX-512BW.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace tandem::cpu {
namespace {

inline __m512i windows_of_line(const std::byte* line, int64_t stride) {
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

}  // namespace
}  // namespace tandem::cpu
