// Panels of B, and rows of A, made while a product runs: from bf16 (keys and values of attention), or rounded from f32 (the weights and
// gradients of a training step). A template on a type of the tier's file, as finish.h.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/base/half.h"
#include "kernels/cpu/bf16/block.h"

namespace tandem::cpu {

// V may bring `Vector`, sixteen lanes of 32 bits with load, store and transpose (kernels/cpu/gemm/vector_avx512-inl.h), and with it
// rounded_pairs(even, odd), sixteen pairs, and rounded_neighbours(low, high), the pairs of 32 numbers in a row.
template <class V>
struct Bf16Packing {
  static constexpr int64_t kLine = 4 * kPanelColumns;  // bytes of a panel a pair

  static void transpose_some(const std::byte* rows, int64_t stride, int64_t count, int64_t pairs, std::byte* panel) {
    for (int64_t r = 0; r < count; ++r)
      for (int64_t p = 0; p < pairs; ++p) std::memcpy(panel + p * kLine + 4 * r, rows + r * stride + 4 * p, 4);
  }

  static void transpose(const std::byte* rows, int64_t stride, int64_t count, int64_t pairs, std::byte* panel) {
    int64_t done = 0;
    if constexpr (requires { typename V::Vector; }) {
      using Vector = typename V::Vector;
      for (; count == kPanelColumns && done + kPanelColumns <= pairs; done += kPanelColumns) {
        Vector lanes[16];
        for (int64_t r = 0; r < 16; ++r) lanes[r] = Vector::load(reinterpret_cast<const float*>(rows + r * stride + 4 * done));
        Vector::transpose(lanes);
        for (int64_t p = 0; p < 16; ++p) lanes[p].store(reinterpret_cast<float*>(panel + (done + p) * kLine));
      }
    }
    transpose_some(rows + 4 * done, stride, count, pairs - done, panel + done * kLine);
  }

  static void interleave(const BF16* even, const BF16* odd, int64_t n, BF16* line) {
    if (n == kPanelColumns)
      for (int64_t j = 0; j < kPanelColumns; ++j) line[2 * j] = even[j], line[2 * j + 1] = odd[j];
    else
      for (int64_t j = 0; j < n; ++j) line[2 * j] = even[j], line[2 * j + 1] = odd[j];
  }

  // Of what follows, `pairs` <= 16 and `count` <= 16; k, the numbers that there are of the 2 * pairs, the others being 0.
  static constexpr bool kRounds = requires { typename V::Vector; &V::rounded_pairs; };
  static uint32_t rounded_pair(float even, float odd) {
    return to_bf16(even).bits | static_cast<uint32_t>(to_bf16(odd).bits) << 16;
  }
  static void put_pair(const float* x, int64_t k_stride, int64_t k, int64_t p, std::byte* to) {
    const float even = 2 * p < k ? x[2 * p * k_stride] : 0, odd = 2 * p + 1 < k ? x[(2 * p + 1) * k_stride] : 0;
    const uint32_t pair = rounded_pair(even, odd);
    std::memcpy(to, &pair, sizeof pair);
  }
  static int64_t within(int64_t n, int64_t most) { return std::clamp<int64_t>(n, 0, most); }

  // Lines of a panel from rows of B, `stride` apart, with `count` columns; the other columns become 0.
  static void round_lines(const float* x, int64_t stride, int64_t k, int64_t count, int64_t pairs, std::byte* panel) {
    if constexpr (kRounds) {
      using Vector = typename V::Vector;
      const auto columns = Vector::part(count), none = Vector::part(0);
      for (int64_t p = 0; p < pairs; ++p, x += 2 * stride, panel += kLine)
        V::rounded_pairs(Vector::load(x, 2 * p < k ? columns : none), Vector::load(x + stride, 2 * p + 1 < k ? columns : none))
            .store(reinterpret_cast<float*>(panel));
    } else {
      std::memset(panel, 0, static_cast<size_t>(pairs * kLine));
      for (int64_t p = 0; p < pairs; ++p)
        for (int64_t c = 0; c < count; ++c) put_pair(x + c, stride, k, p, panel + p * kLine + 4 * c);
    }
  }

  // Lines of a panel from the rows of B's transpose, one a column; the other columns become 0.
  static void round_transposed(const float* x, int64_t stride, int64_t k, int64_t count, int64_t pairs, std::byte* panel) {
    if constexpr (kRounds) {
      using Vector = typename V::Vector;
      const auto low = Vector::part(within(k, 16)), high = Vector::part(within(k - 16, 16));
      Vector lanes[16];
      for (int64_t r = 0; r < 16; ++r)
        lanes[r] = r < count ? V::rounded_neighbours(Vector::load(x + r * stride, low), Vector::load(x + r * stride + 16, high)) : Vector::set(0);
      Vector::transpose(lanes);
      for (int64_t p = 0; p < pairs; ++p) lanes[p].store(reinterpret_cast<float*>(panel + p * kLine));
    } else {
      std::memset(panel, 0, static_cast<size_t>(pairs * kLine));
      for (int64_t c = 0; c < count; ++c)
        for (int64_t p = 0; p < pairs; ++p) put_pair(x + c * stride, 1, k, p, panel + p * kLine + 4 * c);
    }
  }

  // Pairs of `count` rows of A, `row_bytes` apart, from the rows of its transpose, `stride` apart.
  static void round_columns(const float* x, int64_t stride, int64_t k, int64_t count, int64_t pairs, std::byte* rows, int64_t row_bytes) {
    if constexpr (kRounds) {
      using Vector = typename V::Vector;
      const auto columns = Vector::part(count), none = Vector::part(0), kept = Vector::part(pairs);
      Vector lanes[16];
      for (int64_t p = 0; p < 16; ++p, x += 2 * stride)
        lanes[p] = V::rounded_pairs(Vector::load(x, 2 * p < k ? columns : none), Vector::load(x + stride, 2 * p + 1 < k ? columns : none));
      Vector::transpose(lanes);
      for (int64_t r = 0; r < count; ++r) lanes[r].store(reinterpret_cast<float*>(rows + r * row_bytes), kept);
    } else {
      for (int64_t r = 0; r < count; ++r)
        for (int64_t p = 0; p < pairs; ++p) put_pair(x + r, stride, k, p, rows + r * row_bytes + 4 * p);
    }
  }
};

}  // namespace tandem::cpu
