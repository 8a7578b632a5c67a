// Eight floats of AVX2 with FMA, for the templates of its tiers. In an unnamed namespace: only files compiled with the tier's flags include it.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tandem::cpu {
namespace {

struct Avx2Vector {
  using Scalar = float;
  struct Part {
    __m256i lanes;
  };
  static constexpr int kLanes = 8, kRows = 6, kVectors = 2;
  static constexpr int wide_panels(int rows) { return rows == 1 ? 4 : rows <= 3 ? 2 : 1; }

  __m256 v;

  static Part part(int64_t n) {
    return {_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))};
  }
  static Avx2Vector load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static Avx2Vector load(const float* p, Part part) { return {_mm256_maskload_ps(p, part.lanes)}; }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store(float* p, Part part) const { _mm256_maskstore_ps(p, part.lanes, v); }
  static Avx2Vector set(float x) { return {_mm256_set1_ps(x)}; }
  static void transpose(Avx2Vector (&rows)[8]) {
    __m256 pairs[8], quads[8];
    for (int i = 0; i < 8; i += 2) {
      pairs[i] = _mm256_unpacklo_ps(rows[i].v, rows[i + 1].v);
      pairs[i + 1] = _mm256_unpackhi_ps(rows[i].v, rows[i + 1].v);
    }
    for (int i = 0; i < 8; i += 4)
      for (int j = 0; j < 2; ++j) {
        quads[i + 2 * j] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0x44);
        quads[i + 2 * j + 1] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0xee);
      }
    for (int i = 0; i < 4; ++i) {
      rows[i].v = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
      rows[i + 4].v = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
    }
  }
  friend Avx2Vector operator+(Avx2Vector a, Avx2Vector b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend Avx2Vector operator-(Avx2Vector a, Avx2Vector b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend Avx2Vector operator*(Avx2Vector a, Avx2Vector b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend Avx2Vector fma(Avx2Vector a, Avx2Vector b, Avx2Vector c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  friend Avx2Vector relu(Avx2Vector a) { return {_mm256_max_ps(_mm256_setzero_ps(), a.v)}; }  // this order keeps NaN
  friend Avx2Vector where_positive(Avx2Vector gate, Avx2Vector a) {
    return {_mm256_and_ps(_mm256_cmp_ps(gate.v, _mm256_setzero_ps(), _CMP_GT_OQ), a.v)};
  }
  friend Avx2Vector clamp(Avx2Vector low, Avx2Vector a, Avx2Vector high) {  // NaN stays
    return {_mm256_min_ps(high.v, _mm256_max_ps(low.v, a.v))};
  }
  // shifted: n + 1.5 * 2^23 for a whole n; both a and the result normal.
  friend Avx2Vector times_power_of_two(Avx2Vector a, Avx2Vector shifted) {
    return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a.v), _mm256_slli_epi32(_mm256_castps_si256(shifted.v), 23)))};
  }
  friend Avx2Vector reciprocal(Avx2Vector a) { return {_mm256_div_ps(_mm256_set1_ps(1.0f), a.v)}; }
};

}  // namespace
}  // namespace tandem::cpu
