// Sums of bytes by AVX-512 VNNI in whole numbers, by WholeResidual. Included by the tiers' files only, in an unnamed namespace.
//
// Pairs of bytes become pairs of 16 bits, for which a product and its sum are one instruction. Bytes are unpacked and packed in the same lanes of 128
// bits, so nothing is permuted: 27 instructions for 64 sums, where two multiply-adds of floats with what goes to and from them take 40.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/cpu/gemm/integer_avx512_residual-inl.h"

namespace tandem::cpu {
namespace {

class WholeSum512 {
 public:
  WholeSum512(const LineOperand& own, const LineOperand& other, const LineResult& y)
      : own_(own.data),
        other_(other.data),
        high_(pairs_of(y.exact_sum.whole.own_high, y.exact_sum.whole.other_high)),
        low_(pairs_of(y.exact_sum.whole.own_low, y.exact_sum.whole.other_low)),
        fraction_(_mm512_set1_epi32(y.exact_sum.whole.fraction)),
        addend_(_mm512_set1_epi16(static_cast<int16_t>(y.exact_sum.whole.addend))),
        shift_(_mm_cvtsi32_si128(y.exact_sum.whole.shift)),
        own_flip_(_mm512_set1_epi8(static_cast<char>(own.flip))),
        other_flip_(_mm512_set1_epi8(static_cast<char>(other.flip))),
        flip_(_mm512_set1_epi8(static_cast<char>(y.lowest < 0 ? 0x80 : 0))) {}

  void run(int64_t n, std::byte* out) const {
    int64_t j = 0;
    for (; j + 64 <= n; j += 64) _mm512_storeu_si512(out + j, sums(_mm512_loadu_si512(own_ + j), _mm512_loadu_si512(other_ + j)));
    if (j == n) return;
    const __mmask64 there = (uint64_t{1} << (n - j)) - 1;
    _mm512_mask_storeu_epi8(out + j, there, sums(_mm512_maskz_loadu_epi8(there, own_ + j), _mm512_maskz_loadu_epi8(there, other_ + j)));
  }

 private:
  static __m512i pairs_of(int16_t own, int16_t other) {
    return _mm512_set1_epi32(static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint16_t>(other)) << 16 | static_cast<uint16_t>(own)));
  }
  // Of sixteen pairs of 16 bits.
  [[gnu::always_inline]] __m512i wholes(__m512i pairs) const {
    const __m512i low = _mm512_srai_epi32(_mm512_dpwssd_epi32(fraction_, pairs, low_), WholeResidual::kLowBits);
    return _mm512_sra_epi32(_mm512_dpwssd_epi32(low, pairs, high_), shift_);
  }
  // Of 32 pairs of bytes, as 16 bits.
  [[gnu::always_inline]] __m512i words(__m512i pairs) const {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i both = _mm512_packs_epi32(wholes(_mm512_unpacklo_epi8(pairs, zero)), wholes(_mm512_unpackhi_epi8(pairs, zero)));
    return _mm512_adds_epi16(both, addend_);
  }
  [[gnu::always_inline]] __m512i sums(__m512i own, __m512i other) const {
    own = _mm512_xor_si512(own, own_flip_), other = _mm512_xor_si512(other, other_flip_);
    const __m512i bytes = _mm512_packus_epi16(words(_mm512_unpacklo_epi8(own, other)), words(_mm512_unpackhi_epi8(own, other)));
    return _mm512_xor_si512(bytes, flip_);
  }

  const std::byte *own_, *other_;
  __m512i high_, low_, fraction_, addend_;
  __m128i shift_;
  __m512i own_flip_, other_flip_, flip_;
};

// Factors are those of real numbers, rounded to 30 bits; each pair of bytes bounds what may be added to them, from both sides.
WholeResidual find_whole_residual(const ResidualLines& r) {
  if (r.result.quick.limit < 0) return {};  // scales that are zero, infinite or far apart
  const double own_factor = static_cast<double>(r.own.scale) / r.result.scale, other_factor = static_cast<double>(r.other.scale) / r.result.scale;
  WholeResidual whole;
  whole.shift = WholeResidual::kLowBits - std::max(0, std::ilogb(std::max(own_factor, other_factor)) + 1);
  constexpr int kFewestBits = 8;
  if (!(own_factor > 0 && other_factor > 0) || whole.shift < kFewestBits) return {};
  const double one = std::ldexp(1.0, whole.shift + WholeResidual::kLowBits), y_zero = r.result.zero - r.result.lowest;
  const auto own = std::llrint(own_factor * one), other = std::llrint(other_factor * one);
  constexpr int64_t kLow = (int64_t{1} << WholeResidual::kLowBits) - 1;
  if (std::max(own, other) >> WholeResidual::kLowBits > kLow) return {};
  whole.addend = static_cast<int32_t>(std::floor(y_zero + 0.5 - own_factor * r.own.zero - other_factor * r.other.zero));
  if (std::abs(whole.addend) > 4096) return {};

  // The fraction is at least `least` and below `most`.
  double least = -0.5 * one, most = 1.5 * one;
  const __m512 first = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int byte = 0; byte < 256; ++byte) {
    const __m512 own_value = Combination512<true>::dequantized(r.own, _mm512_set1_ps(static_cast<float>(byte)));
    for (int at = 0; at < 256; at += 16) {
      const __m512 numbers = _mm512_add_ps(first, _mm512_set1_ps(static_cast<float>(at)));
      alignas(64) std::array<int32_t, 16> results;
      _mm512_store_si512(results.data(), Combination512<true>::exact(own_value, Combination512<true>::dequantized(r.other, numbers), r.result));
      for (int j = 0; j < 16; ++j) {
        const double result = results[static_cast<size_t>(j)] + y_zero;  // as u8
        const double product = static_cast<double>(own) * byte + static_cast<double>(other) * (at + j), floor = (result - whole.addend) * one - product;
        if (result > 0) least = std::max(least, floor);
        if (result < 255) most = std::min(most, floor + one);
      }
    }
  }
  if (!(least < most)) return {};
  whole.fraction = static_cast<int32_t>(std::floor(least + (most - least) / 2));
  whole.own_high = static_cast<int16_t>(own >> WholeResidual::kLowBits), whole.own_low = static_cast<int16_t>(own & kLow);
  whole.other_high = static_cast<int16_t>(other >> WholeResidual::kLowBits), whole.other_low = static_cast<int16_t>(other & kLow);
  whole.is_exact = true;
  return whole;
}

QuickResidual find_vnni_residual(const ResidualLines& r) {
  QuickResidual quick = QuickResidual512::find(r);
  quick.whole = find_whole_residual(r);
  return quick;
}

void combine_vnni(const LineOperand& a, const LineOperand& b, int64_t n, const LineResult& y, std::byte* out) {
  y.exact_sum.whole.is_exact ? WholeSum512(a, b, y).run(n, out) : combine512(a, b, n, y, out);
}

}  // namespace
}  // namespace tandem::cpu
