// Blocks of bytes by tiles of AMX, one tile of rows by four panels: results are whole cache lines, each written once.
//
// Panels are read once a tile of rows, which the first-level cache can follow and others cannot: so this is for sums of few
// terms. Two by two tiles (integer_amx_tile.h) read half as much, and write half lines.
#pragma once

#include <utility>

#include "kernels/cpu/gemm/amx_tiles.h"
#include "kernels/cpu/gemm/integer_amx_finish.h"

namespace tandem::cpu {

// Residuals: as SettledResiduals.
template <class Tiles, class V, class Residuals>
struct IntegerAmxWide {
  static constexpr int64_t kTileRows = 16, kPanels = 4, kColumns = kPanels * kPanelColumns;
  static constexpr int64_t kTilesTogether = 4;  // whose lines of the result are near enough for the processor to fetch them ahead
  static constexpr int64_t kSumBytes = kColumns * static_cast<int64_t>(sizeof(int32_t));
  static constexpr int64_t kPanelBytes = 32 * 1024;  // of four panels that stay in the first-level cache

  // One tile's products onto the seeds; meanwhile the sums of the one before leave the tiles, and those of the one before that are finished: three
  // works that do not wait for one another.
  template <class Finishing>
  static void multiply_tile(Tiles& tiles, const IntegerBlock& b, const TileOperands& o, const int32_t* seeds, const PendingSums& leaving,
                            const PendingSums& pending) {
    Finishing finishing(b, pending, kPanels * (b.depth / b.step));
    const auto begin = [&](auto tile) __attribute__((always_inline)) {
      if (leaving.rows > 0) tiles.template store<tile>(leaving.sums + tile * kPanelColumns, kSumBytes);
      tiles.template load<tile>(seeds + tile * kPanelColumns, 0);  // the same line in every row
    };
    b.a_signed ? add_wide_products<TileNumbers::kI8>(tiles, o, begin, finishing)
               : add_wide_products<TileNumbers::kU8>(tiles, o, begin, finishing);
    finishing.end();
  }

  static void store_tile(Tiles& tiles, int32_t* sums) {
    tiles.template store<0>(sums, kSumBytes);
    tiles.template store<1>(sums + kPanelColumns, kSumBytes);
    tiles.template store<2>(sums + 2 * kPanelColumns, kSumBytes);
    tiles.template store<3>(sums + 3 * kPanelColumns, kSumBytes);
  }

  // `count` tiles of `rows` rows each, from `first` on, by the first `columns`.
  template <class Finishing>
  static void multiply_tiles(Tiles& tiles, const IntegerBlock& b, int64_t columns, int64_t first, int64_t rows, int64_t count) {
    tiles.configure(wide_tile_shapes<Tiles>(rows, b.step));
    alignas(64) std::array<std::array<int32_t, kTileRows * kColumns>, 2> buffers;
    int32_t *next = buffers[0].data(), *other = buffers[1].data();
    std::array<typename IntegerFinish<V>::Own, 3> own;  // of the tiles that are made, that leave and that are finished
    PendingSums leaving, pending;
    size_t made_scales = 0;
    for (int64_t begin = 0; begin < count; begin += kTilesTogether)
      for (int64_t column = 0; column < columns; column += kColumns) {
        const PanelScales scales =
            IntegerFinish<V>::scales_of(b.result, column, b.columns - column, kPanels, own[made_scales++ % own.size()]);
        const std::byte* panels = b.panels + column * b.depth;
        for (int64_t tile = begin; tile < count && tile < begin + kTilesTogether; ++tile) {
          const int64_t row = first + tile * rows;
          const TileOperands operands = {row_of(b, row), nullptr, b.a_stride, panels,          nullptr,
                                         b.depth,        b.step,  b.offsets,  b.depth / b.runs};
          pending.rows > 0 ? multiply_tile<Finishing>(tiles, b, operands, b.seeds + column, leaving, pending)
                           : multiply_tile<WholeFinishing<V>>(tiles, b, operands, b.seeds + column, leaving, pending);
          pending = leaving;
          leaving = {row, rows, column, kPanels, kColumns, next, scales};
          std::swap(next, other);
        }
      }
    if (pending.rows > 0) Finishing(b, pending, 0).end();
    store_tile(tiles, leaving.sums);
    Finishing(b, leaving, 0).end();
  }

  static void multiply_rows(Tiles& tiles, const IntegerBlock& b, int64_t columns, int64_t first, int64_t rows, int64_t count) {
    if (!b.residual) return multiply_tiles<PlainFinishing<V, kPanels>>(tiles, b, columns, first, rows, count);
    b.residual->result.exact_sum.is_exact ? multiply_tiles<ResidualFinishing<typename Residuals::Quick>>(tiles, b, columns, first, rows, count)
                               : multiply_tiles<ResidualFinishing<typename Residuals::Any>>(tiles, b, columns, first, rows, count);
  }

  // As many columns as it is good for; returns how many.
  static int64_t multiply(Tiles& tiles, const IntegerBlock& b) {
    const int64_t columns = b.columns / kColumns * kColumns;
    if (columns == 0 || kColumns * b.depth > kPanelBytes || !PendingSums::is_plain_result(b) || b.depth == 0) return 0;
    const int64_t rows = b.line > 0 ? b.line_tile : kTileRows, tiles_of_rows = b.rows / rows, rest = b.rows % rows;
    if (tiles_of_rows > 0) multiply_rows(tiles, b, columns, 0, rows, tiles_of_rows);
    if (rest > 0) multiply_rows(tiles, b, columns, b.rows - rest, rest, 1);
    return columns;
  }
};

}  // namespace tandem::cpu
