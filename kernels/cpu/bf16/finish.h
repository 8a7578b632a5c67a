// What becomes of f32 sums of products of bf16: residual, activation, rounding. A template on a type of the tier's file, so that
// files compiled with other flags share no instance; plain loops that the compiler turns into the tier's vectors.
#pragma once

#include <bit>
#include <cstring>
#include <limits>

#include "kernels/cpu/bf16/block.h"
#include "kernels/cpu/bf16/gelu.h"
#include "kernels/cpu/channels_last/finish.h"
#include "kernels/cpu/simd/elementwise_f32.h"

namespace tandem::cpu {

template <class V>
struct Bf16Finish {
  static void widen(const BF16* __restrict x, float* __restrict y, int64_t n) {
    for (int64_t i = 0; i < n; ++i) y[i] = std::bit_cast<float>(static_cast<uint32_t>(x[i].bits) << 16);
  }
  // As to_bf16, without a branch; or by V::narrow_16, which may take denormals for 0.
  static void narrow(const float* __restrict x, BF16* __restrict y, int64_t n) {
    int64_t i = 0;
    if constexpr (requires { &V::narrow_16; })
      for (; i + 16 <= n; i += 16) V::narrow_16(x + i, y + i);
    for (; i < n; ++i) y[i] = nearest(x[i]);
  }
  static BF16 nearest(float x) {
    const uint32_t bits = std::bit_cast<uint32_t>(x), upper = bits >> 16;
    const uint32_t rounded = (bits + 0x7FFFu + (upper & 1u)) >> 16;
    return {static_cast<uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000u ? upper | 0x40u : rounded)};
  }

