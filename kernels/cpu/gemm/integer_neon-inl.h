// What the tiers of bytes on Arm share. Included by their files only, in an unnamed namespace.
//
// NEON and its dot products multiply bytes of one kind, i8 by i8. u8 are taken for i8 that are 128 less (one bit flipped), and what that takes
// from the sums, 128 times a sum of the other operand, is added: once a panel to its seeds, or once a row.
#pragma once

#include <arm_neon.h>

#include "kernels/cpu/gemm/integer_block_tile.h"
#include "kernels/cpu/gemm/integer_depthwise_line.h"
#include "kernels/cpu/gemm/integer_tile.h"

namespace tandem::cpu {
namespace {

int8x16_t load_bytes(const std::byte* p) { return vld1q_s8(reinterpret_cast<const int8_t*>(p)); }
int8x16_t flipped(int8x16_t bytes) { return veorq_s8(bytes, vdupq_n_s8(-128)); }
int8x16_t quad_everywhere(const std::byte* p) {
  int32_t quad;
  std::memcpy(&quad, p, sizeof quad);
  return vreinterpretq_s8_s32(vdupq_n_s32(quad));
}

// In lane i the four bytes from i * stride on, stride 1 or 2.
int8x16_t windows_of_line(const std::byte* line, int64_t stride) {
  static constexpr uint8_t kBytes[2][16] = {{0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6},
                                            {0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9}};
  return vqtbl1q_s8(load_bytes(line), vld1q_u8(kBytes[stride - 1]));
}

// 128 times the sum of n bytes, i8.
int32_t sum_of_flips(const std::byte* bytes, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<int8_t>(bytes[i]);
  return 128 * sum;
}

// Products of i8 by Dot, which has kRows (of tiles of 16 columns), Sum, zero(), seeds(p) -> Sum of four i32, sums(Sum) -> four i32, and add(Sum,
// a, b), the sum of four products of bytes in each lane. kFlipped: those of A, or of panels of B where A is weights, are u8.
template <class Dot, bool kFlipped>
struct SignedLanes {
  static constexpr int kLanes = 4, kRows = Dot::kRows, kPanels = 1;
  static constexpr bool kOwnFinish = false;
  using Sum = typename Dot::Sum;
  using Panel = int8x16_t;
  using Row = int8x16_t;
  using Weights = int8x16_t;
  using Quad = int8x16_t;

  static int8x16_t unsigned_bytes(int8x16_t bytes) { return kFlipped ? flipped(bytes) : bytes; }
  static Sum zero() { return Dot::zero(); }
  static Panel load(const std::byte* p) { return unsigned_bytes(load_bytes(p)); }
  static Panel windows(const std::byte* line, int64_t stride) { return unsigned_bytes(windows_of_line(line, stride)); }
  static Row set(int32_t quad) { return vreinterpretq_s8_s32(vdupq_n_s32(quad)); }
  static void store(int32_t* p, const Sum& sum) { vst1q_s32(p, Dot::sums(sum)); }
  static Sum add_products(const Sum& sum, Row a, Panel b) { return Dot::add(sum, a, b); }

  static Sum load_sums(const int32_t* p) { return Dot::seeds(p); }
  static Weights load_weights(const std::byte* p) { return load_bytes(p); }
  static Quad quad_of(const std::byte* p) { return unsigned_bytes(quad_everywhere(p)); }
  static Sum add(const Sum& sum, Quad a, Weights b) { return Dot::add(sum, a, b); }
};

// Rows of weights by panels or windows of u8, with what the flips took.
template <class Dot>
struct FlippedLines {
  using Tile = IntegerTile<SignedLanes<Dot, true>>;

