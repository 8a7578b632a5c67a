// Dot products of rows with weights of 4 bits by AVX-512 VNNI: whole numbers, added exactly.
//
// A row becomes numbers of 24 bits in steps of their own for each sixteen, three digits of a byte each. A lane takes two words that follow each other,
// the numbers of one step and one block: 256 weights are brought there by two shuffles and split by two shifts and four ANDs, twelve instructions
// multiply them with the digits, and sums become floats once for sixteen numbers: 28 instructions for 128 bytes, where converting
// each weight to a float and multiplying takes 52. A number is wrong by at most 2^-23 of the largest of its sixteen, as sums in f32 are;
// where that is below 1e-31, by at most 2^-127. Sixteen numbers one of which is infinite or NaN make a NaN.
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <type_traits>

#include "kernels/cpu/simd/block_dots.h"

namespace tandem::cpu::simd {
namespace {

constexpr int64_t kLanes = 16, kPlaces = 8;  // words of a vector, numbers of a word
constexpr int64_t kPair = 2 * kLanes;         // words that go together
constexpr float kLargest = 8355000;           // below 127 * (2^16 + 2^8 + 1), what three digits hold
constexpr int64_t kAhead = 768;               // words, at least, between those multiplied and those asked for: 3 KiB
constexpr int kDigits = 3, kParts = 4;        // parts: even and odd places of a lane's first word, and of its second one

// The first word of a lane. Shuffles of two vectors of words stay within 128 bits, of which each gives every lane pair its half.
constexpr int64_t first_word(int64_t lane) { return lane % 4 / 2 * kLanes + lane / 4 * 4 + lane % 2 * 2; }

// What two vectors of words are multiplied with.
struct alignas(64) SpreadWords {
  __m512i digits[kDigits][kParts];  // the lowest first; four to a word
  __m512i offset;                   // -8 times the sum of a lane's numbers: what the zero point 8 takes off
  __m512 step;                      // of a lane's numbers
};

int64_t spread_elements(int64_t words, int64_t) {
  return (words + kPair - 1) / kPair * static_cast<int64_t>(sizeof(SpreadWords) / sizeof(float));
}

// The magnitude of the largest of eight numbers in bits; that of NaN is above all others.
__m128i largest_bits(__m256 x) {
  const __m256i bits = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
  return _mm_max_epu32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
}

// Eight numbers as digits: the even places of each digit, then the odd ones; the lowest digit first.
void split_eight(__m256 x, float step, uint32_t (&digits)[2 * kDigits]) {
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
}

// Sixteen numbers, as above for each eight, and their step.
float split(__m256 x, __m256 y, uint32_t (&digits)[2][2 * kDigits]) {
  __m128i most = _mm_max_epu32(largest_bits(x), largest_bits(y));
  most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0x4e));
  most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0xb1));
  const auto largest = std::bit_cast<float>(_mm_cvtsi128_si32(most));
  const float step = std::max(largest * (1 / kLargest), std::numeric_limits<float>::min());
  split_eight(x, step, digits[0]);
  split_eight(y, step, digits[1]);
  return largest <= std::numeric_limits<float>::max() ? step : std::numeric_limits<float>::quiet_NaN();
}

__m512i joined(const __m512i (&digits)[kDigits]) {
  const __m512i high = _mm512_add_epi32(_mm512_slli_epi32(digits[2], 8), digits[1]);
  return _mm512_add_epi32(_mm512_slli_epi32(high, 8), digits[0]);
}

void spread(const float* a, int64_t k, int64_t words, int64_t, float* to) {
  auto* out = reinterpret_cast<SpreadWords*>(to);
  for (int64_t word = 0; word < words; word += kPair, ++out) {
    alignas(64) uint32_t digits[kDigits][kParts][kLanes];
    alignas(64) float steps[kLanes];
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const auto numbers = [&](int64_t of) {
        const int64_t at = std::min((word + first_word(lane) + of) * kPlaces, k), count = std::min(kPlaces, k - at);
        return _mm256_maskz_loadu_ps(static_cast<__mmask8>((1U << count) - 1), a + at);
      };
      uint32_t own[2][2 * kDigits];
      steps[lane] = split(numbers(0), numbers(1), own);
      for (int part = 0; part < kParts; ++part)
        for (int digit = 0; digit < kDigits; ++digit) digits[digit][part][lane] = own[part / 2][2 * digit + part % 2];
    }
    __m512i sums[kDigits];
    for (int digit = 0; digit < kDigits; ++digit) {
      sums[digit] = _mm512_setzero_si512();
      for (int part = 0; part < kParts; ++part) {
        out->digits[digit][part] = _mm512_load_si512(digits[digit][part]);
        sums[digit] = _mm512_dpbusd_epi32(sums[digit], _mm512_set1_epi8(1), out->digits[digit][part]);
      }
    }
    out->offset = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(joined(sums), 3));
    out->step = _mm512_load_ps(steps);
  }
}

// What each lane's block has, from a list with one number a block.
class PerBlock {
 public:
  explicit PerBlock(int64_t block_words) : shift_(std::countr_zero(static_cast<uint64_t>(block_words))) {
    alignas(64) int32_t blocks[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) blocks[lane] = static_cast<int32_t>(first_word(lane) >> shift_);
    block_of_lane_ = _mm512_load_si512(blocks);
  }
  int64_t count_of(int64_t words) const { return words >> shift_; }  // whole ones
  __m512 operator()(const float* list, int64_t word, int64_t count) const {
    const float* first = list + (word >> shift_);
    const int64_t blocks = count_of(count);
    if (blocks == 8) return _mm512_permutexvar_ps(block_of_lane_, _mm512_zextps256_ps512(_mm256_loadu_ps(first)));
    if (blocks <= 1) return _mm512_set1_ps(*first);
    return _mm512_permutexvar_ps(block_of_lane_, _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << blocks) - 1), first));
  }

 private:
  int shift_;
  __m512i block_of_lane_;
};

