// What the tiers with AVX-512 share: the end of a tile in vectors of sixteen. Included by their files only, in an unnamed namespace.
#pragma once

#include <immintrin.h>

#include "kernels/cpu/gemm/integer_finish.h"

namespace tandem::cpu {
namespace {

struct Finish512 {
  static constexpr bool kOwnFinish = true;
  static constexpr int kGreaterMagnitude = 0b1011;  // of vrangeps

  // sum * multiplier + addend, clamped; adding 1.5 * 2^23 and the zero point leaves the rounded number in the low bits.
  struct Rounding {
    __m512 multiplier, addend, low, high, magic;
    explicit Rounding(const PanelScales& s)
        : multiplier(_mm512_loadu_ps(s.multiplier)), addend(_mm512_loadu_ps(s.addend)), low(_mm512_set1_ps(s.low)),
          high(_mm512_set1_ps(s.high)), magic(_mm512_set1_ps(12582912.0f + static_cast<float>(s.zero))) {}
    __m512 value(__m512i sums) const {
      const __m512 v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), multiplier, addend);
      return _mm512_min_ps(_mm512_max_ps(v, low), high);
    }
    __m512 rounded(__m512 v) const { return _mm512_add_ps(v, magic); }
    __m512 rest(__m512 v, __m512 rounded) const { return _mm512_sub_ps(v, _mm512_sub_ps(rounded, magic)); }
  };
  static __mmask16 too_near(__m512 rest, const float* tolerance) {
    return _mm512_cmp_ps_mask(_mm512_abs_ps(rest), _mm512_sub_ps(_mm512_set1_ps(0.5f), _mm512_loadu_ps(tolerance)), _CMP_NLE_UQ);
  }

  static bool quantize_panel(const int32_t* sums, int64_t stride, int64_t rows, const PanelScales& s, std::byte* out,
                             int64_t out_stride) {
    const Rounding rounding(s);
    __m512 farthest = _mm512_setzero_ps();
    for (int64_t r = 0; r < rows; ++r) {
      const __m512 value = rounding.value(_mm512_loadu_si512(sums + r * stride)), rounded = rounding.rounded(value);
      farthest = _mm512_range_ps(farthest, rounding.rest(value, rounded), kGreaterMagnitude);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + r * out_stride), _mm512_cvtepi32_epi8(_mm512_castps_si512(rounded)));
    }
    return too_near(farthest, s.tolerance) != 0;
  }
  static uint32_t near_ties(const int32_t* sums, const PanelScales& s) {
    const Rounding rounding(s);
    const __m512 value = rounding.value(_mm512_loadu_si512(sums));
    return too_near(rounding.rest(value, rounding.rounded(value)), s.tolerance);
  }
};

}  // namespace
}  // namespace tandem::cpu
