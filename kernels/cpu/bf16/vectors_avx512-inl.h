// Sixteen numbers of bf16 as a vector of AVX-512, by the instructions of AVX-512 BF16. In an unnamed namespace: only files compiled with
// the tier's flags include it.
#pragma once

#include <utility>

#include "kernels/base/half.h"
#include "kernels/cpu/gemm/vector_avx512-inl.h"

namespace tandem::cpu {
namespace {

struct Bf16Vectors {
  using Vector = Avx512Vector;
  static __m256i rounded(Vector x) { return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x.v)); }
  static void narrow_16(const float* x, BF16* y) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), rounded(Vector::load(x))); }
  // As many numbers as `part` has.
  static Vector load_16(const BF16* p, Vector::Part part) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(part, p)), 16))};
  }
  // Thirty-two numbers: one load and two permutations, where two of load_16 take two of each and two shifts.
  static std::pair<Vector, Vector> load_32(const BF16* p) {
    const __m512i kFirst = _mm512_set_epi16(15, 0, 14, 0, 13, 0, 12, 0, 11, 0, 10, 0, 9, 0, 8, 0, 7, 0, 6, 0, 5, 0, 4, 0, 3, 0, 2, 0, 1, 0, 0, 0);
    const __m512i kSecond = _mm512_set_epi16(31, 0, 30, 0, 29, 0, 28, 0, 27, 0, 26, 0, 25, 0, 24, 0, 23, 0, 22, 0, 21, 0, 20, 0, 19, 0, 18, 0, 17, 0, 16, 0);
    constexpr __mmask32 kUpper = 0xAAAAAAAA;
    const __m512i both = _mm512_loadu_si512(p);
    return {{_mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(kUpper, kFirst, both))},
            {_mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(kUpper, kSecond, both))}};
  }
  // x / (1 + e) for results that are rounded to bf16, e = 2^t, t = -alpha x / log 2, within 3e-4 of itself or 2^-120: the power of t's fraction is a
  // polynomial of the third degree (2^f on [0, 1) within 8e-5), and the reciprocal has 14 bits. Nothing is cut off: e = 0 gives x, an infinite one 0.
  static Vector short_swish(Vector x, Vector alpha) {
    const __m512 t = _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(-1.44269504f), alpha.v), x.v);
    const __m512 f = _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // 0 of an infinite t
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0.0780236f), f, _mm512_set1_ps(0.22606866f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.69583285f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.9999253f));
    return {_mm512_mul_ps(x.v, _mm512_rcp14_ps(_mm512_add_ps(_mm512_set1_ps(1.0f), _mm512_scalef_ps(p, t))))};
  }
  static Vector as_pairs(__m512bh x) { return {reinterpret_cast<__m512>(x)}; }
  static Vector rounded_neighbours(Vector low, Vector high) { return as_pairs(_mm512_cvtne2ps_pbh(high.v, low.v)); }
  static Vector rounded_pairs(Vector even, Vector odd) {
    const __m512i kInTurns = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i apart = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd.v, even.v));
    return {_mm512_castsi512_ps(_mm512_permutexvar_epi16(kInTurns, apart))};
  }
  // 32 columns of R rows.
  template <int R>
  static void scale_32(const BF16* x, int64_t x_stride, const float* factors, BF16* y, int64_t y_stride) {
    const auto wide = [](const BF16* p) {
      return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
    };
    const __m512 low = _mm512_loadu_ps(factors), high = _mm512_loadu_ps(factors + 16);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r, x += x_stride, y += y_stride) {
      const __m512bh scaled = _mm512_cvtne2ps_pbh(_mm512_mul_ps(wide(x + 16), high), _mm512_mul_ps(wide(x), low));
      _mm512_storeu_si512(y, reinterpret_cast<__m512i>(scaled));
    }
  }
  static void store_16(Vector x, BF16* p, Vector::Part part) { _mm256_mask_storeu_epi16(p, part, rounded(x)); }
};

// For the tile of depthwise convolutions.
struct Bf16Numbers {
  using Number = BF16;
  using Vector = Avx512Vector;
  static Vector load(const BF16* p) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16))};
  }
  static Vector load(const BF16* p, Vector::Part part) { return Bf16Vectors::load_16(p, part); }
  static void store(Vector x, BF16* p) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), Bf16Vectors::rounded(x)); }
  static void store(Vector x, BF16* p, Vector::Part part) { Bf16Vectors::store_16(x, p, part); }
  static Vector swish(Vector x, Vector alpha) { return Bf16Vectors::short_swish(x, alpha); }
};

}  // namespace
}  // namespace tandem::cpu
