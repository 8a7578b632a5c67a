// Dot products of rows with weights of 4 bits by AVX-512 VNNI: whole numbers, added exactly.
//
// A row becomes numbers of 24 bits in steps of their own for each eight, three digits of a byte each. 128 weights are split by one shift and two ANDs,
// six instructions multiply them with the digits, and sums become floats once for eight numbers: 17 instructions for 64 bytes, where converting
// each weight to a float and multiplying takes 26. A number is wrong by at most 2^-23 of the largest of its eight, as sums in f32 are;
// where that is below 1e-31, by at most 2^-127. Eight numbers one of which is infinite or NaN make a NaN.
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "kernels/cpu/simd/block_dots.h"

namespace tandem::cpu::simd {
namespace {

constexpr int64_t kLanes = 16, kPlaces = 8;  // words of a vector, numbers of a word
constexpr float kLargest = 8355000;           // below 127 * (2^16 + 2^8 + 1), what three digits hold
constexpr int kDigits = 3;

// What a vector of words is multiplied with.
struct alignas(64) SpreadWords {
  __m512i digits[kDigits][2];  // the lowest first; of even and of odd places, four to a word
  __m512i eightfold;           // 8 times the sum of a word's numbers: what the zero point 8 takes off
  __m512 step;                 // of a word's numbers
};

int64_t spread_elements(int64_t words, int64_t) {
  return (words + kLanes - 1) / kLanes * static_cast<int64_t>(sizeof(SpreadWords) / sizeof(float));
}

// Eight numbers as digits, even and odd places of the lowest digit first, and their step.
float split(__m256 x, uint32_t (&digits)[2 * kDigits]) {
  const __m256i bits = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
  __m128i most = _mm_max_epu32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
  most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0x4e));
  most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0xb1));
  const auto largest = std::bit_cast<float>(_mm_cvtsi128_si32(most));  // NaN, if one is
  const float step = std::max(largest * (1 / kLargest), std::numeric_limits<float>::min());
  const __m256i whole = _mm256_cvtps_epi32(_mm256_div_ps(x, _mm256_set1_ps(step)));
  const __m256i bias = _mm256_set1_epi32(0x808080);  // bytes of a sum with it are digits from 0 to 255 in place of -128 to 127
  const __m256i bytes = _mm256_xor_si256(_mm256_add_epi32(whole, bias), bias);
  const __m256i order = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15));
  const __m256i pairs = _mm256_shuffle_epi8(bytes, order);
  const __m128i first = _mm256_castsi256_si128(pairs), second = _mm256_extracti128_si256(pairs, 1);
  alignas(16) uint32_t sorted[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(sorted), _mm_unpacklo_epi16(first, second));
  _mm_store_si128(reinterpret_cast<__m128i*>(sorted + 4), _mm_unpackhi_epi16(first, second));
  std::copy_n(sorted, 2 * kDigits, digits);
  return largest <= std::numeric_limits<float>::max() ? step : std::numeric_limits<float>::quiet_NaN();
}

__m512i joined(const __m512i (&digits)[kDigits]) {
  const __m512i high = _mm512_add_epi32(_mm512_slli_epi32(digits[2], 8), digits[1]);
  return _mm512_add_epi32(_mm512_slli_epi32(high, 8), digits[0]);
}

void spread(const float* a, int64_t k, int64_t words, int64_t, float* to) {
  auto* out = reinterpret_cast<SpreadWords*>(to);
  for (int64_t word = 0; word < words; word += kLanes, ++out) {
    alignas(64) uint32_t digits[2 * kDigits][kLanes];
    alignas(64) float steps[kLanes];
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const int64_t at = std::min((word + lane) * kPlaces, k), count = std::min(kPlaces, k - at);
      uint32_t own[2 * kDigits];
      steps[lane] = split(_mm256_maskz_loadu_ps(static_cast<__mmask8>((1U << count) - 1), a + at), own);
      for (int i = 0; i < 2 * kDigits; ++i) digits[i][lane] = own[i];
    }
    __m512i sums[kDigits];
    for (int digit = 0; digit < kDigits; ++digit) {
      sums[digit] = _mm512_setzero_si512();
      for (int odd = 0; odd < 2; ++odd) {
        out->digits[digit][odd] = _mm512_load_si512(digits[2 * digit + odd]);
        sums[digit] = _mm512_dpbusd_epi32(sums[digit], _mm512_set1_epi8(1), out->digits[digit][odd]);
      }
    }
    out->eightfold = _mm512_slli_epi32(joined(sums), 3);
    out->step = _mm512_load_ps(steps);
  }
}

