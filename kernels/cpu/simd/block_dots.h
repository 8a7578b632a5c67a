// Dot products of few rows with a column of weights of 2, 4 or 8 bits that have a scale and a zero point a block: what a decoder reads its
// weights with, without a copy of them in f32.
//
// A column is read as words of 32 bits, lane by lane. The numbers at place t of a vector's words belong to elements 32 / bits apart, so rows are
// spread once: for each vector of words, the elements for place 0, those for place 1, ..., then each word's sum, which the zero points multiply.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/api/isa.h"

namespace tandem::cpu::simd {

struct BlockColumn {
  const std::byte* words = nullptr;  // 4-byte aligned, whole blocks, lowest bits first
  int64_t count = 0;                 // of words
  const float* scale = nullptr;      // one a block
  const float* zero = nullptr;       // one a block; null: 2^(bits - 1)
  int64_t bits = 4, block_words = 4;  // bits: 2, 4 or 8; words of a block: a power of two, 2 or more
};

struct BlockDotOps {
  static constexpr int64_t kRows = 4, kColumns = 16;  // at most, of one call

  // Floats of a row of `words` words that is spread.
  int64_t (*spread_elements)(int64_t words, int64_t bits);
  // a: k elements; zeros behind them.
  void (*spread)(const float* a, int64_t k, int64_t words, int64_t bits, float* out);
  // out[r * kColumns + c] = sum of a[r][p] * (q[p] - zero) * scale, of rows that are spread one behind the other, with a column and those
  // that follow it
  void (*dot)(const BlockColumn& column, int64_t columns, const float* spread, int64_t rows, float* out);
};

// For the best instruction set, or that of TANDEM_ISA.
const BlockDotOps& block_dot_ops(int64_t bits);

extern const BlockDotOps kVnniNibbleDots;  // 4 bits by AVX-512 VNNI

}  // namespace tandem::cpu::simd

namespace tandem::cpu {

// Those of 4 bits alone, or null: in kernels/cpu/architecture/.
const simd::BlockDotOps* nibble_dots(Isa isa);

}  // namespace tandem::cpu
