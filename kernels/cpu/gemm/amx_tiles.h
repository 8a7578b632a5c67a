// The tile operations of AMX in plain C++, and the step that products on tiles share: two by two tiles of sums, one tile of A and one of B each
// for two products.
//
// A tile is 16 rows of 64 bytes; sums are 32 bits. HardwareTiles (amx_hardware_tiles-inl.h) has the same functions as PlainTiles, so that
// kernels are templates on either and tests run them on machines without AMX.
// Source: Intel Architecture Instruction Set Extensions Programming Reference, chapter 3.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/base/half.h"

namespace tandem::cpu {

// Of A: quads of bytes with or without a sign, or pairs of bf16. B's bytes have one.
enum class TileNumbers : uint8_t { kU8, kI8, kBf16 };

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
  void load_once(const void* from, int64_t stride) {
    load<t>(from, stride);
  }
  template <size_t t>
  void store(void* to, int64_t stride) const {
    for (size_t r = 0; r < shapes_.rows[t]; ++r)
      std::memcpy(static_cast<std::byte*>(to) + static_cast<int64_t>(r) * stride, tiles_[t][r].data(), shapes_.row_bytes[t]);
  }
  // c += a * b, in quads of bytes or pairs of bf16.
  template <size_t c, size_t a, size_t b, TileNumbers kNumbers>
  void add_products() {
    for (size_t r = 0; r < shapes_.rows[c]; ++r)
      for (size_t j = 0; j < shapes_.row_bytes[c] / 4U; ++j) {
        std::byte* sum = tiles_[c][r].data() + 4 * j;
        if constexpr (kNumbers == TileNumbers::kBf16) add_pairs(tiles_[a][r], tiles_[b], j, shapes_.row_bytes[a] / 4U, sum);
        else add_quads<kNumbers>(tiles_[a][r], tiles_[b], j, shapes_.row_bytes[a] / 4U, sum);
      }
  }

 private:
  using Row = std::array<std::byte, 64>;
  using Tile = std::array<Row, 16>;
  template <class T>
  static T read(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }

  template <TileNumbers kNumbers>
  static void add_quads(const Row& a, const Tile& b, size_t column, size_t quads, std::byte* to) {
    auto sum = read<uint32_t>(to);
    for (size_t k = 0; k < 4 * quads; ++k) {
      const int32_t left = kNumbers == TileNumbers::kI8 ? static_cast<int8_t>(a[k]) : static_cast<int32_t>(a[k]);
      sum += static_cast<uint32_t>(left * static_cast<int8_t>(b[k / 4][4 * column + k % 4]));
    }
    std::memcpy(to, &sum, sizeof sum);
  }
  // The two numbers of a pair are summed apart, then together: the order of the hardware.
  static void add_pairs(const Row& a, const Tile& b, size_t column, size_t pairs, std::byte* to) {
    std::array<float, 2> sums{};
    for (size_t k = 0; k < 2 * pairs; ++k)
      sums[k % 2] = std::fma(to_float(read<BF16>(&a[2 * k])), to_float(read<BF16>(&b[k / 2][4 * column + 2 * (k % 2)])), sums[k % 2]);
    const float sum = read<float>(to) + (sums[0] + sums[1]);
    std::memcpy(to, &sum, sizeof sum);
  }

  TileShapes shapes_;
  std::array<Tile, 8> tiles_{};
};

// Where a row of A begins: all stand one behind the other, or in lines. (A template, so that files compiled with other flags share no instance.)
template <class Block>
const std::byte* row_of(const Block& b, int64_t row) {
  if (b.line == 0) return b.a + row * b.a_stride;
  return b.a + row / b.line * b.line_stride + row % b.line * b.a_stride;
}

// Rows of A, all `stride` bytes apart, and two panels of B: [depth / 4][16][4 bytes], `depth` bytes of k in steps of `step`.
struct TileOperands {
  const std::byte *upper, *lower;
  int64_t stride;
  const std::byte *left, *right;
  int64_t depth, step;
  // A's rows in runs of this many bytes of k, at these offsets; null: one run. `begun` bytes of the first one have gone by.
  const int64_t* offsets = nullptr;
  int64_t run = 0, begun = 0;
};

