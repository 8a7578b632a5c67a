// What becomes of a tile of sums: zero points of columns taken off, then i32 as they are, or bytes by kernels/api/requantize.h.
//
// The quick formula is right unless a number lies within its tolerance of a tie; those, about one in four thousand, are found by a
// second look and decided exactly. So it may be computed as each tier does best. A template on the tier's vectors, as integer_tile.h.
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
};

// V may bring quantize and near_ties of its own (kOwnFinish).
template <class V>
struct IntegerFinish {
  static constexpr int64_t kColumns = kPanelColumns;
  static constexpr int64_t kRows = 16;  // that are looked over together for ties
  template <int P>
  using Numbers = std::array<float, P * kPanelColumns>;
  template <int P>
  struct Own {
    alignas(64) Numbers<P> multiplier, addend, tolerance;
  };

  // Those of columns [column, column + n); columns behind them have those of the last.
  template <int P>
  static PanelScales scales_of(const OutputScales& s, int64_t column, int64_t n, Own<P>& own) {
    if (s.count > 1 && n == P * kColumns)
      return {s.multiplier + column, s.addend + column, s.tolerance + column, s.low, s.high, s.zero};
    for (int64_t j = 0; j < P * kColumns; ++j) {
      const int64_t from = s.count == 1 ? 0 : column + (j < n ? j : n - 1);
      const auto to = static_cast<size_t>(j);
      own.multiplier[to] = s.multiplier[from], own.addend[to] = s.addend[from], own.tolerance[to] = s.tolerance[from];
    }
    return {own.multiplier.data(), own.addend.data(), own.tolerance.data(), s.low, s.high, s.zero};
  }

  // The number of a sum, before it is rounded.
  static float clamped(int32_t sum, const PanelScales& s, int64_t column) {
    const auto low = static_cast<float>(s.low), high = static_cast<float>(s.high);
    const float value = static_cast<float>(sum) * s.multiplier[column] + s.addend[column], raised = value > low ? value : low;
    return raised < high ? raised : high;
  }

  // Rows of P panels of sums, `stride` apart, to rows of bytes. Returns, as bits, which panels may have wrong ones.
  template <int P>
  static uint32_t quantize(const int32_t* sums, int64_t stride, int64_t rows, const PanelScales& s, std::byte* out,
                           int64_t out_stride) {
    if constexpr (V::kOwnFinish) return V::template quantize<P>(sums, stride, rows, s, out, out_stride);
    int32_t near = 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < P * kColumns; ++j) {
        const float value = clamped(sums[r * stride + j], s, j);
        const int32_t whole = nearest_integer(value);
        near |= std::fabs(value - static_cast<float>(whole)) > 0.5f - s.tolerance[j];
        out[r * out_stride + j] = static_cast<std::byte>(whole + s.zero);
      }
    return near != 0 ? (uint32_t{1} << P) - 1 : 0;
  }
  // Which of a panel's columns from `column` on may be wrong, as bits.
  static uint32_t near_ties(const int32_t* sums, const PanelScales& s, int64_t column) {
    if constexpr (V::kOwnFinish) return V::near_ties(sums, s, column);
    uint32_t near = 0;
    for (int64_t j = 0; j < kColumns; ++j) {
      const float value = clamped(sums[j], s, column + j);
      near |= static_cast<uint32_t>(std::fabs(value - static_cast<float>(nearest_integer(value))) > 0.5f - s.tolerance[column + j]) << j;
    }
    return near;
  }

  // Decides exactly what is near a tie, in rows of one panel: columns [column, column + n) of the result, `in_scales` of the scales.
  static void settle(const OutputScales& exact, const PanelScales& scales, const int32_t* sums, int64_t stride, int64_t rows,
                     int64_t column, int64_t in_scales, int64_t n, std::byte* out, int64_t out_stride) {
    const uint32_t wanted = n >= kColumns ? 0xFFFF : (uint32_t{1} << n) - 1;
    for (int64_t r = 0; r < rows; ++r)
      for (uint32_t near = near_ties(sums + r * stride, scales, in_scales) & wanted; near != 0; near &= near - 1) {
        const int j = std::countr_zero(near);
        const ResultScale& scale = exact.exact[exact.count == 1 ? 0 : column + j];
        out[r * out_stride + j] = static_cast<std::byte>(requantized(sums[r * stride + j], scale, exact.low, exact.high) + exact.zero);
      }
  }

  // Columns [column, column + n), n <= P panels, of the result's rows [row, row + rows).
  template <int P>
  static void finish_panels(const BlockResult& to, const int32_t* sums, int64_t stride, int64_t row, int64_t rows, int64_t column,
                            int64_t n) {
    const int64_t at = row * to.stride + column;
    if (to.sums) {
      for (int64_t r = 0; r < rows; ++r)
        std::memcpy(to.sums + at + r * to.stride, sums + r * stride, static_cast<size_t>(n) * sizeof(int32_t));
      return;
    }
    Own<P> own;
    std::array<std::byte, kRows * P * kPanelColumns> narrow;
    const PanelScales scales = scales_of<P>(to.scales, column, n, own);
    const bool whole = n == P * kColumns;
    const int64_t out_stride = whole ? to.stride : P * kColumns;
    for (int64_t first = 0; first < rows; first += kRows, sums += kRows * stride) {
      const int64_t count = rows - first < kRows ? rows - first : kRows;
      std::byte* result = to.quantized + at + first * to.stride;
      std::byte* out = whole ? result : narrow.data();
      for (uint32_t panels = quantize<P>(sums, stride, count, scales, out, out_stride); panels != 0; panels &= panels - 1) {
        const int64_t panel = std::countr_zero(panels) * kColumns;
        if (panel < n) settle(to.scales, scales, sums + panel, stride, count, column + panel, panel, n - panel, out + panel, out_stride);
      }
      for (int64_t r = 0; r < count && !whole; ++r)
        std::memcpy(result + r * to.stride, narrow.data() + r * out_stride, static_cast<size_t>(n));
    }
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

  // Rows of one or two panels of a block.
  static void finish(const IntegerBlock& b, int32_t* sums, int64_t stride, int64_t row, int64_t rows, int64_t column,
                     int64_t panels) {
    for (int64_t p = 0; p < panels * kColumns; p += kColumns) {
      if (b.row_sums) subtract_products(b.row_sums + row, b.column_zeros + column + p, sums + p, stride, rows);
      if (b.row_zeros) subtract_products(b.row_zeros + row, b.column_sums + column + p, sums + p, stride, rows);
    }
    const int64_t left = b.columns - column, n = left < panels * kColumns ? left : panels * kColumns;
    panels == 1 ? finish_panels<1>(b.result, sums, stride, row, rows, column, n)
                : finish_panels<2>(b.result, sums, stride, row, rows, column, n);
  }
};

}  // namespace tandem::cpu
