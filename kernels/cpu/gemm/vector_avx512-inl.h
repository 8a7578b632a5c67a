// Sixteen floats of AVX-512, for the templates of its tiers. In an unnamed namespace: only files compiled with the tier's flags include it.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tandem::cpu {
namespace {

// The tile of products is R rows by W vectors.
template <int R, int W>
struct Avx512VectorOf {
  using Avx512Vector = Avx512VectorOf;
  using Scalar = float;
  using Part = __mmask16;
  static constexpr int kLanes = 16, kRows = R, kVectors = W;
  // So many that their sums and the vectors of B fit in the registers.
  static constexpr int wide_panels(int rows) {
    const int most = 30 / (W * (rows + 1));
    return most > 4 ? 4 : most > 1 ? most : 1;
  }

  __m512 v;

  static Part part(int64_t n) { return static_cast<Part>((1u << n) - 1); }
  static Avx512Vector load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Avx512Vector load(const float* p, Part part) { return {_mm512_maskz_loadu_ps(part, p)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store(float* p, Part part) const { _mm512_mask_storeu_ps(p, part, v); }
  // Holds it in a register: GCC would read memory again for each multiply-add that takes it.
  void hold() { asm("" : "+v"(v)); }
  static Avx512Vector set(float x) { return {_mm512_set1_ps(x)}; }
  static void transpose(Avx512Vector (&rows)[16]) {
    __m512 pairs[16], quads[16], halves[16];
    for (int i = 0; i < 16; i += 2) {
      pairs[i] = _mm512_unpacklo_ps(rows[i].v, rows[i + 1].v);
      pairs[i + 1] = _mm512_unpackhi_ps(rows[i].v, rows[i + 1].v);
    }
    for (int i = 0; i < 16; i += 4)
      for (int j = 0; j < 2; ++j) {
        quads[i + 2 * j] = _mm512_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0x44);
        quads[i + 2 * j + 1] = _mm512_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0xee);
      }
    // quads[4q + c] holds column c, c + 4, c + 8, c + 12 of rows 4q to 4q + 3, one 128-bit quarter each.
    for (int c = 0; c < 4; ++c) {
      halves[c] = _mm512_shuffle_f32x4(quads[c], quads[c + 4], 0x88);
      halves[c + 4] = _mm512_shuffle_f32x4(quads[c], quads[c + 4], 0xdd);
      halves[c + 8] = _mm512_shuffle_f32x4(quads[c + 8], quads[c + 12], 0x88);
      halves[c + 12] = _mm512_shuffle_f32x4(quads[c + 8], quads[c + 12], 0xdd);
    }
    for (int c = 0; c < 4; ++c) {
      rows[c].v = _mm512_shuffle_f32x4(halves[c], halves[c + 8], 0x88);
      rows[c + 8].v = _mm512_shuffle_f32x4(halves[c], halves[c + 8], 0xdd);
      rows[c + 4].v = _mm512_shuffle_f32x4(halves[c + 4], halves[c + 12], 0x88);
      rows[c + 12].v = _mm512_shuffle_f32x4(halves[c + 4], halves[c + 12], 0xdd);
    }
  }
  friend Avx512Vector operator+(Avx512Vector a, Avx512Vector b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend Avx512Vector operator-(Avx512Vector a, Avx512Vector b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend Avx512Vector operator*(Avx512Vector a, Avx512Vector b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend Avx512Vector fma(Avx512Vector a, Avx512Vector b, Avx512Vector c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  friend Avx512Vector relu(Avx512Vector a) { return {_mm512_max_ps(_mm512_setzero_ps(), a.v)}; }  // this order keeps NaN
  friend Avx512Vector where_positive(Avx512Vector gate, Avx512Vector a) {
    return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(gate.v, _mm512_setzero_ps(), _CMP_GT_OQ), a.v)};
  }
  friend Avx512Vector clamp(Avx512Vector low, Avx512Vector a, Avx512Vector high) {  // NaN stays
    return {_mm512_min_ps(high.v, _mm512_max_ps(low.v, a.v))};
  }
  // shifted: n + 1.5 * 2^23 for a whole n; both a and the result normal.
  friend Avx512Vector times_power_of_two(Avx512Vector a, Avx512Vector shifted) {
    return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23)))};
  }
  // Of 1 to 2^126, within 1 ULP: 14 bits and a step of Newton's.
  friend Avx512Vector reciprocal(Avx512Vector a) {
    const __m512 r = _mm512_rcp14_ps(a.v);
    return {_mm512_fmadd_ps(_mm512_fnmadd_ps(a.v, r, _mm512_set1_ps(1.0f)), r, r)};
  }
};
using Avx512Vector = Avx512VectorOf<12, 2>;

}  // namespace
}  // namespace tandem::cpu