// Tiles 0 to 3: sums, [upper, lower] x [left, right]; 4, 5: rows of A; 6, 7: panels. (A template, so that files compiled with other flags
// share no instance.)
template <class Tiles>
TileShapes product_tile_shapes(int64_t upper, int64_t lower, int64_t step) {
  TileShapes shapes;
  for (size_t t = 0; t < 8; ++t) shapes.row_bytes[t] = 64;
  for (size_t t = 0; t < 6; ++t) shapes.rows[t] = static_cast<uint8_t>(t == 2 || t == 3 || t == 5 ? lower : upper);
  shapes.row_bytes[4] = shapes.row_bytes[5] = static_cast<uint16_t>(step);
  shapes.rows[6] = shapes.rows[7] = static_cast<uint8_t>(step / 4);
  return shapes;
}

// Onto the sums that are in tiles 0 to 3. `between` runs after each product: the processor looks only some hundred instructions ahead, so work
// that shall go on beside the tiles' must stand between them. kOnce: rows of A are not read again soon, and should not take the panels' place in
// the first-level cache.
template <bool kLower, bool kRight, TileNumbers kNumbers, bool kOnce = false, class Tiles, class Between>
[[gnu::always_inline]] inline void add_tile_products(Tiles& tiles, const TileOperands& o, Between&& between) {
  constexpr int64_t kLine = 16;  // bytes of a panel a byte of k
  int64_t rest = o.run - o.begun, at = o.offsets ? *o.offsets + o.begun : 0;
  const int64_t* next = o.offsets;
  for (int64_t k = 0; k < o.depth; k += o.step, at += o.step, rest -= o.step) {
    if (next && rest == 0) at = *++next, rest = o.run;
    if constexpr (kOnce) tiles.template load_once<4>(o.upper + at, o.stride);
    else tiles.template load<4>(o.upper + at, o.stride);
    tiles.template load<6>(o.left + k * kLine, 64);
    tiles.template add_products<0, 4, 6, kNumbers>();
    between();
    if constexpr (kRight) {
      tiles.template load<7>(o.right + k * kLine, 64);
      tiles.template add_products<1, 4, 7, kNumbers>();
      between();
    }
    if constexpr (kLower) {
      if constexpr (kOnce) tiles.template load_once<5>(o.lower + at, o.stride);
      else tiles.template load<5>(o.lower + at, o.stride);
      tiles.template add_products<2, 5, 6, kNumbers>();
      between();
    }
    if constexpr (kLower && kRight) {
      tiles.template add_products<3, 5, 7, kNumbers>();
      between();
    }
  }
}

// The same for one tile of rows by four panels that lie side by side: 0 to 3: sums; 4: rows of A; 5, 6: panels in turns.
template <class Tiles>
TileShapes wide_tile_shapes(int64_t rows, int64_t step) {
  TileShapes shapes = product_tile_shapes<Tiles>(rows, rows, step);
  shapes.rows[5] = static_cast<uint8_t>(step / 4), shapes.row_bytes[5] = 64;
  return shapes;
}

// Onto the sums in tiles 0 to 3, of rows `upper` by four panels from `left` on. `begin(tile)` makes each of them ready before its first product; the
// tile is a constant.
template <TileNumbers kNumbers, class Tiles, class Begin, class Between>
[[gnu::always_inline]] inline void add_wide_products(Tiles& tiles, const TileOperands& o, Begin&& begin, Between&& between) {
  constexpr int64_t kLine = 16;
  const int64_t panel = o.depth * kLine;
  int64_t rest = o.run - o.begun, at = o.offsets ? *o.offsets + o.begun : 0;
  const int64_t* next = o.offsets;
  for (int64_t k = 0; k < o.depth; k += o.step, at += o.step, rest -= o.step) {
    if (next && rest == 0) at = *++next, rest = o.run;
    const std::byte* from = o.left + k * kLine;
    tiles.template load<4>(o.upper + at, o.stride);
    tiles.template load<5>(from, 64);
    if (k == 0) begin(std::integral_constant<size_t, 0>());
    tiles.template add_products<0, 4, 5, kNumbers>();
    between();
    tiles.template load<6>(from + panel, 64);
    if (k == 0) begin(std::integral_constant<size_t, 1>());
    tiles.template add_products<1, 4, 6, kNumbers>();
    between();
    tiles.template load<5>(from + 2 * panel, 64);
    if (k == 0) begin(std::integral_constant<size_t, 2>());
    tiles.template add_products<2, 4, 5, kNumbers>();
    between();
    tiles.template load<6>(from + 3 * panel, 64);
    if (k == 0) begin(std::integral_constant<size_t, 3>());
    tiles.template add_products<3, 4, 6, kNumbers>();
    between();
  }
}

}  // namespace tandem::cpu
