// The register tile of integer products, a template on the vector that each tier defines in an unnamed namespace.
//
// V::kRows rows by two vectors of columns stay in registers while k goes by in steps of two: a pair of A is broadcast, the pairs
// of B lie side by side, one a lane.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/cpu/gemm/integer_tier.h"

namespace tandem::cpu {

// V has: kLanes of 32 bits, kRows, zero(), load(const int16_t*), set(pair), store(int32_t*), and add_products(sum, a, b): in each
// lane, sum plus the products of both halves.
template <class V>
struct IntegerTile {
  static constexpr int64_t kLanes = V::kLanes, kColumns = 2 * kLanes;

  static V broadcast(const int16_t* a) {
    int32_t pair;
    std::memcpy(&pair, a, sizeof pair);
    return V::set(pair);
  }

  template <int R>
  static void multiply_rows(const int16_t* a, int64_t stride, const int16_t* panel, int64_t pairs, int32_t* c, int64_t ldc,
                            int64_t columns) {
    V sum[R][2];
    for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = V::zero();
    for (int64_t p = 0; p < pairs; ++p) {
      const V b0 = V::load(panel + p * 2 * kColumns), b1 = V::load(panel + p * 2 * kColumns + kColumns);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const V pair = broadcast(a + r * stride + 2 * p);
        sum[r][0] = V::add_products(sum[r][0], pair, b0);
        sum[r][1] = V::add_products(sum[r][1], pair, b1);
      }
    }
    int32_t line[kColumns];
    for (int r = 0; r < R; ++r) {
      int32_t* out = columns == kColumns ? c + r * ldc : line;
      sum[r][0].store(out);
      sum[r][1].store(out + kLanes);
      if (out == line) std::copy_n(line, columns, c + r * ldc);
    }
  }

  static void multiply(const IntegerGemmShape& s, const int16_t* a, const int16_t* b, int32_t* c, int64_t ldc) {
    const int64_t pairs = (s.k + 1) / 2, stride = 2 * pairs;
    for (int64_t column = 0; column < s.n; column += kColumns, b += pairs * 2 * kColumns) {
      const int64_t columns = std::min(kColumns, s.n - column);
      int64_t row = 0;
      for (; row + V::kRows <= s.m; row += V::kRows)
        multiply_rows<V::kRows>(a + row * stride, stride, b, pairs, c + row * ldc + column, ldc, columns);
      for (; row < s.m; ++row) multiply_rows<1>(a + row * stride, stride, b, pairs, c + row * ldc + column, ldc, columns);
    }
  }
};

template <class V>
constexpr IntegerTier make_integer_tier() {
  return {IntegerTile<V>::kColumns, &IntegerTile<V>::multiply};
}

}  // namespace tandem::cpu
