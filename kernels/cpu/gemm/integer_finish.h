// What becomes of a tile of sums: zero points of columns taken off, then i32 as they are, or bytes by kernels/api/requantize.h.
//
// The quick formula is right unless a number lies within its tolerance of a tie; those, about one in four thousand, are found by
// a second look and decided exactly. So it may be computed as each tier does best. A template on the tier's vectors, as
// integer_tile.h.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/api/quantize.h"
#include "kernels/cpu/gemm/integer_block.h"

namespace tandem::cpu {

// Of the columns of some panels, one of each a column.
struct PanelScales {
  const float *multiplier, *addend, *tolerance;
  int32_t low, high, zero;
  FloorScales floors = {};

  // Whether results of the sixteen columns from `column` on are whole parts of lines.
  bool have_floors(int64_t column) const {
    if (!floors.slope) return false;
    bool have = true;
    for (int64_t j = column; j < column + kPanelColumns; ++j) have = have && floors.slope[j] != 0;
    return have;
  }
};

// Lines of P panels of sums to lines of bytes, as V::Lines<P> of those that bring their own.
template <int P>
class PlainLines {
 public:
  static constexpr int64_t kLines = 1;
  explicit PlainLines(const PanelScales& s) : s_(s) {}
  // The number of a sum, before it is rounded.
  static float clamped(int32_t sum, const PanelScales& s, int64_t column) {
    const auto low = static_cast<float>(s.low), high = static_cast<float>(s.high);
    const float value = static_cast<float>(sum) * s.multiplier[column] + s.addend[column], raised = value > low ? value : low;
    return raised < high ? raised : high;
  }
  void quantize(const int32_t* sums, int64_t, int64_t, std::byte* out, int64_t) {
    int32_t near = 0;
    for (int64_t j = 0; j < P * kPanelColumns; ++j) {
      const float value = clamped(sums[j], s_, j);
      const int32_t whole = nearest_integer(value);
      near |= std::fabs(value - static_cast<float>(whole)) > 0.5f - s_.tolerance[j];
      out[j] = static_cast<std::byte>(whole + s_.zero);
    }
    near_ |= near;
  }
  // Which panels may have wrong bytes, as bits.
  uint32_t near_ties() const { return near_ != 0 ? (uint32_t{1} << P) - 1 : 0; }

 private:
  PanelScales s_;
  int32_t near_ = 0;
};

template <class V, int P, bool kOwn>
struct ChooseLines {
  using Type = PlainLines<P>;
};
template <class V, int P>
struct ChooseLines<V, P, true> {
  using Type = typename V::template Lines<P>;
};
template <class V, int P>
using FinishedLines = typename ChooseLines<V, P, V::kOwnFinish>::Type;

// V may bring Lines and near_ties of its own (kOwnFinish).
template <class V>
struct IntegerFinish {
  static constexpr int64_t kColumns = kPanelColumns;
  static constexpr int64_t kRows = 16;  // that are looked over together for ties
  // Of four panels at most, where those of the result do not lie as the vectors want them.
  struct Own {
    alignas(64) std::array<float, 4 * kPanelColumns> multiplier, addend, tolerance, slope, offset;
    alignas(64) std::array<int32_t, 4 * kPanelColumns> exception;
  };

  // Those of panels from `column` on, of which n columns are there; columns behind the last have its scales.
  static PanelScales scales_of(const BlockResult& result, int64_t column, int64_t n, int64_t panels, Own& own) {
    const OutputScales& s = result.scales;
    if (!result.quantized) return {};
    if (s.count > 1 && n >= panels * kColumns) {
      const OutputScales here = s.from(column);
      return {here.multiplier, here.addend, here.tolerance, s.low, s.high, s.zero, here.floors};
    }
    for (int64_t j = 0; j < panels * kColumns; ++j) {
      const int64_t from = s.count == 1 ? 0 : column + (j < n ? j : n - 1);
      const auto to = static_cast<size_t>(j);
      own.multiplier[to] = s.multiplier[from], own.addend[to] = s.addend[from], own.tolerance[to] = s.tolerance[from];
      if (s.floors.slope)
        own.slope[to] = s.floors.slope[from], own.offset[to] = s.floors.offset[from], own.exception[to] = s.floors.exception[from];
    }
    const FloorScales floors = s.floors.slope ? FloorScales{own.slope.data(), own.offset.data(), own.exception.data()} : FloorScales{};
    return {own.multiplier.data(), own.addend.data(), own.tolerance.data(), s.low, s.high, s.zero, floors};
  }

  // Returns, as bits, which panels may have wrong bytes.
  template <int P>
  static uint32_t quantize(const int32_t* sums, int64_t stride, int64_t rows, const PanelScales& s, std::byte* out,
                           int64_t out_stride) {
    using Lines = FinishedLines<V, P>;
    Lines lines(s);
    for (int64_t r = 0; r < rows; r += Lines::kLines)
      lines.quantize(sums + r * stride, stride, rows - r, out + r * out_stride, out_stride);
    return lines.near_ties();
  }
  // Which of a panel's columns from `column` on may be wrong, as bits.
  static uint32_t near_ties(const int32_t* sums, const PanelScales& s, int64_t column) {
    if constexpr (V::kOwnFinish) return V::near_ties(sums, s, column);
    uint32_t near = 0;
    for (int64_t j = 0; j < kColumns; ++j) {
      const float value = PlainLines<1>::clamped(sums[j], s, column + j);
      near |=
          static_cast<uint32_t>(std::fabs(value - static_cast<float>(nearest_integer(value))) > 0.5f - s.tolerance[column + j])
          << j;
    }
    return near;
  }

