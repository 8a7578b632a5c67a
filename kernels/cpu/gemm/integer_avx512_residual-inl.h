// Products of bytes with a residual added, without a byte between, by AVX-512. Included by the files of its tiers only, in an unnamed namespace.
//
// Two roundings a number: that of the product (kernels/api/requantize.h), which is looked at for ties, and that of the sum
// (kernels/api/quantized_elementwise.h), which need not be where a formula was found that is right for all pairs of bytes.
#pragma once

#include <array>
#include <bit>

#include "kernels/cpu/gemm/integer_avx512_combine-inl.h"

namespace tandem::cpu {
namespace {

// Lines of four panels by the formulas of Finish512 and Combination512; kQuick: by that of QuickResidual.
template <bool kQuick>
class Residual512 {
 public:
  Residual512(const IntegerBlock& b, const PanelScales& scales, int64_t column)
      : b_(b),
        r_(*b.residual),
        scales_(scales),
        column_(column),
        narrowing_(scales_of(r_.result)),
        // A whole number n of the product stands for n + zero, as its byte does.
        apart_(scales.zero + (r_.own.flip != std::byte{0} ? 128 : 0) - r_.own.zero),
        own_factor_(_mm512_set1_ps(kQuick ? r_.result.exact_sum.own_factor : r_.result.quick.a_factor)),
        other_factor_(_mm512_set1_ps(kQuick ? r_.result.exact_sum.other_factor : r_.result.quick.b_factor)),
        limit_(_mm512_set1_ps(r_.result.quick.limit)),
        low_(_mm512_set1_ps(static_cast<float>(scales.low))),
        high_(_mm512_set1_ps(static_cast<float>(scales.high))) {
    const QuickCombination& quick = r_.result.quick;
    addend_ = _mm512_set1_ps(
        kQuick ? r_.result.exact_sum.addend
               : static_cast<float>(static_cast<double>(quick.a_factor) * apart_ - static_cast<double>(quick.b_factor) * r_.other.zero));
    __m512 tolerance = _mm512_setzero_ps();
    for (int64_t at = 0; at < 64; at += kPanelColumns)
      tolerance = _mm512_max_ps(tolerance, _mm512_loadu_ps(scales.tolerance + at));
    own_limit_ = _mm512_set1_ps(0.5f - _mm512_reduce_max_ps(tolerance));
  }

  [[gnu::always_inline]] void line(const int32_t* sums, int64_t row) const {
    const int64_t place = row * b_.result.stride + column_;
    __m512 own_farthest = _mm512_setzero_ps(), farthest = own_farthest;
    __m512i whole[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const int64_t at = v * kPanelColumns;
      const __m512 value =
          Finish512::value_of(_mm512_loadu_si512(sums + at), _mm512_loadu_ps(scales_.multiplier + at), _mm512_loadu_ps(scales_.addend + at));
      const __m512 clamped = _mm512_min_ps(_mm512_max_ps(value, low_), high_);
      const __m512 own_rest = _mm512_reduce_ps(clamped, Finish512::kNearest), own = _mm512_sub_ps(clamped, own_rest);
      own_farthest = _mm512_range_ps(own_farthest, own_rest, Finish512::kGreaterMagnitude);
      const __m512 sum = _mm512_fmadd_ps(own, own_factor_, _mm512_fmadd_ps(number(place + at), other_factor_, addend_));
      whole[v] = _mm512_cvt_roundps_epi32(sum, Finish512::kNearest);
      if constexpr (!kQuick) farthest = _mm512_range_ps(farthest, Finish512::rest_of(sum, whole[v]), Finish512::kGreaterMagnitude);
    }
    if ((beyond(own_farthest, own_limit_) | (kQuick ? 0 : beyond(farthest, limit_))) != 0) [[unlikely]]
      return settle(b_, scales_, column_, sums, place);
    _mm512_storeu_si512(b_.result.quantized + place, narrowing_.bytes(whole));
  }

