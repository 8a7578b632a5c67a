// The register tile of byte products, a template on the vectors that each tier defines in an unnamed namespace, and the loops on
// lines of sums that the compiler vectorises for the tier.
//
// V::kRows rows by two vectors of columns stay in registers while k goes by in steps of four: four bytes of A are broadcast, the
// quads of B lie side by side, one a lane.
#pragma once

#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/api/quantize.h"
#include "kernels/cpu/gemm/integer_tier.h"

namespace tandem::cpu {

// V has: kLanes of 32 bits, kRows, Sum, Panel and Row, zero(), load(const std::byte*) -> Panel, set(quad) -> Row,
// store(int32_t*, Sum), add_products(Sum, Row, Panel): in each lane, the sum plus four products i8 * u8, and windows(const
// std::byte*, stride) -> Panel: in lane i the four bytes from i * stride on. The bytes of V::windows, one lane after another.
template <int lanes>
std::array<std::byte, 4 * lanes> copied_windows(const std::byte* line, int64_t stride) {
  std::array<std::byte, 4 * lanes> bytes;
  for (int i = 0; i < lanes; ++i) std::memcpy(bytes.data() + 4 * i, line + i * stride, 4);
  return bytes;
}

template <class V>
struct IntegerTile {
  static constexpr int64_t kLanes = V::kLanes, kColumns = 2 * kLanes;
  using Multiply = void (*)(const std::byte*, int64_t, const std::byte*, int64_t, int32_t*);

  static typename V::Row broadcast(const std::byte* a) {
    int32_t quad;
    std::memcpy(&quad, a, sizeof quad);
    return V::set(quad);
  }

  template <int R>
  static void multiply_rows(const std::byte* a, int64_t stride, const std::byte* panel, int64_t quads, int32_t* sums) {
    typename V::Sum sum[R][2];
    for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = V::zero();
    for (int64_t q = 0; q < quads; ++q) {
      const typename V::Panel b0 = V::load(panel + q * 4 * kColumns), b1 = V::load(panel + q * 4 * kColumns + 4 * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const typename V::Row quad = broadcast(a + r * stride + 4 * q);
        sum[r][0] = V::add_products(sum[r][0], quad, b0);
        sum[r][1] = V::add_products(sum[r][1], quad, b1);
      }
    }
    for (int r = 0; r < R; ++r) {
      V::store(sums + r * kColumns, sum[r][0]);
      V::store(sums + r * kColumns + kLanes, sum[r][1]);
    }
  }

  template <size_t... R>
  static constexpr std::array<Multiply, sizeof...(R)> by_rows(std::index_sequence<R...>) {
    return {&multiply_rows<static_cast<int>(R) + 1>...};
  }

  static void multiply(const std::byte* a, int64_t stride, int64_t count, const std::byte* panel, int64_t quads, int32_t* sums) {
    static constexpr auto kByRows = by_rows(std::make_index_sequence<V::kRows>{});
    kByRows[static_cast<size_t>(count - 1)](a, stride, panel, quads, sums);
  }

  static void filter_line(const LineWindows& w, int64_t n, int32_t* sums) {
    for (int64_t j = 0; j < n; j += kLanes) {
      typename V::Sum sum = V::zero();
      for (int64_t l = 0; l < w.count; ++l)
        for (int64_t q = 0; q < w.quads; ++q)
          sum = V::add_products(sum, broadcast(w.weights + 4 * (l * w.quads + q)),
                                V::windows(w.lines[l] + j * w.stride + 4 * q, w.stride));
      V::store(sums + j, sum);
    }
  }

  static void correct(int32_t* sums, int64_t n, const LineCorrection& c) {
    // Wrapping, as the sums do.
    const auto zero = static_cast<uint32_t>(c.row_zero), row_sum = static_cast<uint32_t>(c.row_sum);
    if (row_sum != 0)
      for (int64_t j = 0; j < n; ++j)
        sums[j] = static_cast<int32_t>(static_cast<uint32_t>(sums[j]) - row_sum * static_cast<uint32_t>(c.column_zeros[j]));
    if (zero != 0)
      for (int64_t j = 0; j < n; ++j)
        sums[j] = static_cast<int32_t>(static_cast<uint32_t>(sums[j]) - zero * static_cast<uint32_t>(c.column_sums[j]));
  }

