// Lines of bytes by a factor and an addend each, by AVX-512 (ScaleLine). Included by the tiers' files only, in an unnamed namespace.
#pragma once

#include "kernels/cpu/gemm/integer_avx512-inl.h"
#include "kernels/cpu/gemm/integer_tier.h"

namespace tandem::cpu {
namespace {

void scale_line_512(const LineOperand& x, const float* factor, const float* addend, int64_t n, const LineResult& y, std::byte* out) {
  const PanelScales range = {nullptr, nullptr, nullptr, static_cast<int32_t>(y.lowest - y.zero), static_cast<int32_t>(y.highest - y.zero),
                             static_cast<int32_t>(y.zero)};
  const Finish512::Narrowing narrowing(range);
  const std::byte* from = x.data;
  const __m128i flip = _mm_set1_epi8(static_cast<char>(x.flip));
  const auto whole = [&](__m128i bytes, __m512 by, __m512 plus) {
    const __m512 number = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_xor_si128(bytes, flip)));
    return _mm512_cvt_roundps_epi32(_mm512_fmadd_ps(number, by, plus), Finish512::kNearest);
  };
  int64_t j = 0;
  for (; j + 64 <= n; j += 64) {
    __m512i four[4];
    for (int v = 0; v < 4; ++v) {
      const int64_t at = j + 16 * v;
      four[v] = whole(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at)), _mm512_loadu_ps(factor + at), _mm512_loadu_ps(addend + at));
    }
    _mm512_storeu_si512(out + j, narrowing.bytes<false>(four));
  }
  for (; j < n; j += 16) {
    const __mmask16 there = n - j >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << (n - j)) - 1);
    const __m512i last = whole(_mm_maskz_loadu_epi8(there, from + j), _mm512_maskz_loadu_ps(there, factor + j), _mm512_maskz_loadu_ps(there, addend + j));
    const __m512i four[4] = {last, last, last, last};
    _mm_mask_storeu_epi8(out + j, there, _mm512_castsi512_si128(narrowing.bytes<false>(four)));
  }
}

}  // namespace
}  // namespace tandem::cpu