  // Decides exactly what is near a tie, in rows of one panel: columns [column, column + n) of the result, `in_scales` of the
  // scales.
  static void settle(const OutputScales& exact, const PanelScales& scales, const int32_t* sums, int64_t stride, int64_t rows,
                     int64_t column, int64_t in_scales, int64_t n, std::byte* out, int64_t out_stride) {
    const uint32_t wanted = n >= kColumns ? 0xFFFF : (uint32_t{1} << n) - 1;
    for (int64_t r = 0; r < rows; ++r)
      for (uint32_t near = near_ties(sums + r * stride, scales, in_scales) & wanted; near != 0; near &= near - 1) {
        const int j = std::countr_zero(near);
        const ResultScale& scale = exact.exact[exact.count == 1 ? 0 : column + j];
        out[r * out_stride + j] =
            static_cast<std::byte>(requantized(sums[r * stride + j], scale, exact.low, exact.high) + exact.zero);
      }
  }

  // Of the panels `near`, as bits, that begin at `column` and have n columns.
  static void settle_panels(uint32_t near, const OutputScales& exact, const PanelScales& scales, const int32_t* sums,
                            int64_t stride, int64_t rows, int64_t column, int64_t n, std::byte* out, int64_t out_stride) {
    for (; near != 0; near &= near - 1) {
      const int64_t panel = std::countr_zero(near) * kColumns;
      if (panel < n) settle(exact, scales, sums + panel, stride, rows, column + panel, panel, n - panel, out + panel, out_stride);
    }
  }

  // Columns [column, column + n), n <= P panels, of the result's rows [row, row + rows).
  template <int P>
  static void finish_panels(const BlockResult& to, const PanelScales& scales, const int32_t* sums, int64_t stride, int64_t row,
                            int64_t rows, int64_t column, int64_t n) {
    const int64_t at = row * to.stride + column;
    if (to.sums) {
      for (int64_t r = 0; r < rows; ++r)
        std::memcpy(to.sums + at + r * to.stride, sums + r * stride, static_cast<size_t>(n) * sizeof(int32_t));
      return;
    }
    std::array<std::byte, kRows * P * kPanelColumns> narrow;
    const bool whole = n == P * kColumns;
    const int64_t out_stride = whole ? to.stride : P * kColumns;
    for (int64_t first = 0; first < rows; first += kRows, sums += kRows * stride) {
      const int64_t count = rows - first < kRows ? rows - first : kRows;
      std::byte* result = to.quantized + at + first * to.stride;
      std::byte* out = whole ? result : narrow.data();
      const uint32_t near = quantize<P>(sums, stride, count, scales, out, out_stride);
      settle_panels(near, to.scales, scales, sums, stride, count, column, n, out, out_stride);
      for (int64_t r = 0; r < count && !whole; ++r)
        std::memcpy(result + r * to.stride, narrow.data() + r * out_stride, static_cast<size_t>(n));
    }
  }

  template <int P>
  static void finish_panels(const BlockResult& to, const int32_t* sums, int64_t stride, int64_t row, int64_t rows, int64_t column,
                            int64_t n) {
    Own own;
    finish_panels<P>(to, scales_of(to, column, n, P, own), sums, stride, row, rows, column, n);
  }

  // sums[r][c] -= rows[r] * columns[c], of one panel
  static void subtract_products(const int32_t* of_rows, const int32_t* of_columns, int32_t* sums, int64_t stride, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) {
      const auto factor = static_cast<uint32_t>(of_rows[r]);
      for (int64_t j = 0; j < kColumns; ++j) {
        int32_t& sum = sums[r * stride + j];
        sum = static_cast<int32_t>(static_cast<uint32_t>(sum) - factor * static_cast<uint32_t>(of_columns[j]));
      }
    }
  }

  // Rows of one or two panels of a block, by scales_of them.
  static void finish(const IntegerBlock& b, const PanelScales& scales, int32_t* sums, int64_t stride, int64_t row, int64_t rows,
                     int64_t column, int64_t panels) {
    for (int64_t p = 0; p < panels * kColumns; p += kColumns) {
      if (b.row_sums) subtract_products(b.row_sums + row, b.column_zeros + column + p, sums + p, stride, rows);
      if (b.row_zeros) subtract_products(b.row_zeros + row, b.column_sums + column + p, sums + p, stride, rows);
    }
    const int64_t left = b.columns - column, n = left < panels * kColumns ? left : panels * kColumns;
    panels == 1 ? finish_panels<1>(b.result, scales, sums, stride, row, rows, column, n)
                : finish_panels<2>(b.result, scales, sums, stride, row, rows, column, n);
  }
};

}  // namespace tandem::cpu
