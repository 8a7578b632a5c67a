// The tile of block_tile.h by Arm's products of small matrices (I8MM, BF16): one instruction multiplies two rows of eight bytes of A by two
// columns of eight bytes of B and adds to a 2 x 2 block of sums. A template on what a tier's file defines; only those include it.
//
// R rows by half a panel, 8 columns, stay in registers: a register holds two rows by two columns. B's layout is the one of all tiers, quads of
// bytes: those of neighbouring steps of k are zipped, so that a column's eight bytes come together.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/gemm/integer_block.h"

namespace tandem::cpu {

// M has Number; Sum, a 2 x 2 block; zero(), multiply(Sum, Operand a, Operand b); first_rows and second_rows(left, right) of blocks side by side;
// add_to(seeds, line, to): to = seeds + four sums.
template <class M>
struct MatrixTile {
  using Number = typename M::Number;
  using Sum = typename M::Sum;
  static constexpr int kColumns = 8, kBlocks = kColumns / 2;
  static constexpr int64_t kQuadStep = 4 * kPanelColumns;  // bytes of a panel, a quad each column

  struct Weights {
    uint8x16_t block[kBlocks];
  };
  static const uint8_t* bytes(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }
  static uint8x16_t zipped_low(uint8x16_t a, uint8x16_t b) {
    return vreinterpretq_u8_u32(vzip1q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
  }
  static uint8x16_t zipped_high(uint8x16_t a, uint8x16_t b) {
    return vreinterpretq_u8_u32(vzip2q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b)));
  }
  // Two quads of k, or one, and zeros.
  template <bool kWhole>
  static Weights weights(const std::byte* p) {
    const uint8x16_t a = vld1q_u8(bytes(p)), b = vld1q_u8(bytes(p + 16));
    uint8x16_t next_a = vdupq_n_u8(0), next_b = next_a;
    if constexpr (kWhole) next_a = vld1q_u8(bytes(p + kQuadStep)), next_b = vld1q_u8(bytes(p + kQuadStep + 16));
    return {{zipped_low(a, next_a), zipped_high(a, next_a), zipped_low(b, next_b), zipped_high(b, next_b)}};
  }
  template <bool kWhole>
  static uint8x8_t row(const std::byte* p) {
    if constexpr (kWhole) return vld1_u8(bytes(p));
    uint32_t quad;
    std::memcpy(&quad, p, sizeof quad);
    return vcreate_u8(quad);
  }

  template <int R, bool kWhole>
  [[gnu::always_inline]] static void step(Sum (&sum)[(R + 1) / 2][kBlocks], const std::byte* a, int64_t stride, const std::byte* b) {
    const Weights w = weights<kWhole>(b);
#pragma GCC unroll 8
    for (int pair = 0; pair < (R + 1) / 2; ++pair) {
      const std::byte* first = a + 2 * pair * stride;
      // Of an odd number of rows the last is its own partner.
      const uint8x16_t rows = vcombine_u8(row<kWhole>(first), row<kWhole>(2 * pair + 1 < R ? first + stride : first));
#pragma GCC unroll 4
      for (int c = 0; c < kBlocks; ++c) sum[pair][c] = M::multiply(sum[pair][c], rows, w.block[c]);
    }
  }

  // sums[R][16] = seeds + R rows of `depth` bytes, `stride` apart, by a panel.
  template <int R>
  static void run(const std::byte* a, int64_t stride, int64_t depth, const std::byte* panel, const Number* seeds, Number* sums) {
    for (int64_t half = 0; half < kPanelColumns; half += kColumns) {
      Sum sum[(R + 1) / 2][kBlocks];
#pragma GCC unroll 8
      for (int pair = 0; pair < (R + 1) / 2; ++pair)
#pragma GCC unroll 4
        for (int c = 0; c < kBlocks; ++c) sum[pair][c] = M::zero();
      const std::byte* b = panel + 4 * half;
      int64_t k = 0;
      for (; k + 8 <= depth; k += 8) step<R, true>(sum, a + k, stride, b + k * kPanelColumns);
      if (k < depth) step<R, false>(sum, a + k, stride, b + k * kPanelColumns);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int c = 0; c < kBlocks; c += 2) {
          const Sum left = sum[r / 2][c], right = sum[r / 2][c + 1];
          const int64_t column = half + 2 * c;
          M::add_to(seeds + column, r % 2 == 0 ? M::first_rows(left, right) : M::second_rows(left, right),
                    sums + r * kPanelColumns + column);
        }
    }
  }
};

}  // namespace tandem::cpu
