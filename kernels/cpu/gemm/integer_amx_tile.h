// Blocks of bytes by tiles of 16 rows x 64 bytes: 32 rows by two panels in four tiles of sums, one step of k in four more.
//
// `Tiles` is the hardware's tile operations or the same in plain C++ (PlainTiles), so that this kernel is tested on machines
// without AMX; V brings the finish. Tiles are configured for each number of rows and released at the end of every call: no thread
// keeps any. Source: Intel Architecture Instruction Set Extensions Programming Reference, chapter 3.
#pragma once

#include <utility>

#include "kernels/cpu/gemm/integer_amx_wide.h"

namespace tandem::cpu {

template <class Tiles, class V, class Residuals>
struct IntegerAmxBlock {
  static constexpr int64_t kTileRows = 16, kRows = 2 * kTileRows, kRowSums = 2 * kPanelColumns, kMostStep = 64;

  // One tile's products onto the seeds, and the finish of the one before.
  template <bool kLower, bool kRight, class Finishing>
  static void multiply_tile(Tiles& tiles, const IntegerBlock& b, const TileOperands& o, const int32_t* seeds,
                            const PendingSums& pending) {
    Finishing finishing(b, pending, b.depth / b.step * (kLower ? 2 : 1) * (kRight ? 2 : 1));
    tiles.template load<0>(seeds, 0);  // the same line in every row
    if constexpr (kRight) tiles.template load<1>(seeds + kPanelColumns, 0);
    if constexpr (kLower) tiles.template load<2>(seeds, 0);
    if constexpr (kLower && kRight) tiles.template load<3>(seeds + kPanelColumns, 0);
    b.a_signed ? add_tile_products<kLower, kRight, TileNumbers::kI8>(tiles, o, finishing)
               : add_tile_products<kLower, kRight, TileNumbers::kU8>(tiles, o, finishing);
    finishing.end();
  }

  using MultiplyTile = void (*)(Tiles&, const IntegerBlock&, const TileOperands&, const int32_t*, const PendingSums&);
  template <class Finishing>
  static MultiplyTile multiply_tile_of(bool lower, bool right) {
    if (lower) return right ? &multiply_tile<true, true, Finishing> : &multiply_tile<true, false, Finishing>;
    return right ? &multiply_tile<false, true, Finishing> : &multiply_tile<false, false, Finishing>;
  }
  static MultiplyTile multiply_tile_of(bool lower, bool right, const IntegerBlock& b, const PendingSums& pending) {
    if (pending.rows == 0 || !pending.is_plain(b)) return multiply_tile_of<WholeFinishing<V>>(lower, right);
    return pending.panels == 2 ? multiply_tile_of<PlainFinishing<V, 2>>(lower, right)
                               : multiply_tile_of<PlainFinishing<V, 1>>(lower, right);
  }

  static void store_tile(Tiles& tiles, int64_t upper_rows, bool lower, bool right, int32_t* sums) {
    constexpr int64_t kStride = kRowSums * static_cast<int64_t>(sizeof(int32_t));
    tiles.template store<0>(sums, kStride);
    if (right) tiles.template store<1>(sums + kPanelColumns, kStride);
    int32_t* below = sums + upper_rows * kRowSums;
    if (lower) tiles.template store<2>(below, kStride);
    if (lower && right) tiles.template store<3>(below + kPanelColumns, kStride);
  }

  // `count` groups of `rows` rows each, from `first` on, by columns from `first_column` on.
  static void multiply_groups(Tiles& tiles, const IntegerBlock& b, int64_t first_column, int64_t first, int64_t rows, int64_t count) {
    const int64_t upper = rows > kTileRows ? (rows + 1) / 2 : rows, lower = rows - upper;
    tiles.configure(product_tile_shapes<Tiles>(upper, lower > 0 ? lower : 1, b.step));
    alignas(64) std::array<std::array<int32_t, kRows * kRowSums>, 2> buffers;
    int32_t *made = buffers[0].data(), *finished = buffers[1].data();
    std::array<typename IntegerFinish<V>::Own, 2> own;
    PendingSums pending;
    for (int64_t column = first_column, pair = 0; column < b.columns; column += kRowSums, ++pair) {
      const int64_t panels = column + kPanelColumns < b.columns ? 2 : 1;
      const PanelScales scales =
          IntegerFinish<V>::scales_of(b.result, column, b.columns - column, panels, own[static_cast<size_t>(pair % 2)]);
      const std::byte* left = b.panels + column * b.depth;
      for (int64_t group = 0; group < count; ++group) {
        const int64_t row = first + group * rows;
        const TileOperands operands = {
            row_of(b, row), row_of(b, row + upper), b.a_stride, left, left + b.depth * kPanelColumns, b.depth, b.step,
            b.offsets,      b.depth / b.runs};
        multiply_tile_of(lower > 0, panels == 2, b, pending)(tiles, b, operands, b.seeds + column, pending);
        store_tile(tiles, upper, lower > 0, panels == 2, made);
        std::swap(made, finished);
        pending = {row, rows, column, panels, kRowSums, finished, scales};
      }
    }
    finish(b, pending);
  }
  static void finish(const IntegerBlock& b, const PendingSums& pending) { WholeFinishing<V>(b, pending, 0).end(); }

  // Whole tiles, whatever is left: a tile takes as long with fewer rows.
  static void multiply_columns(Tiles& tiles, const IntegerBlock& b, int64_t first_column) {
    const int64_t rows = b.line > 0 ? 2 * b.line_tile : kRows;  // tiles of lines: each of one line
    const int64_t groups = b.rows / rows, rest = b.rows % rows;
    if (groups > 0) multiply_groups(tiles, b, first_column, 0, rows, groups);
    if (rest > 0) multiply_groups(tiles, b, first_column, b.rows - rest, rest, 1);
  }

  // To columns from `column` on, in a pass of its own.
  static void add_residual(const IntegerBlock& b, int64_t column) {
    const int64_t stride = b.result.stride, n = b.columns - column;
    if (n == stride) return b.residual->add(0, b.rows * n, b.result.quantized);
    for (int64_t at = column; at < b.rows * stride; at += stride) b.residual->add(at, n, b.result.quantized + at);
  }

  static void multiply(const IntegerBlock& b) {
    if (b.rows == 0) return;
    Tiles tiles;
    const int64_t column = IntegerAmxWide<Tiles, V, Residuals>::multiply(tiles, b);
    if (column < b.columns) multiply_columns(tiles, b, column);
    tiles.release();
    if (b.residual && column < b.columns) add_residual(b, column);
  }
};

// What has no tile form is that of `vectors`.
template <class Tiles, class V, class Residuals = SettledResiduals<V>>
constexpr IntegerBlockKernel make_amx_kernel(IntegerBlockKernel vectors) {
  using Block = IntegerAmxBlock<Tiles, V, Residuals>;
  vectors.rows = Block::kRows, vectors.step = Block::kMostStep, vectors.signed_rows = vectors.takes_patches = vectors.adds_residuals = true;
  vectors.multiply = &Block::multiply, vectors.find_quick = Residuals::find;
  return vectors;
}

}  // namespace tandem::cpu
