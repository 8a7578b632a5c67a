// The loops around blocks of bf16 (block.h). Threads share rectangles of C: blocks of rows whose part of A stays in the second-level
// cache, by as many columns as keep them all busy.
#pragma once

#include <algorithm>

#include "kernels/cpu/bf16/block.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {

inline constexpr int64_t kBf16Alignment = 64;

struct Bf16Product {
  const Bf16Kernel& kernel;
  BlockDepth depth;
  int64_t m, n;
  const std::byte* a;
  int64_t a_stride;  // bytes
  const std::byte* panels;
  bool in_order;
  const float* seeds;
  ShortRows<const std::byte> residual;
  ShortRows<std::byte> c;
  Activation activation;
};

inline int64_t panel_columns(int64_t n) { return round_up(n, kPanelColumns); }
inline BlockDepth depth_of(int64_t k, const Bf16Kernel& kernel) { return block_depth(2 * k, kernel.step); }
// Vectors read a few bytes of each row of a tile in turn: rows whole pages apart would push each other out of the first-level cache.
inline bool rows_collide(int64_t k, const Bf16Kernel& kernel) {
  constexpr int64_t kPage = 4096;
  return kernel.step == 4 && k > 0 && 2 * k % kPage == 0;
}
// Bytes between rows of A that were copied.
inline int64_t copied_stride(int64_t k, const Bf16Kernel& kernel) {
  return depth_of(k, kernel).bytes + (rows_collide(k, kernel) ? kBf16Alignment : 0);
}
inline int64_t seed_bytes(int64_t n) { return round_up(panel_columns(n) * static_cast<int64_t>(sizeof(float)), kBf16Alignment); }
// The bias, readable up to a whole panel: where it lies, or in `memory` of seed_bytes().
const float* bf16_seeds(const float* bias, int64_t n, std::byte* memory);

// Calls then(row, rows, column, columns) when that block of C is there, still in the caches of the thread that made it.
template <class Then>
void multiply_blocks(const KernelContext& context, const Bf16Product& p, Then&& then) {
  constexpr int64_t kRowBytes = int64_t{1} << 20;    // of A that are read over and over
  constexpr int64_t kPanelBytes = int64_t{1} << 20;  // of B in a task
  const int64_t most = std::clamp(kRowBytes / std::max<int64_t>(p.depth.bytes, 1), int64_t{64}, kMostBlockRows);
  const int64_t width = panel_columns(p.n), wide = 2 * kPanelColumns;
  int64_t blocks = ceil_div(p.m, most), parts = std::max<int64_t>(1, ceil_div(width * p.depth.bytes, kPanelBytes));
  if (blocks % context.threads != 0 && blocks < 4 * context.threads) parts = round_up(parts, context.threads);
  const int64_t rows = round_up(ceil_div(p.m, blocks), p.m > p.kernel.rows ? p.kernel.rows : 1);
  const int64_t part = round_up(ceil_div(width, parts), wide);
  blocks = ceil_div(p.m, rows), parts = ceil_div(width, part);
  parallel_chunks(context, blocks * parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t row = task / parts * rows, column = task % parts * part;
      Bf16Block block;
      block.a = p.a + row * p.a_stride, block.a_stride = p.a_stride, block.rows = std::min(rows, p.m - row);
      block.depth = p.depth.bytes, block.step = p.depth.step;
      block.panels = p.panels + column * p.depth.bytes, block.columns = std::min(part, p.n - column), block.in_order = p.in_order;
      block.seeds = p.seeds + column;
      block.activation = p.activation;
      block.result = p.c, block.result.data = p.c.at(row, column);
      block.residual = p.residual;
      if (p.residual.data) block.residual.data = p.residual.at(row, column);
      p.kernel.multiply(block);
      then(row, block.rows, column, block.columns);
    }
  });
}

}  // namespace tandem::cpu
