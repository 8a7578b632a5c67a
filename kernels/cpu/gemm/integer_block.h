// A block of a product of bytes whose rows are read where they lie: rows of A times panels of 16 columns of B, finished at once.
//
//   result[r][c] = seeds[c] + sum over k of a[r][k] * b[k][c] - row_sums[r] * column_zeros[c] - row_zeros[r] * column_sums[c]
//
// exact in i32 (wrapping), as i32 or quantized (kernels/api/requantize.h). What one zero point of all of A adds is in the seeds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/api/requantize.h"
#include "kernels/cpu/gemm/line_operand.h"

namespace tandem::cpu {

inline constexpr int64_t kPanelColumns = 16;

// Where sums go, seen from the first row and column: one of `sums` and `quantized`.
struct BlockResult {
  int32_t* sums = nullptr;
  std::byte* quantized = nullptr;
  int64_t stride = 0;    // elements between rows
  OutputScales scales;   // of `quantized`: one a column, or one for all
};

// Runs [first, last) of a row.
struct RunRange {
  int64_t first, last;
};

struct IntegerBlock {
  const std::byte* a = nullptr;  // u8; i8 if `a_signed`, which only some tiers take
  bool a_signed = false;
  int64_t a_stride = 0, rows = 0;
  bool rows_are_far = false;          // they come from beyond the second-level cache, and lie one after the other
  int64_t depth = 0;                  // bytes of a row; what lies behind the true ones meets zeros in B
  int64_t step = 4;                   // bytes of k that a tile of AMX takes; `depth` is a multiple
  // Rows may be patches of an image: `runs` runs of depth / runs bytes, at these offsets from where a row begins; null: one run. And they
  // may begin at the pixels of lines: row r at a + r / line * line_stride + r % line * a_stride, line_tile of them together (with AMX a divisor;
  // others share a line among tiles as they like); line 0: no lines. For tiers with `takes_patches`.
  const int64_t* offsets = nullptr;
  int64_t runs = 1;
  int64_t line = 0, line_stride = 0, line_tile = 0;
  // For tiles of vectors: runs may be parts of those that B has, `run` bytes each from `places` on; null: one after the other. And results of a
  // line may begin line_results rows after those of the line before; 0: `line`.
  const int64_t* places = nullptr;
  int64_t run = 0;
  int64_t line_results = 0;
  const RunRange* line_runs = nullptr;  // of each line, those that meet more than zeros: others may be left out; null: all
  const std::byte* panels = nullptr;  // [panel][depth / 4][16][4], i8
  bool in_order = false;              // panels are read one after the other: they come from memory, which then gives the most
  int64_t columns = 0;
  const int32_t* seeds = nullptr;                               // readable up to a whole panel, as all of columns
  const int32_t *row_sums = nullptr, *column_zeros = nullptr;   // null: the columns' zero points are 0
  const int32_t *row_zeros = nullptr, *column_sums = nullptr;   // null: rows have none of their own
  BlockResult result;
  const ResidualLines* residual = nullptr;  // added to `result`, quantized; for tiers that `add_residuals`

  int64_t run_bytes() const { return places ? run : runs == 1 ? depth : depth / runs; }
  RunRange runs_of(int64_t at_line) const { return line_runs ? line_runs[at_line] : RunRange{0, runs}; }
};

// How an instruction set multiplies blocks.
struct IntegerBlockKernel {
  int64_t rows = 0;          // of a tile: blocks are best a multiple
  int64_t step = 0;          // the most bytes of k at once: 4, or a tile of AMX
  bool signed_rows = false;  // takes A as i8 too
  bool takes_patches = false;
  void (*multiply)(const IntegerBlock&) = nullptr;
  // to[panel][column][i] = lines[i][panel * 16 + column] ^ flip, for n columns and i < 4; panels `panel_bytes` apart.
  void (*interleave)(const std::byte* const* lines, int64_t n, std::byte flip, std::byte* to, int64_t panel_bytes) = nullptr;
  // The sums of a panel's sixteen columns over `depth` bytes each.
  void (*sum_columns)(const std::byte* panel, int64_t depth, int32_t* sums) = nullptr;
  int32_t (*sum_row)(const std::byte* row, int64_t n, bool is_signed) = nullptr;
  bool adds_residuals = false;
  QuickResidual (*find_quick)(const ResidualLines&) = nullptr;  // null: of no use
};

// How many bytes a line of k takes in this tier, whose steps have `most` bytes, and in what steps they go by.
struct BlockDepth {
  int64_t bytes, step;
};
// Of rows that are copied: whole steps.
constexpr BlockDepth copied_depth(int64_t k, int64_t most) { return {(k + most - 1) / most * most, most}; }
// Of rows that lie somewhere: k itself in somewhat more and smaller steps, where they come out even; else they must be copied.
constexpr BlockDepth block_depth(int64_t k, int64_t most) {
  constexpr int64_t kQuad = 4;
  if (k == 0) return {0, most};
  const int64_t fewest = (k + most - 1) / most;
  if (most == kQuad && k % kQuad == 0) return {k, kQuad};
  for (int64_t n = fewest; most > kQuad && 2 * n <= 3 * fewest + 1; ++n)
    if (k % (kQuad * n) == 0) return {k, k / n};
  return copied_depth(k, most);
}

}  // namespace tandem::cpu
