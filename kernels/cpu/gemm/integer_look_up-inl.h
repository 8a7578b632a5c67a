// Tables of 256 bytes, 64 look-ups at a time, where the processor has VBMI beside VNNI (not all have). Included by the tiers' files only, in
// an unnamed namespace.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace tandem::cpu {
namespace {

// Each half of the table by one permutation; the highest bit chooses. Returns how many were done.
__attribute__((target("avx512f,avx512bw,avx512vbmi"))) int64_t look_up_by_permutation(const std::byte* x, const std::byte* table, int64_t n,
                                                                                      std::byte* y) {
  const __m512i a = _mm512_loadu_si512(table), b = _mm512_loadu_si512(table + 64);
  const __m512i c = _mm512_loadu_si512(table + 128), d = _mm512_loadu_si512(table + 192);
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    const __m512i index = _mm512_loadu_si512(x + i);
    const __m512i lower = _mm512_permutex2var_epi8(a, index, b), upper = _mm512_permutex2var_epi8(c, index, d);
    _mm512_storeu_si512(y + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), lower, upper));
  }
  return i;
}

void look_up_512(const std::byte* x, const std::byte* table, int64_t n, std::byte* y) {
  int64_t i = __builtin_cpu_supports("avx512vbmi") ? look_up_by_permutation(x, table, n, y) : 0;
  for (; i < n; ++i) y[i] = table[static_cast<size_t>(x[i])];
}

}  // namespace
}  // namespace tandem::cpu
