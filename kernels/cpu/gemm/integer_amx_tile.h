// Blocks of bytes by tiles of 16 rows x 64 bytes: 32 rows by two panels in four tiles of sums, one step of k in four more.
//
// `Tiles` is the hardware's tile operations or the same in plain C++ (PlainTiles), so that this kernel is tested on machines without AMX;
// V brings the finish. Tiles are configured for each number of rows and released at the end of every call: no thread keeps any.
// Source: Intel Architecture Instruction Set Extensions Programming Reference, chapter 3.
#pragma once

#include "kernels/cpu/gemm/amx_tiles.h"
#include "kernels/cpu/gemm/integer_finish.h"

namespace tandem::cpu {

template <class Tiles, class V>
struct IntegerAmxBlock {
  static constexpr int64_t kTileRows = 16, kRows = 2 * kTileRows, kRowSums = 2 * kPanelColumns, kMostStep = 64;

  template <bool kLower, bool kRight>
  static void multiply_tile(Tiles& tiles, const IntegerBlock& b, const std::byte* upper, const std::byte* lower,
                            const std::byte* panels, const int32_t* seeds) {
    tiles.template load<0>(seeds, 0);  // the same line in every row
    if constexpr (kRight) tiles.template load<1>(seeds + kPanelColumns, 0);
    if constexpr (kLower) tiles.template load<2>(seeds, 0);
    if constexpr (kLower && kRight) tiles.template load<3>(seeds + kPanelColumns, 0);
    const TileOperands o = {upper, lower, b.a_stride, panels, panels + b.depth * kPanelColumns, b.depth, b.step};
    b.a_signed ? add_tile_products<kLower, kRight, TileNumbers::kI8>(tiles, o)
               : add_tile_products<kLower, kRight, TileNumbers::kU8>(tiles, o);
  }

  static void store_tile(Tiles& tiles, int64_t upper_rows, bool lower, bool right, int32_t* sums) {
    constexpr int64_t kStride = kRowSums * static_cast<int64_t>(sizeof(int32_t));
    tiles.template store<0>(sums, kStride);
    if (right) tiles.template store<1>(sums + kPanelColumns, kStride);
    int32_t* below = sums + upper_rows * kRowSums;
    if (lower) tiles.template store<2>(below, kStride);
    if (lower && right) tiles.template store<3>(below + kPanelColumns, kStride);
  }

  // `count` groups of `rows` rows each, from `first` on, by all columns. A tile's sums are finished while the next ones are made.
  static void multiply_groups(Tiles& tiles, const IntegerBlock& b, int64_t first, int64_t rows, int64_t count) {
    const int64_t upper = rows > kTileRows ? (rows + 1) / 2 : rows, lower = rows - upper;
    tiles.configure(product_tile_shapes<Tiles>(upper, lower > 0 ? lower : 1, b.step));
    alignas(64) std::array<int32_t, kRows * kRowSums> sums;
    int64_t pending_row = -1, pending_column = 0;
    const auto finish = [&] {
      const int64_t panels = pending_column + kPanelColumns < b.columns ? 2 : 1;
      if (pending_row >= 0) IntegerFinish<V>::finish(b, sums.data(), kRowSums, pending_row, rows, pending_column, panels);
    };
    for (int64_t column = 0; column < b.columns; column += kRowSums) {
      const bool right = column + kPanelColumns < b.columns;
      const auto multiply_tile_of = lower > 0 ? right ? &multiply_tile<true, true> : &multiply_tile<true, false>
                                    : right   ? &multiply_tile<false, true>
                                              : &multiply_tile<false, false>;
      for (int64_t group = 0; group < count; ++group) {
        const int64_t row = first + group * rows;
        const std::byte* a = b.a + row * b.a_stride;
        multiply_tile_of(tiles, b, a, a + upper * b.a_stride, b.panels + column * b.depth, b.seeds + column);
        finish();
        store_tile(tiles, upper, lower > 0, right, sums.data());
        pending_row = row, pending_column = column;
      }
    }
    finish();
  }

  static void multiply(const IntegerBlock& b) {
    if (b.rows == 0) return;
    const int64_t groups = (b.rows + kRows - 1) / kRows, rows = b.rows / groups, larger = b.rows % groups;
    Tiles tiles;
    if (larger > 0) multiply_groups(tiles, b, 0, rows + 1, larger);
    multiply_groups(tiles, b, larger * (rows + 1), rows, groups - larger);
    tiles.release();
  }
};

// What has no tile form is that of `vectors`.
template <class Tiles, class V>
constexpr IntegerBlockKernel make_amx_kernel(IntegerBlockKernel vectors) {
  using Block = IntegerAmxBlock<Tiles, V>;
  vectors.rows = Block::kRows, vectors.step = Block::kMostStep, vectors.signed_rows = true, vectors.multiply = &Block::multiply;
  return vectors;
}

}  // namespace tandem::cpu
