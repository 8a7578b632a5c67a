// Panels of B made while a product runs (keys and values of attention). A template on a type of the tier's file, as finish.h.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/cpu/bf16/block.h"

namespace tandem::cpu {

// V may bring `Vector`, sixteen lanes of 32 bits with load, store and transpose (kernels/cpu/gemm/vector_avx512-inl.h).
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
};

}  // namespace tandem::cpu
