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

// Of sixteen columns.
struct PanelScales {
  const float *multiplier, *addend, *tolerance;
  float low, high;
  int32_t zero;
};

// V may bring quantize_panel and near_ties of its own (kOwnFinish).
template <class V>
struct IntegerFinish {
  static constexpr int64_t kColumns = kPanelColumns, kMostRows = 32;
  using Numbers = std::array<float, kPanelColumns>;
  struct Own {
    alignas(64) Numbers multiplier, addend, tolerance;
  };

  static PanelScales scales_of(const OutputScales& s, int64_t column, int64_t n, Own& own) {
    const auto low = static_cast<float>(s.low), high = static_cast<float>(s.high);
    if (s.count > 1 && n == kColumns)
      return {s.multiplier + column, s.addend + column, s.tolerance + column, low, high, s.zero};
    for (int64_t j = 0; j < kColumns; ++j) {
      const int64_t from = s.count == 1 ? 0 : column + (j < n ? j : n - 1);
      const auto to = static_cast<size_t>(j);
      own.multiplier[to] = s.multiplier[from], own.addend[to] = s.addend[from], own.tolerance[to] = s.tolerance[from];
    }
    return {own.multiplier.data(), own.addend.data(), own.tolerance.data(), low, high, s.zero};
  }

  // Rows of sixteen sums, `stride` apart, to rows of sixteen bytes; whether some may be wrong.
  static bool quantize_panel(const int32_t* sums, int64_t stride, int64_t rows, const PanelScales& s, std::byte* out,
                             int64_t out_stride) {
    if constexpr (V::kOwnFinish) return V::quantize_panel(sums, stride, rows, s, out, out_stride);
    int32_t near = 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < kColumns; ++j) {
        const float value = static_cast<float>(sums[r * stride + j]) * s.multiplier[j] + s.addend[j];
        const float raised = value > s.low ? value : s.low, clamped = raised < s.high ? raised : s.high;
        const int32_t whole = nearest_integer(clamped);
        near |= std::fabs(clamped - static_cast<float>(whole)) > 0.5f - s.tolerance[j];
        out[r * out_stride + j] = static_cast<std::byte>(whole + s.zero);
      }
    return near != 0;
  }
  // Which of sixteen sums may be wrong, as bits.
  static uint32_t near_ties(const int32_t* sums, const PanelScales& s) {
    if constexpr (V::kOwnFinish) return V::near_ties(sums, s);
    uint32_t near = 0;
    for (int64_t j = 0; j < kColumns; ++j) {
      const float value = static_cast<float>(sums[j]) * s.multiplier[j] + s.addend[j];
      const float raised = value > s.low ? value : s.low, clamped = raised < s.high ? raised : s.high;
      const auto whole = static_cast<float>(nearest_integer(clamped));
      near |= static_cast<uint32_t>(std::fabs(clamped - whole) > 0.5f - s.tolerance[j]) << j;
    }
    return near;
  }

  // Columns [column, column + n), n <= 16, of the block's rows [row, row + rows).
  static void finish_panel(const BlockResult& to, const int32_t* sums, int64_t stride, int64_t row, int64_t rows, int64_t column,
                           int64_t n) {
    const int64_t at = row * to.stride + column;
    if (to.sums) {
      for (int64_t r = 0; r < rows; ++r)
        std::memcpy(to.sums + at + r * to.stride, sums + r * stride, static_cast<size_t>(n) * sizeof(int32_t));
      return;
    }
    Own own;
    std::array<std::byte, kMostRows * kColumns> narrow;
    const PanelScales scales = scales_of(to.scales, column, n, own);
    std::byte* out = n == kColumns ? to.quantized + at : narrow.data();
    const int64_t out_stride = n == kColumns ? to.stride : kColumns;
    if (quantize_panel(sums, stride, rows, scales, out, out_stride))
      for (int64_t r = 0; r < rows; ++r)
        for (uint32_t near = near_ties(sums + r * stride, scales) & ((uint32_t{1} << n) - 1); near != 0; near &= near - 1) {
          const int j = std::countr_zero(near);
          const ResultScale& exact = to.scales.exact[to.scales.count == 1 ? 0 : column + j];
          out[r * out_stride + j] =
              static_cast<std::byte>(requantized(sums[r * stride + j], exact, to.scales.low, to.scales.high) + to.scales.zero);
        }
    if (n != kColumns)
      for (int64_t r = 0; r < rows; ++r)
        std::memcpy(to.quantized + at + r * to.stride, narrow.data() + r * kColumns, static_cast<size_t>(n));
  }

  static void take_zeros_off(const IntegerBlock& b, int32_t* sums, int64_t stride, int64_t row, int64_t rows, int64_t column) {
    for (int64_t r = 0; r < rows; ++r) {
      const auto term = static_cast<uint32_t>(b.row_terms[row + r]);
      for (int64_t j = 0; j < kColumns; ++j) {
        int32_t& sum = sums[r * stride + j];
        sum = static_cast<int32_t>(static_cast<uint32_t>(sum) - term * static_cast<uint32_t>(b.column_zeros[column + j]));
      }
    }
  }

  // A tile of whole panels.
  static void finish(const IntegerBlock& b, int32_t* sums, int64_t stride, int64_t row, int64_t rows, int64_t column,
                     int64_t panels) {
    for (int64_t p = 0; p < panels; ++p, column += kColumns, sums += kColumns) {
      if (b.row_terms) take_zeros_off(b, sums, stride, row, rows, column);
      const int64_t n = b.columns - column;
      finish_panel(b.result, sums, stride, row, rows, column, n < kColumns ? n : kColumns);
    }
  }
};

}  // namespace tandem::cpu