  template <bool per_column>
  static bool requantize_line(const int32_t* sums, int64_t n, const LineScales& s, std::byte* out) {
    const float lowest = s.low - 1, highest = s.high + 1;
    const auto low = static_cast<int32_t>(s.low), high = static_cast<int32_t>(s.high);
    int32_t near = 0;
    for (int64_t j = 0; j < n; ++j) {
      const int64_t c = per_column ? j : 0;
      const float value = static_cast<float>(sums[j]) * s.multiplier[c] + s.addend[c];
      const float raised = value > lowest ? value : lowest, clamped = raised < highest ? raised : highest;
      const int32_t whole = nearest_integer(clamped);
      near |= std::fabs(clamped - static_cast<float>(whole)) > 0.5f - s.tolerance[c];
      const int32_t above = whole > low ? whole : low;
      out[j] = static_cast<std::byte>((above < high ? above : high) + s.zero);
    }
    return near == 0;
  }
  static bool requantize(const int32_t* sums, int64_t n, const LineScales& s, std::byte* out) {
    return s.per_column ? requantize_line<true>(sums, n, s, out) : requantize_line<false>(sums, n, s, out);
  }

  static void interleave(const std::byte* const* lines, int64_t n, std::byte flip, std::byte* to) {
    const std::byte *a = lines[0], *b = lines[1], *c = lines[2], *d = lines[3];
    for (int64_t j = 0; j < n; ++j) {
      to[4 * j] = a[j] ^ flip;
      to[4 * j + 1] = b[j] ^ flip;
      to[4 * j + 2] = c[j] ^ flip;
      to[4 * j + 3] = d[j] ^ flip;
    }
  }

  static float number_of(std::byte byte, const LineOperand& x) {
    return dequantized(static_cast<float>(static_cast<uint8_t>(byte ^ x.flip)), static_cast<float>(x.zero), x.scale);
  }
  // Operands by value: what is written as bytes might else be one of their numbers, and the compiler makes no vectors.
  template <class Op>
  static void combine_lines(LineOperand a, LineOperand b, int64_t n, LineResult y, std::byte* out, Op op) {
    const IntegerRange range = {y.lowest, y.highest};
    const auto store = [&](float value) { return static_cast<std::byte>(quantized(value / y.scale, y.zero, range)); };
    if (b.step == 0) {
      const float same = number_of(*b.data, b);
      for (int64_t j = 0; j < n; ++j) out[j] = store(op(number_of(a.data[j], a), same));
    } else {
      for (int64_t j = 0; j < n; ++j) out[j] = store(op(number_of(a.data[j], a), number_of(b.data[j], b)));
    }
  }
  static void combine(const LineOperand& a, const LineOperand& b, int64_t n, const LineResult& y, std::byte* out) {
    if (a.step == 0 && n > 1) return combine(b, a, n, y, out);  // both functions commute
    if (y.op == BinaryOp::kAdd)
      combine_lines(a, b, n, y, out, [](float one, float two) { return one + two; });
    else
      combine_lines(a, b, n, y, out, [](float one, float two) { return one * two; });
  }

  static void dequantize(const LineOperand& x, int64_t n, float* y) {
    const LineOperand own = x;
    for (int64_t i = 0; i < n; ++i) y[i] = number_of(own.data[i], own);
  }
  static void quantize(const float* x, int64_t n, float scale, float zero, IntegerRange range, std::byte* y) {
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<std::byte>(quantized(x[i] / scale, zero, range));
  }

  // A word at a time, by a copy of the table, which stores to y cannot change.
  static void look_up(const std::byte* x, const std::byte* table, int64_t n, std::byte* y) {
    std::array<uint8_t, 256> numbers;
    std::memcpy(numbers.data(), table, numbers.size());
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
      uint64_t word, found = 0;
      std::memcpy(&word, x + i, 8);
      for (int shift = 0; shift < 64; shift += 8) found |= uint64_t{numbers[word >> shift & 255]} << shift;
      std::memcpy(y + i, &found, 8);
    }
    for (; i < n; ++i) y[i] = static_cast<std::byte>(numbers[static_cast<size_t>(x[i])]);
  }

  static int32_t copy_row(const std::byte* from, int64_t n, std::byte flip, std::byte* to) {
    int32_t sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      to[i] = from[i] ^ flip;
      sum += static_cast<int8_t>(to[i]);
    }
    return sum;
  }
};

template <class V>
constexpr IntegerTier make_integer_tier(IntegerBlockKernel block, IntegerDepthwiseKernel depthwise,
                                        decltype(IntegerTier::combine) combine = &IntegerTile<V>::combine,
                                        decltype(IntegerTier::look_up) look_up = &IntegerTile<V>::look_up, ScaleLine scale_line = nullptr) {
  using Tile = IntegerTile<V>;
  return {V::kRows,          Tile::kColumns,    &Tile::multiply, &Tile::filter_line, &Tile::correct,
          &Tile::requantize, &Tile::interleave, combine,         &Tile::dequantize,
          &Tile::quantize,   look_up,         &Tile::copy_row, block,              depthwise,
          scale_line};
}

}  // namespace tandem::cpu
