// A block of a product of bf16 matrices: rows of A, read where they lie, times panels of 16 columns of B, summed in f32 and
// finished at once.
//
//   result[r][c] = activation(seeds[c] + sum over k of a[r][k] * b[k][c] + residual[r][c])
//
// Panels hold B by pairs of k, [k / 2][16][2]: what vdpbf16ps and the tiles of AMX read. Products are exact in f32; sums are in
// f32 in an order that depends on the tier and on k, not on the rows, columns or threads. The hardware of AMX and AVX-512 BF16
// takes denormals for 0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/api/activation.h"
#include "kernels/api/isa.h"
#include "kernels/base/half.h"
#include "kernels/cpu/channels_last/tier.h"
#include "kernels/cpu/gemm/integer_block.h"

namespace tandem::cpu {

// Rows of f32 or bf16.
template <class Byte>
struct ShortRows {
  Byte* data = nullptr;  // null: none
  bool is_bf16 = true;
  int64_t stride = 0;  // elements between rows
  int64_t row_bytes() const { return data ? stride * (is_bf16 ? 2 : 4) : 0; }
  Byte* at(int64_t row, int64_t column) const { return data + (row * stride + column) * (is_bf16 ? 2 : 4); }
};

struct Bf16Block {
  const std::byte* a = nullptr;
  int64_t a_stride = 0, rows = 0;     // bytes between rows; at most kMostBlockRows rows
  bool rows_are_far = false;          // they come from beyond the second-level cache, and lie one after the other
  int64_t depth = 0, step = 4;        // bytes of a row, and those that a tile of AMX takes at once; block_depth
  const std::byte* panels = nullptr;  // [panel][depth / 4][16][2] bf16
  bool in_order = false;              // panels are read one after the other: they come from memory, which then gives the most
  int64_t columns = 0;
  const float* seeds = nullptr;              // readable up to a whole panel
  ShortRows<const std::byte> residual = {};  // may be the memory of `result`
  ShortRows<std::byte> result = {};
  Activation activation = {};
  // Rows may be patches of an image: runs of `run` bytes of k, at these offsets from where a row begins; null: one run. And they may begin
  // at the pixels of lines: row r at a + r / line * line_stride + r % line * a_stride, line_tile of them (a divisor, at most 16) together and
  // 16 such tiles at most; line 0: no lines. Of every `pitch` rows of a line only the first `width` are results, line_results of a
  // line, and the others are left out; pitch 0: all are. For kernels that take lines.
  const int64_t* offsets = nullptr;
  int64_t run = 0;
  int64_t line = 0, line_stride = 0, line_tile = 0;
  int64_t pitch = 0, width = 0, line_results = 0;
  const int64_t* places = nullptr;  // for tiles of vectors: runs are parts of those that B has, from these bytes of k on; null: one after the other
  const RunRange* line_runs = nullptr;  // of each line, those that meet more than zeros: others may be left out; null: all

  int64_t run_bytes() const { return run > 0 ? run : depth; }
  RunRange runs_of(int64_t at_line) const {
    if (line_runs) return line_runs[at_line];
    return {0, run > 0 ? depth / run : 1};
  }
};

inline constexpr int64_t kMostBlockRows = 256;

// How an instruction set multiplies blocks.
struct Bf16Kernel {
  int64_t rows = 0;  // of a tile: blocks are best a multiple
  int64_t step = 0;  // the most bytes of k at once: 4, or a tile of AMX
  bool is_native = false;  // pairs are multiplied as they are, not widened to f32
  // Multiply-adds below which a second thread costs more than it brings: a few microseconds' worth.
  int64_t team_work() const { return int64_t{step > 4 ? 4096 : 512} << 10; }
  void (*multiply)(const Bf16Block&) = nullptr;
  void (*narrow)(const float* x, BF16* y, int64_t n) = nullptr;  // to nearest, ties to even
  void (*widen)(const BF16* x, float* y, int64_t n) = nullptr;
  // Rows of n, strides in elements.
  void (*narrow_rows)(const float* x, int64_t x_stride, BF16* y, int64_t y_stride, int64_t rows, int64_t n) = nullptr;
  void (*widen_rows)(const BF16* x, int64_t x_stride, float* y, int64_t y_stride, int64_t rows, int64_t n) = nullptr;
  // y[r][i] = x[r][i] * factors[i], rounded as by narrow.
  void (*scale_rows)(const BF16* x, int64_t x_stride, const float* factors, BF16* y, int64_t y_stride, int64_t rows, int64_t n) = nullptr;
  // A panel of B from `count` <= 16 rows of its transpose, `stride` bytes apart: pairs [0, pairs) of each. Other columns are left
  // as they are.
  void (*transpose)(const std::byte* rows, int64_t stride, int64_t count, int64_t pairs, std::byte* panel) = nullptr;
  // A panel's lines of one pair from two rows of B, n <= 16 columns. Other columns are left as they are.
  void (*interleave)(const BF16* even, const BF16* odd, int64_t n, BF16* line) = nullptr;
  // A panel's lines, or rows of A, rounded from f32, sixteen pairs of k and sixteen columns at most: packing.h.
  void (*round_lines)(const float* x, int64_t stride, int64_t k, int64_t count, int64_t pairs, std::byte* panel) = nullptr;
  void (*round_transposed)(const float* x, int64_t stride, int64_t k, int64_t count, int64_t pairs, std::byte* panel) = nullptr;
  void (*round_columns)(const float* x, int64_t stride, int64_t k, int64_t count, int64_t pairs, std::byte* rows, int64_t row_bytes) = nullptr;
  bool takes_lines = false;
  // For kernels that finish in registers: of rows of a block and its first `n` columns what becomes of sums `stride` apart, with the block's
  // residual and an activation of bounds or Swish; null: no such kernel.
  void (*finish)(const Bf16Block&, float* sums, int64_t stride, int64_t row, int64_t rows, int64_t n) = nullptr;
  void (*depthwise)(const DepthwisePixelsOf<BF16>&) = nullptr;  // the image read as it lies, results rounded; null: no such kernel
};

// The best for a tier; all those that this machine can run, for tests.
const Bf16Kernel& bf16_kernel(Isa isa);

}  // namespace tandem::cpu
