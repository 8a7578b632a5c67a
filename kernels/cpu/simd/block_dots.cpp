// Compiled once per instruction set by Highway's foreach_target; see block_dots.h for the contract.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd/block_dots.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <bit>

#include "kernels/cpu/simd/block_dots.h"
#include "kernels/cpu/simd/part-inl.h"
#include "kernels/cpu/simd/targets.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Words = hn::ScalableTag<uint32_t>;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(Floats())); }

int64_t spread_elements(int64_t words, int64_t bits) { return (words + lanes() - 1) / lanes() * lanes() * (32 / bits + 1); }

void spread(const float* a, int64_t k, int64_t words, int64_t bits, float* out) {
  const int64_t places = 32 / bits;
  for (int64_t word = 0; word < words; word += lanes(), out += (places + 1) * lanes())
    for (int64_t lane = 0; lane < lanes(); ++lane) {
      float sum = 0;
      for (int64_t place = 0; place < places; ++place) {
        const int64_t at = (word + lane) * places + place;
        const float x = at < k ? a[at] : 0.0f;
        out[place * lanes() + lane] = x;
        sum += x;
      }
      out[places * lanes() + lane] = sum;
    }
}

// The numbers at one place of the words, shifted there.
template <int kBits>
HWY_INLINE hn::Vec<Floats> numbers_of(hn::Vec<Words> shifted) {
  const Floats d;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  // A table of the sixteen numbers, whose look-up takes the lowest bits: one instruction, not two.
  if constexpr (kBits == 4)
    return hn::TableLookupLanes(hn::Iota(d, 0.0f), hn::Indices512<float>{hn::BitCast(hn::RebindToSigned<Words>(), shifted).raw});
#endif
  const auto kept = hn::And(shifted, hn::Set(Words(), (1U << kBits) - 1));
  return hn::ConvertTo(d, hn::BitCast(hn::RebindToSigned<Words>(), kept));
}

// What each lane's block has, from a list with one number a block.
struct PerBlock {
  int64_t block_words;
  int shift;  // from words to blocks
  hn::Vec<hn::RebindToSigned<Words>> block_of_lane;

  HWY_INLINE explicit PerBlock(int64_t words) : block_words(words), shift(std::countr_zero(static_cast<uint64_t>(words))) {
    const hn::RebindToSigned<Words> d;
    HWY_ALIGN int32_t blocks[hn::MaxLanes(Floats())];
    for (int64_t lane = 0; lane < lanes(); ++lane) blocks[lane] = static_cast<int32_t>(lane >> shift);
    block_of_lane = hn::Load(d, blocks);
  }
  HWY_INLINE hn::Vec<Floats> operator()(const float* list, int64_t word, int64_t count) const {
    const Floats d;
    if (block_words >= lanes()) return hn::Set(d, list[word >> shift]);
    const auto some = load_lanes(d, list + (word >> shift), (count + block_words - 1) >> shift);
    return hn::TableLookupLanes(some, hn::IndicesFromVec(d, block_of_lane));
  }
};

// The places from kPlace on of a vector of words of C columns, into the sums of R rows with each.
template <int kBits, int R, int C, int kPlace = 0>
HWY_INLINE void add_places(hn::Vec<Words> (&words)[C], const float* row, int64_t stride, hn::Vec<Floats> (&sums)[R][C]) {
  const Floats d;
  hn::Vec<Floats> numbers[C];
#pragma GCC unroll 4
  for (int c = 0; c < C; ++c) {
    numbers[c] = numbers_of<kBits>(words[c]);
    if constexpr ((kPlace + 1) * kBits < 32) words[c] = hn::ShiftRight<kBits>(words[c]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    const auto a = hn::LoadU(d, row + r * stride + kPlace * lanes());
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) sums[r][c] = kPlace == 0 ? hn::Mul(a, numbers[c]) : hn::MulAdd(a, numbers[c], sums[r][c]);
  }
  if constexpr ((kPlace + 1) * kBits < 32) add_places<kBits, R, C, kPlace + 1>(words, row, stride, sums);
}

