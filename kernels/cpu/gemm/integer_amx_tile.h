// Blocks of bytes by tiles of 16 rows x 64 bytes: 32 rows by two panels in four tiles of sums, one step of k in four more.
//
// `Tiles` is the hardware's tile operations or the same in plain C++ (PlainTiles), so that this kernel is tested on machines without AMX;
// V brings the finish. Tiles are configured for each number of rows and released at the end of every call: no thread keeps any.
// Source: Intel Architecture Instruction Set Extensions Programming Reference, chapter 3.
#pragma once

#include "kernels/cpu/gemm/integer_finish.h"

namespace tandem::cpu {

// The memory image of a configuration: palette 1, and for eight tiles their bytes a row and rows.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0;
  std::array<uint8_t, 14> reserved{};
  std::array<uint16_t, 16> row_bytes{};
  std::array<uint8_t, 16> rows{};
};
static_assert(sizeof(TileShapes) == 64);

// Eight tiles in memory.
class PlainTiles {
 public:
  void configure(const TileShapes& shapes) { shapes_ = shapes; }
  void release() {}
  template <size_t t>
  void load(const void* from, int64_t stride) {
    for (size_t r = 0; r < shapes_.rows[t]; ++r)
      std::memcpy(tiles_[t][r].data(), static_cast<const std::byte*>(from) + static_cast<int64_t>(r) * stride, shapes_.row_bytes[t]);
  }
  template <size_t t>
  void store(void* to, int64_t stride) const {
    for (size_t r = 0; r < shapes_.rows[t]; ++r)
      std::memcpy(static_cast<std::byte*>(to) + static_cast<int64_t>(r) * stride, tiles_[t][r].data(), shapes_.row_bytes[t]);
  }
  // c += a * b: a's bytes signed or not, b's signed, in quads.
  template <size_t c, size_t a, size_t b>
  void add_products(bool a_signed) {
    for (size_t r = 0; r < shapes_.rows[c]; ++r)
      for (size_t j = 0; j < shapes_.row_bytes[c] / 4U; ++j)
        for (size_t k = 0; k < shapes_.row_bytes[a]; ++k) {
          const std::byte x = tiles_[a][r][k], w = tiles_[b][k / 4][4 * j + k % 4];
          const int32_t left = a_signed ? static_cast<int8_t>(x) : static_cast<int32_t>(x);
          uint32_t sum;
          std::memcpy(&sum, tiles_[c][r].data() + 4 * j, sizeof sum);
          sum += static_cast<uint32_t>(left * static_cast<int8_t>(w));
          std::memcpy(tiles_[c][r].data() + 4 * j, &sum, sizeof sum);
        }
  }

 private:
  TileShapes shapes_;
  std::array<std::array<std::array<std::byte, 64>, 16>, 8> tiles_{};
};

template <class Tiles, class V>
struct IntegerAmxBlock {
  static constexpr int64_t kTileRows = 16, kRows = 2 * kTileRows, kRowSums = 2 * kPanelColumns, kMostStep = 64;

  // Tiles 0 to 3: sums, [upper, lower] x [left, right]; 4, 5: rows of A; 6, 7: panels.
  static TileShapes shapes_for(const IntegerBlock& b, int64_t upper, int64_t lower) {
    TileShapes shapes;
    for (size_t t = 0; t < 6; ++t) {
      shapes.rows[t] = static_cast<uint8_t>(t == 2 || t == 3 || t == 5 ? lower : upper);
      shapes.row_bytes[t] = static_cast<uint16_t>(t < 4 ? kMostStep : b.step);
    }
    for (const size_t t : {size_t{6}, size_t{7}}) {
      shapes.rows[t] = static_cast<uint8_t>(b.step / 4);
      shapes.row_bytes[t] = static_cast<uint16_t>(kMostStep);
    }
    return shapes;
  }

  template <bool kLower, bool kRight>
  static void multiply_tile(Tiles& tiles, const IntegerBlock& b, const std::byte* upper, const std::byte* lower,
                            const std::byte* panels, const int32_t* seeds) {
    tiles.template load<0>(seeds, 0);  // the same line in every row
    if constexpr (kRight) tiles.template load<1>(seeds + kPanelColumns, 0);
    if constexpr (kLower) tiles.template load<2>(seeds, 0);
    if constexpr (kLower && kRight) tiles.template load<3>(seeds + kPanelColumns, 0);
    const std::byte* right = panels + b.depth * kPanelColumns;
    for (int64_t k = 0; k < b.depth; k += b.step) {
      tiles.template load<4>(upper + k, b.a_stride);
      tiles.template load<6>(panels + k * kPanelColumns, kMostStep);
      tiles.template add_products<0, 4, 6>(b.a_signed);
      if constexpr (kRight) tiles.template load<7>(right + k * kPanelColumns, kMostStep);
      if constexpr (kRight) tiles.template add_products<1, 4, 7>(b.a_signed);
      if constexpr (kLower) tiles.template load<5>(lower + k, b.a_stride);
      if constexpr (kLower) tiles.template add_products<2, 5, 6>(b.a_signed);
      if constexpr (kLower && kRight) tiles.template add_products<3, 5, 7>(b.a_signed);
    }
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
    tiles.configure(shapes_for(b, upper, lower > 0 ? lower : 1));
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
