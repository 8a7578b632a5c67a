// Sums and products of quantized lines by AVX-512. Included by the tiers' files only, in an unnamed namespace.
//
// The definition (kernels/api/quantized_elementwise.h) divides, and rounds five times. Here results come by QuickCombination;
// where that lies so near to a tie that the two might round apart, the definition is computed. Where a QuickResidual is known, sums need no
// such look.
#pragma once

#include "kernels/cpu/gemm/integer_avx512-inl.h"
#include "kernels/cpu/gemm/integer_tier.h"

namespace tandem::cpu {
namespace {

// kExact: sums of lines by QuickResidual, whose bytes are of the type's whole range.
template <bool kSum, bool kExact = false>
class Combination512 {
 public:
  Combination512(const LineOperand& a, const LineOperand& b, const LineResult& y)
      : a_(a),
        b_(b),
        y_(y),
        scales_{nullptr,
                nullptr,
                nullptr,
                static_cast<int32_t>(y.lowest - y.zero),
                static_cast<int32_t>(y.highest - y.zero),
                static_cast<int32_t>(y.zero)},
        a_zero_(_mm512_set1_ps(static_cast<float>(a.zero))),
        a_factor_(_mm512_set1_ps(kExact ? y.exact_sum.own_factor : y.quick.a_factor)),
        b_factor_(_mm512_set1_ps(kExact ? y.exact_sum.other_factor : y.quick.b_factor)),
        addend_(_mm512_set1_ps(kExact ? y.exact_sum.addend : y.quick.addend)),
        limit_(_mm512_set1_ps(y.quick.limit)) {}

  // out[j] for j in [0, n); b is one number for all where its step is 0.
  void run(int64_t n, std::byte* out) const {
    int64_t j = 0;
    for (; j + 64 <= n; j += 64) _mm512_storeu_si512(out + j, bytes_at(j));
    for (; j < n; j += 16) {
      const __mmask16 there = n - j >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << (n - j)) - 1);
      const __m512 value = quick(number<true>(a_, j, there), number<true>(b_, j, there));
      __m512i whole = _mm512_cvt_roundps_epi32(value, Finish512::kNearest);
      if (!kExact && is_near(Finish512::rest_of(value, whole))) whole = exact(j, there);
      const Finish512::Narrowing narrowing(scales_);
      const __m512i four[4] = {whole, whole, whole, whole};
      _mm_mask_storeu_epi8(out + j, there, _mm512_castsi512_si128(narrowing.bytes(four)));
    }
  }

  // The definition, on what the bytes stand for.
  static __m512 dequantized(const LineOperand& x, __m512 number) {
    return _mm512_mul_ps(_mm512_sub_ps(number, _mm512_set1_ps(static_cast<float>(x.zero))), _mm512_set1_ps(x.scale));
  }
  static __m512i exact(__m512 a, __m512 b, const LineResult& y) {
    const __m512 quotient = _mm512_div_ps(kSum ? _mm512_add_ps(a, b) : _mm512_mul_ps(a, b), _mm512_set1_ps(y.scale));
    const __m512 raised = _mm512_max_ps(quotient, _mm512_set1_ps(y.lowest - y.zero));  // NaN becomes the lowest
    return _mm512_cvt_roundps_epi32(_mm512_min_ps(raised, _mm512_set1_ps(y.highest - y.zero)), Finish512::kNearest);
  }

 private:
  // Sixteen bytes as u8, as floats.
  template <bool kMasked>
  static __m512 number(const LineOperand& x, int64_t j, __mmask16 there) {
    const __m128i flip = _mm_set1_epi8(static_cast<char>(x.flip));
    const auto* from = reinterpret_cast<const __m128i*>(x.data + j);
    const bool is_one = !kExact && x.step == 0;
    const __m128i bytes = is_one      ? _mm_set1_epi8(static_cast<char>(*x.data))
                          : kMasked   ? _mm_maskz_loadu_epi8(there, from)
                                      : _mm_loadu_si128(from);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_xor_si128(bytes, flip)));
  }
  __m512 quick(__m512 a, __m512 b) const {
    if constexpr (kExact) return _mm512_fmadd_ps(_mm512_sub_ps(a, a_zero_), a_factor_, _mm512_fmadd_ps(b, b_factor_, addend_));
    if constexpr (kSum) return _mm512_fmadd_ps(a, a_factor_, _mm512_fmadd_ps(b, b_factor_, addend_));
    return _mm512_mul_ps(_mm512_mul_ps(_mm512_sub_ps(a, addend_), _mm512_sub_ps(b, b_factor_)), a_factor_);
  }
  bool is_near(__m512 rest) const { return _mm512_cmp_ps_mask(_mm512_abs_ps(rest), limit_, _CMP_NLE_UQ) != 0; }

  __m512i exact(int64_t j, __mmask16 there) const {
    return exact(dequantized(a_, number<true>(a_, j, there)), dequantized(b_, number<true>(b_, j, there)), y_);
  }

  __m512i bytes_at(int64_t j) const {
    __m512i whole[4];
    __m512 rest[4], farthest = _mm512_setzero_ps();
    for (int v = 0; v < 4; ++v) {
      const __m512 value = quick(number<false>(a_, j + 16 * v, 0), number<false>(b_, j + 16 * v, 0));
      whole[v] = _mm512_cvt_roundps_epi32(value, Finish512::kNearest);
      if constexpr (kExact) continue;
      rest[v] = _mm512_reduce_ps(value, Finish512::kNearest);  // finite, and far below 2^31, where the limit is not negative
      farthest = _mm512_range_ps(farthest, rest[v], Finish512::kGreaterMagnitude);
    }
    if (!kExact && is_near(farthest))
      for (int v = 0; v < 4; ++v)
        if (is_near(rest[v])) whole[v] = exact(j + 16 * v, 0xFFFF);
    return Finish512::Narrowing(scales_).template bytes<!kExact>(whole);
  }

  const LineOperand &a_, &b_;
  const LineResult& y_;
  PanelScales scales_;
  __m512 a_zero_, a_factor_, b_factor_, addend_, limit_;
};

void combine512(const LineOperand& a, const LineOperand& b, int64_t n, const LineResult& y, std::byte* out) {
  if (y.exact_sum.is_exact)
    Combination512<true, true>(a, b, y).run(n, out);
  else if (y.op == BinaryOp::kAdd)
    Combination512<true>(a, b, y).run(n, out);
  else
    Combination512<false>(a, b, y).run(n, out);
}

}  // namespace
}  // namespace tandem::cpu