// Two vectors of words, lane by lane those that belong together, as numbers: kParts.
struct Numbers {
  __m512i part[kParts];
  [[gnu::always_inline]] Numbers(__m512i words, __m512i more) {
    const auto shuffled = [&](auto order) {
      return _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(words), _mm512_castsi512_ps(more), decltype(order)::value));
    };
    const __m512i low = _mm512_set1_epi8(15);
    const __m512i first = shuffled(std::integral_constant<int, 0x88>()), second = shuffled(std::integral_constant<int, 0xdd>());
    part[0] = _mm512_and_si512(first, low), part[1] = _mm512_and_si512(_mm512_srli_epi32(first, 4), low);
    part[2] = _mm512_and_si512(second, low), part[3] = _mm512_and_si512(_mm512_srli_epi32(second, 4), low);
  }
};

// The sums of the lanes of each of C vectors, in an order that is the same for all.
template <int C>
void store_sums(const __m512 (&totals)[C], float* out) {
  const auto total = [&](int c) { return c < C ? totals[c] : _mm512_setzero_ps(); };
  const auto halved = [](__m512 x, __m512 y) { return _mm512_add_ps(_mm512_unpacklo_ps(x, y), _mm512_unpackhi_ps(x, y)); };
  const __m512d first = _mm512_castps_pd(halved(total(0), total(1))), second = _mm512_castps_pd(halved(total(2), total(3)));
  const __m512 quarters = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(first, second)), _mm512_castpd_ps(_mm512_unpackhi_pd(first, second)));
  const __m256 eighths = _mm256_add_ps(_mm512_castps512_ps256(quarters), _mm512_extractf32x8_ps(quarters, 1));
  _mm_mask_storeu_ps(out, (1 << C) - 1, _mm_add_ps(_mm256_castps256_ps128(eighths), _mm256_extractf128_ps(eighths, 1)));
}

// R rows by C columns that follow each other. Memory is asked for in its order, not in that of the columns.
template <int R, int C, bool kZeros>
void dot_rows(const BlockColumn& column, const PerBlock& per_block, const float* spread, float* out) {
  const int64_t blocks = per_block.count_of(column.count), stride = (column.count + kPair - 1) / kPair;
  const int64_t far = std::max(C * column.count, kAhead);
  const auto* const first = reinterpret_cast<const uint32_t*>(column.words);
  const auto* row = reinterpret_cast<const SpreadWords*>(spread);
  __m512 totals[R][C];
#pragma GCC unroll 4
  for (auto& of_row : totals)
#pragma GCC unroll 4
    for (auto& total : of_row) total = _mm512_setzero_ps();
  // `count` words of each column; loads without a mask are quicker.
  const auto add = [&](auto whole, int64_t word, int64_t count) __attribute__((always_inline)) {
    const auto load = [&](const uint32_t* words, int64_t left) {
      if constexpr (whole) return _mm512_loadu_si512(words);
      const int64_t kept = std::clamp<int64_t>(left, 0, kLanes);
      return _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1U << kept) - 1), words);
    };
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      const uint32_t* const words = first + c * column.count + word;
      const uint32_t* const ahead = first + C * word + c * kPair + far;
      _mm_prefetch(reinterpret_cast<const char*>(ahead), _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(ahead + kLanes), _MM_HINT_T0);
      const Numbers numbers(load(words, count), load(words + kLanes, count - kLanes));
      const __m512 scale = per_block(column.scale + c * blocks, word, count);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const SpreadWords& x = row[r * stride];
        __m512i sums[kDigits] = {kZeros ? _mm512_setzero_si512() : x.offset, _mm512_setzero_si512(), _mm512_setzero_si512()};
#pragma GCC unroll 4
        for (int part = 0; part < kParts; ++part)
#pragma GCC unroll 3
          for (int digit = 0; digit < kDigits; ++digit) sums[digit] = _mm512_dpbusd_epi32(sums[digit], numbers.part[part], x.digits[digit][part]);
        __m512 sum = _mm512_cvtepi32_ps(joined(sums));
        if constexpr (kZeros) {
          const __m512 eighth = _mm512_mul_ps(_mm512_cvtepi32_ps(x.offset), _mm512_set1_ps(0.125f));
          sum = _mm512_fmadd_ps(per_block(column.zero + c * blocks, word, count), eighth, sum);
        }
        totals[r][c] = _mm512_fmadd_ps(_mm512_mul_ps(sum, x.step), scale, totals[r][c]);
      }
    }
  };
  int64_t word = 0;
  for (; word + kPair <= column.count; word += kPair, ++row) add(std::true_type(), word, kPair);
  if (word < column.count) add(std::false_type(), word, column.count - word);
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) store_sums(totals[r], out + r * BlockDotOps::kColumns);
}

template <int R, bool kZeros>
void dot_columns(BlockColumn column, int64_t columns, const float* spread, float* out) {
  constexpr int C = R <= 2 ? 4 : 2;
  const PerBlock per_block(column.block_words);
  const int64_t blocks = per_block.count_of(column.count);
  for (int64_t done = 0; done < columns;) {
    const bool some = columns - done >= C;
    (some ? dot_rows<R, C, kZeros> : dot_rows<R, 1, kZeros>)(column, per_block, spread, out + done);
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
