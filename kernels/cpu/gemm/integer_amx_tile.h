// Blocks of bytes by tiles of 16 rows x 64 bytes: 32 rows by two panels in four tiles of sums, one step of k in four more.
//
// `Tiles` is the hardware's tile operations or the same in plain C++ (PlainTiles), so that this kernel is tested on machines
// without AMX; V brings the finish. Tiles are configured for each number of rows and released at the end of every call: no thread
// keeps any. Source: Intel Architecture Instruction Set Extensions Programming Reference, chapter 3.
#pragma once

#include <utility>

#include "kernels/cpu/gemm/amx_tiles.h"
#include "kernels/cpu/gemm/integer_finish.h"

namespace tandem::cpu {

// A tile of sums that are made and not yet finished: rows of one or two panels.
struct PendingSums {
  static constexpr int64_t kStride = 2 * kPanelColumns;
  int64_t row = 0, rows = 0, column = 0, panels = 0;
  int32_t* sums = nullptr;
  PanelScales scales{};

  // As lines of bytes without more ado.
  bool is_plain(const IntegerBlock& b) const {
    return b.result.quantized && !b.row_sums && !b.row_zeros && column + panels * kPanelColumns <= b.columns;
  }
};

// Their finish, a few lines at a time between the products of the next tile: so it costs next to nothing where sums have many
// terms.
template <class V, int P>
class PlainFinishing {
 public:
  PlainFinishing(const IntegerBlock& b, const PendingSums& pending, int64_t products)
      : b_(b),
        pending_(pending),
        lines_(pending.scales),
        sums_(pending.sums),
        rest_(pending.rows),
        out_(b.result.quantized + pending.row * b.result.stride + pending.column) {
    if (products > 0) steps_ = (ceil_div_lines(rest_) + products - 1) / products;
  }
  void operator()() {
    for (int64_t i = 0; i < steps_ && rest_ > 0; ++i) step();
  }
  void end() {
    while (rest_ > 0) step();
    const uint32_t near = lines_.near_ties();
    if (near == 0) return;
    const int64_t at = pending_.row * b_.result.stride + pending_.column;
    IntegerFinish<V>::settle_panels(near, b_.result.scales, pending_.scales, pending_.sums, PendingSums::kStride, pending_.rows,
                                    pending_.column, P * kPanelColumns, b_.result.quantized + at, b_.result.stride);
  }

 private:
  using Lines = FinishedLines<V, P>;
  static constexpr int64_t kLines = Lines::kLines;
  static int64_t ceil_div_lines(int64_t rows) { return (rows + kLines - 1) / kLines; }
  void step() {
    lines_.quantize(sums_, PendingSums::kStride, rest_, out_, b_.result.stride);
    sums_ += kLines * PendingSums::kStride, out_ += kLines * b_.result.stride, rest_ -= kLines;
  }

  const IntegerBlock& b_;
  const PendingSums& pending_;
  Lines lines_;
  const int32_t* sums_;
  int64_t rest_, steps_ = 0;
  std::byte* out_;
};
// All of it behind the products.
template <class V>
class WholeFinishing {
 public:
  WholeFinishing(const IntegerBlock& b, const PendingSums& pending, int64_t) : b_(b), p_(pending) {}
  void operator()() {}
  void end() {
    if (p_.rows > 0)
      IntegerFinish<V>::finish(b_, p_.scales, p_.sums, PendingSums::kStride, p_.row, p_.rows, p_.column, p_.panels);
  }

 private:
  const IntegerBlock& b_;
  const PendingSums& p_;
};

template <class Tiles, class V>
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

  // `count` groups of `rows` rows each, from `first` on, by all columns.
  static void multiply_groups(Tiles& tiles, const IntegerBlock& b, int64_t first, int64_t rows, int64_t count) {
    const int64_t upper = rows > kTileRows ? (rows + 1) / 2 : rows, lower = rows - upper;
    tiles.configure(product_tile_shapes<Tiles>(upper, lower > 0 ? lower : 1, b.step));
    alignas(64) std::array<std::array<int32_t, kRows * kRowSums>, 2> buffers;
    int32_t *made = buffers[0].data(), *finished = buffers[1].data();
    std::array<typename IntegerFinish<V>::Own, 2> own;
    PendingSums pending;
    for (int64_t column = 0, pair = 0; column < b.columns; column += kRowSums, ++pair) {
      const int64_t panels = column + kPanelColumns < b.columns ? 2 : 1;
      const PanelScales scales =
          IntegerFinish<V>::scales_of(b.result, column, b.columns - column, panels, own[static_cast<size_t>(pair % 2)]);
      const std::byte* left = b.panels + column * b.depth;
      for (int64_t group = 0; group < count; ++group) {
        const int64_t row = first + group * rows;
        const TileOperands operands = {
            row_at(b, row), row_at(b, row + upper), b.a_stride, left, left + b.depth * kPanelColumns, b.depth, b.step,
            b.offsets,      b.depth / b.runs};
        multiply_tile_of(lower > 0, panels == 2, b, pending)(tiles, b, operands, b.seeds + column, pending);
        store_tile(tiles, upper, lower > 0, panels == 2, made);
        std::swap(made, finished);
        pending = {row, rows, column, panels, finished, scales};
      }
    }
    finish(b, pending);
  }
  static void finish(const IntegerBlock& b, const PendingSums& pending) { WholeFinishing<V>(b, pending, 0).end(); }

  static const std::byte* row_at(const IntegerBlock& b, int64_t row) {
    if (b.line == 0) return b.a + row * b.a_stride;
    return b.a + row / b.line * b.line_stride + row % b.line * b.a_stride;
  }

  static void multiply(const IntegerBlock& b) {
    if (b.rows == 0) return;
    Tiles tiles;
    if (b.line > 0) {  // a group has two tiles, each of one line
      const int64_t pairs = b.rows / (2 * b.line_tile), rest = b.rows - pairs * 2 * b.line_tile;
      if (pairs > 0) multiply_groups(tiles, b, 0, 2 * b.line_tile, pairs);
      if (rest > 0) multiply_groups(tiles, b, b.rows - rest, rest, 1);
    } else {
      const int64_t groups = (b.rows + kRows - 1) / kRows, rows = b.rows / groups, larger = b.rows % groups;
      if (larger > 0) multiply_groups(tiles, b, 0, rows + 1, larger);
      multiply_groups(tiles, b, larger * (rows + 1), rows, groups - larger);
    }
    tiles.release();
  }
};

// What has no tile form is that of `vectors`.
template <class Tiles, class V>
constexpr IntegerBlockKernel make_amx_kernel(IntegerBlockKernel vectors) {
  using Block = IntegerAmxBlock<Tiles, V>;
  vectors.rows = Block::kRows, vectors.step = Block::kMostStep, vectors.signed_rows = vectors.takes_patches = true;
  vectors.multiply = &Block::multiply;
  return vectors;
}

}  // namespace tandem::cpu