  static void multiply(const std::byte* a, int64_t stride, int64_t count, const std::byte* panel, int64_t quads, int32_t* sums) {
    Tile::multiply(a, stride, count, panel, quads, sums);
    for (int64_t r = 0; r < count; ++r) {
      const int32_t taken = sum_of_flips(a + r * stride, 4 * quads);
      for (int64_t j = 0; j < Tile::kColumns; ++j) sums[r * Tile::kColumns + j] += taken;
    }
  }
  static void filter_line(const LineWindows& w, int64_t n, int32_t* sums) {
    Tile::filter_line(w, n, sums);
    const int32_t taken = sum_of_flips(w.weights, 4 * w.count * w.quads);
    for (int64_t j = 0; j < n; ++j) sums[j] += taken;
  }
};

// Blocks of rows of i8, or of u8 by seeds with what the flips took.
template <class Dot>
struct SignedBlocks {
  template <bool kFlipped>
  using Tile = IntegerBlockTile<SignedLanes<Dot, kFlipped>>;

  static void multiply(const IntegerBlock& b) {
    if (b.a_signed) return Tile<false>::multiply(b);
    for (int64_t column = 0; column < b.columns; column += kPanelColumns) multiply_flipped(panel_of(b, column));
  }
  static IntegerBlock panel_of(const IntegerBlock& b, int64_t column) {
    IntegerBlock panel = b;
    panel.panels += column * b.depth, panel.seeds += column;
    panel.columns = b.columns - column < kPanelColumns ? b.columns - column : kPanelColumns;
    if (b.column_zeros) panel.column_zeros += column;
    if (b.column_sums) panel.column_sums += column;
    if (b.result.sums) panel.result.sums += column;
    if (b.result.quantized) panel.result.quantized += column;
    panel.result.scales = b.result.scales.from(column);
    return panel;
  }
  static void multiply_flipped(const IntegerBlock& panel) {
    alignas(64) int32_t seeds[kPanelColumns];
    Tile<false>::sum_columns(panel.panels, panel.depth, seeds);
    for (int64_t j = 0; j < kPanelColumns; ++j)  // wrapping, as the sums do
      seeds[j] = static_cast<int32_t>(128 * static_cast<uint32_t>(seeds[j]) + static_cast<uint32_t>(panel.seeds[j]));
    IntegerBlock with_seeds = panel;
    with_seeds.seeds = seeds;
    Tile<true>::multiply(with_seeds);
  }
};

// Sixteen at a time: each quarter of the table by one instruction, which leaves alone what points elsewhere.
void look_up_neon(const std::byte* x, const std::byte* table, int64_t n, std::byte* y) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(table);
  const uint8x16x4_t quarters[4] = {vld1q_u8_x4(bytes), vld1q_u8_x4(bytes + 64), vld1q_u8_x4(bytes + 128), vld1q_u8_x4(bytes + 192)};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    uint8x16_t index = vld1q_u8(reinterpret_cast<const uint8_t*>(x + i)), found = vqtbl4q_u8(quarters[0], index);
    for (int quarter = 1; quarter < 4; ++quarter) {
      index = vsubq_u8(index, vdupq_n_u8(64));
      found = vqtbx4q_u8(found, quarters[quarter], index);
    }
    vst1q_u8(reinterpret_cast<uint8_t*>(y + i), found);
  }
  for (; i < n; ++i) y[i] = table[static_cast<size_t>(x[i])];
}

template <class Dot>
constexpr IntegerTier make_signed_tier() {
  using Lanes = SignedLanes<Dot, true>;
  IntegerBlockKernel block = make_block_kernel<SignedLanes<Dot, false>>();
  block.signed_rows = true;
  block.multiply = &SignedBlocks<Dot>::multiply;
  IntegerTier tier = make_integer_tier<Lanes>(block, {&IntegerDepthwiseLine<Lanes>::wide, nullptr});
  tier.look_up = &look_up_neon;
  tier.multiply = &FlippedLines<Dot>::multiply;
  tier.filter_line = &FlippedLines<Dot>::filter_line;
  return tier;
}

}  // namespace
}  // namespace tandem::cpu
