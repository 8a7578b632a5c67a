// Blocks of bytes in vectors: the loops of block_tile.h with the finish of integer_finish.h, and what packing needs.
#pragma once

#include "kernels/cpu/gemm/block_tile.h"
#include "kernels/cpu/gemm/integer_finish.h"

namespace tandem::cpu {

// Finishes no tile from registers.
struct NoTile {
  NoTile(const PanelScales&, int64_t) {}
  static bool is_sound() { return false; }
};
template <class V, bool kOwn>
struct ChooseTile {
  using Type = NoTile;
};
template <class V>
struct ChooseTile<V, true> {
  using Type = typename V::Tile;
};
template <class V>
using TileOf = typename ChooseTile<V, V::kOwnFinish>::Type;

struct IntegerBlocks {
  using Block = IntegerBlock;
  using Number = int32_t;
  template <class V>
  static constexpr bool kInRegisters = V::kOwnFinish && V::kLanes == kPanelColumns;

  // Of the columns of `panels` panels.
  template <class V>
  class Finish {
   public:
    Finish(const IntegerBlock& b, int64_t column, int64_t panels)
        : b_(b), column_(column), panels_(panels), scales_(IntegerFinish<V>::scales_of(b.result, column, b.columns - column, panels, own_)), tile_(scales_, panels) {}
    void operator()(int32_t* sums, int64_t stride, int64_t row, int64_t rows) const {
      IntegerFinish<V>::finish(b_, scales_, sums, stride, row, rows, column_, panels_);
    }

    // Bytes of whole panels whose sums need no correction. Where a number is near a tie the tile goes by memory.
    bool takes_tiles() const {
      return b_.result.quantized && tile_.is_sound() && !b_.row_sums && !b_.row_zeros && column_ + panels_ * kPanelColumns <= b_.columns;
    }
    template <int R, int P>
    [[gnu::always_inline]] bool take(const typename V::Sum (&sum)[R][P], int64_t row) const {
      return tile_.template quantize<R, P>(sum, b_.result.quantized + row * b_.result.stride + column_, b_.result.stride);
    }

   private:
    const IntegerBlock& b_;
    int64_t column_, panels_;
    typename IntegerFinish<V>::Own own_;
    PanelScales scales_;
    [[no_unique_address]] TileOf<V> tile_;
  };
};

// V as in block_tile.h, and what integer_finish.h wants.
template <class V>
struct IntegerBlockTile : BlockTile<V, IntegerBlocks> {
  static constexpr int kParts = BlockTile<V, IntegerBlocks>::kParts;

  static void interleave(const std::byte* const* lines, int64_t n, std::byte flip, std::byte* to, int64_t panel_bytes) {
    const std::byte *a = lines[0], *b = lines[1], *c = lines[2], *d = lines[3];
    for (int64_t first = 0; first < n; first += kPanelColumns, to += panel_bytes) {
      const int64_t count = n - first < kPanelColumns ? n - first : kPanelColumns;
      for (int64_t j = 0; j < count; ++j) {
        to[4 * j] = a[first + j] ^ flip;
        to[4 * j + 1] = b[first + j] ^ flip;
        to[4 * j + 2] = c[first + j] ^ flip;
        to[4 * j + 3] = d[first + j] ^ flip;
      }
    }
  }

  // Times ones.
  static void sum_columns(const std::byte* panel, int64_t depth, int32_t* sums) {
    constexpr std::array<std::byte, 4> kOnes = {std::byte{1}, std::byte{1}, std::byte{1}, std::byte{1}};
    constexpr std::array<int32_t, V::kLanes> kZeros{};
    const typename V::Quad ones = V::quad_of(kOnes.data());
    for (int part = 0; part < kParts; ++part) {
      typename V::Sum sum = V::load_sums(kZeros.data());
      for (int64_t k = 0; k < depth; k += 4)
        sum = V::add(sum, ones, V::load_weights(panel + k * kPanelColumns + part * 4 * V::kLanes));
      V::store(sums + part * V::kLanes, sum);
    }
  }

  static int32_t sum_row(const std::byte* row, int64_t n, bool is_signed) {
    int32_t sum = 0;
    if (is_signed)
      for (int64_t k = 0; k < n; ++k) sum += static_cast<int8_t>(row[k]);
    else
      for (int64_t k = 0; k < n; ++k) sum += static_cast<int32_t>(row[k]);
    return sum;
  }
};

template <class V>
constexpr IntegerBlockKernel make_block_kernel() {
  using Tile = IntegerBlockTile<V>;
  return {V::kRows, 4, false, false, &Tile::multiply, &Tile::interleave, &Tile::sum_columns, &Tile::sum_row};
}

}  // namespace tandem::cpu