// R rows by C columns that follow each other: several, so that enough sums are in flight and memory is read in several places.
template <int kBits, int R, int C>
void dot_rows(const BlockColumn& column, const float* row, float* out) {
  const Floats d;
  constexpr int kPlaces = 32 / kBits;
  const PerBlock per_block(column.block_words);
  const int64_t stride = spread_elements(column.count, kBits), blocks = column.count / column.block_words;
  const auto none = hn::Set(d, static_cast<float>(1 << (kBits - 1)));
  const auto* const first = reinterpret_cast<const uint32_t*>(column.words);
  hn::Vec<Floats> totals[R][C], sums[R][C];
#pragma GCC unroll 4
  for (auto& of_row : totals)
#pragma GCC unroll 4
    for (auto& total : of_row) total = hn::Zero(d);
  for (int64_t word = 0; word < column.count; word += lanes(), row += (kPlaces + 1) * lanes()) {
    const int64_t count = std::min(lanes(), column.count - word);
    hn::Vec<Words> words[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      const uint32_t* at = first + c * column.count + word;
      __builtin_prefetch(at + C * column.count);
      words[c] = load_lanes(Words(), at, count);
    }
    add_places<kBits, R, C>(words, row, stride, sums);
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      const auto scale = per_block(column.scale + c * blocks, word, count);
      const auto zero = column.zero ? per_block(column.zero + c * blocks, word, count) : none;
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const auto centered = hn::NegMulAdd(zero, hn::LoadU(d, row + r * stride + kPlaces * lanes()), sums[r][c]);
        totals[r][c] = hn::MulAdd(centered, scale, totals[r][c]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) out[r * BlockDotOps::kColumns + c] = hn::GetLane(hn::SumOfLanes(d, totals[r][c]));
}

template <int kBits, int R>
void dot_columns(BlockColumn column, int64_t columns, const float* spread, float* out) {
  constexpr int C = R == 1 ? 4 : R == 2 ? 2 : 1;
  const int64_t blocks = column.count / column.block_words;
  for (int64_t done = 0; done < columns;) {
    const bool some = columns - done >= C;
    (some ? dot_rows<kBits, R, C> : dot_rows<kBits, R, 1>)(column, spread, out + done);
    const int64_t step = some ? C : 1;
    column.words += 4 * column.count * step, column.scale += blocks * step, done += step;
    if (column.zero) column.zero += blocks * step;
  }
}

template <int kBits>
void dot_of_bits(const BlockColumn& column, int64_t columns, const float* spread, int64_t rows, float* out) {
  switch (rows) {
    case 1: return dot_columns<kBits, 1>(column, columns, spread, out);
    case 2: return dot_columns<kBits, 2>(column, columns, spread, out);
    case 3: return dot_columns<kBits, 3>(column, columns, spread, out);
    default: return dot_columns<kBits, 4>(column, columns, spread, out);
  }
}

void dot(const BlockColumn& column, int64_t columns, const float* spread, int64_t rows, float* out) {
  if (column.bits == 2) return dot_of_bits<2>(column, columns, spread, rows, out);
  if (column.bits == 4) return dot_of_bits<4>(column, columns, spread, rows, out);
  dot_of_bits<8>(column, columns, spread, rows, out);
}

constexpr BlockDotOps kBlockDotOps = {spread_elements, spread, dot};

const BlockDotOps* block_dots() { return &kBlockDotOps; }

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu::simd {

HWY_EXPORT(block_dots);

const BlockDotOps& block_dot_ops(int64_t bits) {
  if (const BlockDotOps* nibbles = bits == 4 ? nibble_dots(chosen_isa()) : nullptr) return *nibbles;
  choose_targets();
  return *HWY_DYNAMIC_DISPATCH(block_dots)();
}

}  // namespace tandem::cpu::simd
#endif