  static void widen_rows(const BF16* x, int64_t x_stride, float* y, int64_t y_stride, int64_t rows, int64_t n) {
    if (x_stride == n && y_stride == n) n *= rows, rows = 1;
    for (int64_t r = 0; r < rows; ++r) widen(x + r * x_stride, y + r * y_stride, n);
  }
  static void narrow_rows(const float* x, int64_t x_stride, BF16* y, int64_t y_stride, int64_t rows, int64_t n) {
    if (x_stride == n && y_stride == n) n *= rows, rows = 1;
    for (int64_t r = 0; r < rows; ++r) narrow(x + r * x_stride, y + r * y_stride, n);
  }
  // Four rows at once, so that factors are loaded once for them.
  static void scale_rows(const BF16* x, int64_t x_stride, const float* factors, BF16* y, int64_t y_stride, int64_t rows, int64_t n) {
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) scale<4>(x + r * x_stride, x_stride, factors, y + r * y_stride, y_stride, n);
    for (; r < rows; ++r) scale<1>(x + r * x_stride, x_stride, factors, y + r * y_stride, y_stride, n);
  }
  template <int R>
  static void scale(const BF16* __restrict x, int64_t x_stride, const float* __restrict factors, BF16* __restrict y, int64_t y_stride, int64_t n) {
    int64_t i = 0;
    if constexpr (requires { &V::template scale_32<R>; })
      for (; i + 32 <= n; i += 32) V::template scale_32<R>(x + i, x_stride, factors + i, y + i, y_stride);
    for (int64_t r = 0; r < R; ++r)
      for (int64_t j = i; j < n; ++j) y[r * y_stride + j] = nearest(widened(x[r * x_stride + j]) * factors[j]);
  }
  static float widened(BF16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }
  static void add(const std::byte* from, bool is_bf16, float* __restrict sums, int64_t n) {
    const auto* wide = reinterpret_cast<const float*>(from);
    const auto* narrow = reinterpret_cast<const BF16*>(from);
    if (is_bf16)
      for (int64_t j = 0; j < n; ++j) sums[j] += widened(narrow[j]);
    else
      for (int64_t j = 0; j < n; ++j) sums[j] += wide[j];
  }
  // Between bounds; NaN stays.
  static void clamp_row(float* sums, int64_t n, float low, float high) {
    for (int64_t j = 0; j < n; ++j) {
      const float raised = sums[j] < low ? low : sums[j];
      sums[j] = raised > high ? high : raised;
    }
  }

  // What an activation is, seen from here. Bounds that are none let everything pass.
  struct Then {
    bool bounded, swish, gelu;
    float low, high;
    explicit Then(const Bf16Block& b)
        : bounded(!b.activation || b.activation.is(UnaryOp::kRelu) || b.activation.is(UnaryOp::kClip)),
          swish(b.activation.is(UnaryOp::kSwish)), gelu(b.activation.is(UnaryOp::kGelu) && b.result.is_bf16),
          low(-std::numeric_limits<float>::infinity()), high(std::numeric_limits<float>::infinity()) {
      if (b.activation.is(UnaryOp::kRelu)) low = 0;
      if (b.activation.is(UnaryOp::kClip)) low = b.activation.parameters.alpha, high = b.activation.parameters.beta;
    }
  };

  // Row by row in passes over the sums, for any tier and activation. kColumns: of all rows, known when it is compiled; 0: n.
  template <int64_t kColumns>
  static void finish_rows(const Bf16Block& b, const Then& then, float* sums, int64_t stride, int64_t row, int64_t rows,
                          int64_t column, int64_t n) {
    const int64_t count = kColumns > 0 ? kColumns : n;
    const std::byte* from = b.residual.data ? b.residual.at(row, column) : nullptr;
    std::byte* to = b.result.at(row, column);
    const int64_t from_step = b.residual.row_bytes(), to_step = b.result.row_bytes();
    for (int64_t r = 0; r < rows; ++r, sums += stride, from += from_step, to += to_step) {
      if (from) add(from, b.residual.is_bf16, sums, count);
      if (then.gelu)
        gelu_for_bf16<V>(sums, count);
      else if (!then.bounded)
        simd::unary(b.activation.function, sums, sums, count, b.activation.parameters);
      else if (b.activation)
        clamp_row(sums, count, then.low, then.high);
      if (b.result.is_bf16)
        narrow(sums, reinterpret_cast<BF16*>(to), count);
      else
        std::memcpy(to, sums, static_cast<size_t>(count) * sizeof(float));
    }
  }

  static constexpr bool kInRegisters = requires { &V::store_16; };

  // The same in registers, for tiers that have vectors of bf16.
  enum class Function : uint8_t { kBounds, kSwish, kShortSwish };  // short: of results in bf16
  template <int64_t kColumns, Function kFunction>
  static void finish_vectors(const Bf16Block& b, const Then& then, float* sums, int64_t stride, int64_t row, int64_t rows,
                             int64_t column, int64_t n) {
    using Vector = typename V::Vector;
    const int64_t count = kColumns > 0 ? kColumns : n;
    const std::byte* from = b.residual.data ? b.residual.at(row, column) : nullptr;
    std::byte* to = b.result.at(row, column);
    const int64_t from_step = b.residual.row_bytes(), to_step = b.result.row_bytes();
    const Vector low = Vector::set(then.low), high = Vector::set(then.high), alpha = Vector::set(b.activation.parameters.alpha);
    const auto finish_16 = [&](int64_t c, auto part) {
      Vector sum = Vector::load(sums + c, part);
      if (from && b.residual.is_bf16)
        sum = sum + V::load_16(reinterpret_cast<const BF16*>(from) + c, part);
      else if (from)
        sum = sum + Vector::load(reinterpret_cast<const float*>(from) + c, part);
      if constexpr (kFunction == Function::kBounds) sum = clamp(low, sum, high);
      else sum = kFunction == Function::kSwish ? swish(sum, alpha) : V::short_swish(sum, alpha);
      if (b.result.is_bf16)
        V::store_16(sum, reinterpret_cast<BF16*>(to) + c, part);
      else
        sum.store(reinterpret_cast<float*>(to) + c, part);
    };
    const auto whole = Vector::part(kPanelColumns);
    for (int64_t r = 0; r < rows; ++r, sums += stride, from += from_step, to += to_step) {
      int64_t c = 0;
      for (; c + kPanelColumns <= count; c += kPanelColumns) finish_16(c, whole);
      if (c < count) finish_16(c, Vector::part(count - c));
    }
  }

  template <int64_t kColumns>
  static void finish_columns(const Bf16Block& b, float* sums, int64_t stride, int64_t row, int64_t rows, int64_t column, int64_t n) {
    const Then then(b);
    if constexpr (kInRegisters) {
      const auto in_vectors = then.bounded       ? &finish_vectors<kColumns, Function::kBounds>
                              : b.result.is_bf16 ? &finish_vectors<kColumns, Function::kShortSwish>
                                                 : &finish_vectors<kColumns, Function::kSwish>;
      if (then.bounded || then.swish) return in_vectors(b, then, sums, stride, row, rows, column, n);
    }
    finish_rows<kColumns>(b, then, sums, stride, row, rows, column, n);
  }

  static void finish_all(const Bf16Block& b, float* sums, int64_t stride, int64_t row, int64_t rows, int64_t n) {
    const auto rows_of = n == 2 * kPanelColumns ? &finish_columns<2 * kPanelColumns> : &finish_columns<0>;
    rows_of(b, sums, stride, row, rows, 0, n);
  }

  // Rows [row, row + rows) of the block, columns of one or two panels from `column` on. `sums` are worked on in place.
  static void finish(const Bf16Block& b, float* sums, int64_t stride, int64_t row, int64_t rows, int64_t column, int64_t panels) {
    const int64_t left = b.columns - column, n = left < panels * kPanelColumns ? left : panels * kPanelColumns;
    const auto rows_of = n == 2 * kPanelColumns ? &finish_columns<2 * kPanelColumns>
                         : n == kPanelColumns   ? &finish_columns<kPanelColumns>
                                                : &finish_columns<0>;
    rows_of(b, sums, stride, row, rows, column, n);
  }
};