// What each lane's block has, from a list with one number a block.
class PerBlock {
 public:
  explicit PerBlock(int64_t block_words) : shift_(std::countr_zero(static_cast<uint64_t>(block_words))) {
    alignas(64) int32_t blocks[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) blocks[lane] = lane >> shift_;
    block_of_lane_ = _mm512_load_si512(blocks);
  }
  __m512 operator()(const float* list, int64_t word, int64_t count) const {
    const float* first = list + (word >> shift_);
    if ((int64_t{1} << shift_) >= kLanes) return _mm512_set1_ps(*first);
    const int64_t blocks = count >> shift_;  // whole ones
    return _mm512_permutexvar_ps(block_of_lane_, _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << blocks) - 1), first));
  }

 private:
  int shift_;
  __m512i block_of_lane_;
};

// R rows by C columns that follow each other. Memory is asked for in its order, not in that of the columns.
template <int R, int C, bool kZeros>
void dot_rows(const BlockColumn& column, const float* spread, float* out) {
  const PerBlock per_block(column.block_words);
  const int64_t blocks = column.count / column.block_words, stride = (column.count + kLanes - 1) / kLanes;
  const auto* const first = reinterpret_cast<const uint32_t*>(column.words);
  const auto* row = reinterpret_cast<const SpreadWords*>(spread);
  const __m512i low = _mm512_set1_epi8(15);
  __m512 totals[R][C];
#pragma GCC unroll 4
  for (auto& of_row : totals)
#pragma GCC unroll 4
    for (auto& total : of_row) total = _mm512_setzero_ps();
  for (int64_t word = 0; word < column.count; word += kLanes, ++row) {
    const int64_t count = std::min(kLanes, column.count - word);
    const auto lanes = static_cast<__mmask16>((1U << count) - 1);
    __m512i even[C], odd[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      _mm_prefetch(reinterpret_cast<const char*>(first + C * column.count + C * word + c * kLanes), _MM_HINT_T0);
      const __m512i words = _mm512_maskz_loadu_epi32(lanes, first + c * column.count + word);
      even[c] = _mm512_and_si512(words, low);
      odd[c] = _mm512_and_si512(_mm512_srli_epi32(words, 4), low);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const SpreadWords& x = row[r * stride];
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        __m512i sums[kDigits];
#pragma GCC unroll 3
        for (int digit = 0; digit < kDigits; ++digit) {
          sums[digit] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), even[c], x.digits[digit][0]);
          sums[digit] = _mm512_dpbusd_epi32(sums[digit], odd[c], x.digits[digit][1]);
        }
        __m512 sum;
        if constexpr (kZeros) {
          const __m512 numbers = _mm512_mul_ps(_mm512_cvtepi32_ps(x.eightfold), _mm512_set1_ps(0.125f));
          sum = _mm512_fnmadd_ps(per_block(column.zero + c * blocks, word, count), numbers, _mm512_cvtepi32_ps(joined(sums)));
        } else {
          sum = _mm512_cvtepi32_ps(_mm512_sub_epi32(joined(sums), x.eightfold));
        }
        totals[r][c] = _mm512_fmadd_ps(_mm512_mul_ps(sum, x.step), per_block(column.scale + c * blocks, word, count), totals[r][c]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) out[r * BlockDotOps::kColumns + c] = _mm512_reduce_add_ps(totals[r][c]);
}

template <int R, bool kZeros>
void dot_columns(BlockColumn column, int64_t columns, const float* spread, float* out) {
  constexpr int C = R <= 2 ? 4 : 2;
  const int64_t blocks = column.count / column.block_words;
  for (int64_t done = 0; done < columns;) {
    const bool some = columns - done >= C;
    (some ? dot_rows<R, C, kZeros> : dot_rows<R, 1, kZeros>)(column, spread, out + done);
    const int64_t step = some ? C : 1;
    column.words += 4 * column.count * step, column.scale += blocks * step, done += step;
    if (kZeros) column.zero += blocks * step;
  }
}

template <int R>
void dot_of_rows(const BlockColumn& column, int64_t columns, const float* spread, float* out) {
  (column.zero ? dot_columns<R, true> : dot_columns<R, false>)(column, columns, spread, out);
}

void dot(const BlockColumn& column, int64_t columns, const float* spread, int64_t rows, float* out) {
  switch (rows) {
    case 1: return dot_of_rows<1>(column, columns, spread, out);
    case 2: return dot_of_rows<2>(column, columns, spread, out);
    case 3: return dot_of_rows<3>(column, columns, spread, out);
    default: return dot_of_rows<4>(column, columns, spread, out);
  }
}

}  // namespace

constinit const BlockDotOps kVnniNibbleDots = {spread_elements, spread, dot};

}  // namespace tandem::cpu::simd