 private:
  static PanelScales scales_of(const LineResult& y) {
    return {nullptr,
            nullptr,
            nullptr,
            static_cast<int32_t>(y.lowest - y.zero),
            static_cast<int32_t>(y.highest - y.zero),
            static_cast<int32_t>(y.zero)};
  }
  static __mmask16 beyond(__m512 rest, __m512 limit) { return _mm512_cmp_ps_mask(_mm512_abs_ps(rest), limit, _CMP_NLE_UQ); }
  [[gnu::always_inline]] __m512 number(int64_t place) const {
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(r_.other.data + place));
    if (r_.other.flip != std::byte{0}) bytes = _mm_xor_si128(bytes, _mm_set1_epi8(static_cast<char>(r_.other.flip)));
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
  }
  // By the definitions: sums near a tie, then all. Knows nothing of this object, which so stays in registers.
  [[gnu::noinline]] static void settle(const IntegerBlock& b, const PanelScales& scales, int64_t column, const int32_t* sums,
                                       int64_t place) {
    Residual512<false>(b, scales, column).settle(sums, place);
  }
  friend class Residual512<true>;
  void settle(const int32_t* sums, int64_t place) const {
    const OutputScales& exact = b_.result.scales;
    __m512i whole[4];
    for (int v = 0; v < 4; ++v) {
      const int64_t at = v * kPanelColumns;
      const __m512 value =
          Finish512::value_of(_mm512_loadu_si512(sums + at), _mm512_loadu_ps(scales_.multiplier + at), _mm512_loadu_ps(scales_.addend + at));
      alignas(64) std::array<int32_t, kPanelColumns> own;
      _mm512_store_si512(own.data(),
                         _mm512_cvt_roundps_epi32(_mm512_min_ps(_mm512_max_ps(value, low_), high_), Finish512::kNearest));
      for (uint32_t near = Finish512::near_ties(sums + at, scales_, at); near != 0; near &= near - 1) {
        const auto j = static_cast<size_t>(std::countr_zero(near));
        const ResultScale& scale = exact.exact[exact.count == 1 ? 0 : column_ + at + static_cast<int64_t>(j)];
        own[j] = requantized(sums[at + static_cast<int64_t>(j)], scale, exact.low, exact.high);
      }
      const __m512 numbers =
          _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_load_si512(own.data()), _mm512_set1_epi32(apart_ + r_.own.zero)));
      whole[v] = Combination512<true>::exact(Combination512<true>::dequantized(r_.own, numbers),
                                             Combination512<true>::dequantized(r_.other, number(place + at)), r_.result);
    }
    _mm512_storeu_si512(b_.result.quantized + place, narrowing_.bytes(whole));
  }

  const IntegerBlock& b_;
  const ResidualLines& r_;
  const PanelScales& scales_;
  int64_t column_;
  Finish512::Narrowing narrowing_;
  int32_t apart_;
  __m512 own_factor_, other_factor_, limit_, low_, high_, addend_, own_limit_;
};

// Factors and addends next to those of real numbers are tried, until they give what the definition does for every pair.
class QuickResidual512 {
 public:
  static QuickResidual find(const ResidualLines& r) {
    const QuickCombination& near = r.result.quick;
    if (near.limit < 0) return {};
    constexpr float kStep = 0x1p-18f;  // a part of what separates results
    for (const float shift : {0.0f, 1.0f, -1.0f, 2.0f, -2.0f, 4.0f, -4.0f})
      for (const int own : {0, 1, -1})
        for (const int other : {0, 1, -1}) {
          QuickResidual quick = {true, beside(near.a_factor, own), beside(near.b_factor, other), 0};
          quick.addend = static_cast<float>(-static_cast<double>(quick.other_factor) * r.other.zero) + shift * kStep;
          if (is_right(r, quick)) return quick;
        }
    return {};
  }

 private:
  static float beside(float x, int steps) { return std::bit_cast<float>(std::bit_cast<int32_t>(x) + steps); }

  static bool is_right(const ResidualLines& r, const QuickResidual& quick) {
    const __m512i low = _mm512_set1_epi32(static_cast<int32_t>(r.result.lowest - r.result.zero));
    const __m512i high = _mm512_set1_epi32(static_cast<int32_t>(r.result.highest - r.result.zero));
    const __m512 other_factor = _mm512_set1_ps(quick.other_factor), addend = _mm512_set1_ps(quick.addend);
    const __m512 first = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int byte = 0; byte < 256; ++byte) {
      const __m512 own = _mm512_set1_ps(static_cast<float>(byte)), whole_own = _mm512_set1_ps(static_cast<float>(byte - r.own.zero));
      const __m512 own_value = Combination512<true>::dequantized(r.own, own);
      for (int at = 0; at < 256; at += 16) {
        const __m512 other = _mm512_add_ps(first, _mm512_set1_ps(static_cast<float>(at)));
        const __m512 sum = _mm512_fmadd_ps(whole_own, _mm512_set1_ps(quick.own_factor), _mm512_fmadd_ps(other, other_factor, addend));
        const __m512i whole = _mm512_cvt_roundps_epi32(sum, Finish512::kNearest), clamped = _mm512_min_epi32(_mm512_max_epi32(whole, low), high);
        const __m512i exact = Combination512<true>::exact(own_value, Combination512<true>::dequantized(r.other, other), r.result);
        if (_mm512_cmpneq_epi32_mask(clamped, exact) != 0) return false;
      }
    }
    return true;
  }
};

struct Residuals512 {
  using Any = Residual512<false>;
  using Quick = Residual512<true>;
  static constexpr QuickResidual (*find)(const ResidualLines&) = &QuickResidual512::find;
};

}  // namespace
}  // namespace tandem::cpu