// For block_tile.h.
struct Bf16Blocks {
  using Block = Bf16Block;
  using Number = float;
  template <class V>
  static constexpr bool kInRegisters = Bf16Finish<V>::kInRegisters;

  template <class V>
  struct Finish {
    const Bf16Block& block;
    int64_t column, panels;
    Finish(const Bf16Block& b, int64_t first, int64_t count) : block(b), column(first), panels(count) {}
    void operator()(float* sums, int64_t stride, int64_t row, int64_t rows) const {
      Bf16Finish<V>::finish(block, sums, stride, row, rows, column, panels);
    }

    // Whole panels with bounds, with Swish that is rounded to bf16, or with nothing but a residual.
    bool takes_tiles() const {
      const typename Bf16Finish<V>::Then then(block);
      return (then.bounded || (then.swish && block.result.is_bf16)) && column + panels * kPanelColumns <= block.columns;
    }
    // Asks for the residual's lines of a tile, which would be waited for where they are far.
    template <int R>
    [[gnu::always_inline]] void ask_ahead(int64_t row) const {
      if (!block.residual.data) return;
      const std::byte* from = block.residual.at(row, column);
      const int64_t step = block.residual.row_bytes();
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) __builtin_prefetch(from + r * step);
    }
    template <int R, int P, class Sum>
    [[gnu::always_inline]] bool take(Sum (&sum)[R][P], int64_t row) const {
      using Vector = typename V::Vector;
      const auto whole = Vector::part(kPanelColumns);
      const auto for_each = [&](auto&& body) {
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
          for (int p = 0; p < P; ++p) body(sum[r][p], r, p * kPanelColumns);
      };
      if (block.residual.data) {
        const std::byte* from = block.residual.at(row, column);
        const int64_t step = block.residual.row_bytes();
        if (P == 2 && block.residual.is_bf16)
#pragma GCC unroll 16
          for (int r = 0; r < R; ++r) {
            const auto [first, second] = V::load_32(reinterpret_cast<const BF16*>(from + r * step));
            sum[r][0] = (Vector{sum[r][0]} + first).v, sum[r][P - 1] = (Vector{sum[r][P - 1]} + second).v;
          }
        else if (block.residual.is_bf16)
          for_each([&](auto& x, int64_t r, int64_t c) { x = (Vector{x} + V::load_16(reinterpret_cast<const BF16*>(from + r * step) + c, whole)).v; });
        else
          for_each([&](auto& x, int64_t r, int64_t c) { x = (Vector{x} + Vector::load(reinterpret_cast<const float*>(from + r * step) + c)).v; });
      }
      if (block.activation) {
        const typename Bf16Finish<V>::Then then(block);
        const Vector low = Vector::set(then.low), high = Vector::set(then.high), alpha = Vector::set(block.activation.parameters.alpha);
        if (block.activation.is(UnaryOp::kRelu))
          for_each([&](auto& x, int64_t, int64_t) { x = relu(Vector{x}).v; });
        else if (then.bounded)
          for_each([&](auto& x, int64_t, int64_t) { x = clamp(low, Vector{x}, high).v; });
        else
          for_each([&](auto& x, int64_t, int64_t) { x = V::short_swish(Vector{x}, alpha).v; });
      }
      std::byte* result = block.result.at(row, column);
      const int64_t step = block.result.row_bytes();
      if (block.result.is_bf16)
        for_each([&](auto& x, int64_t r, int64_t c) { V::store_16(Vector{x}, reinterpret_cast<BF16*>(result + r * step) + c, whole); });
      else
        for_each([&](auto& x, int64_t r, int64_t c) { Vector{x}.store(reinterpret_cast<float*>(result + r * step) + c); });
      return true;
    }
  };
};

}  // namespace tandem::cpu
