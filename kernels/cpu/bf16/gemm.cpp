// Threads share rectangles of C: blocks of rows whose part of A stays in the second-level cache, by as many columns as keep them
// all busy.
#include "kernels/api/bf16_gemm.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/block.h"
#include "kernels/cpu/bf16/block.h"
#include "kernels/cpu/gemm/far_weights.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kRowBytes = int64_t{1} << 20;    // of A that are read over and over
constexpr int64_t kPanelBytes = int64_t{1} << 20;  // of B in a task
constexpr int64_t kTeamWork = int64_t{4} << 20;    // multiply-adds below which a second thread costs more than it brings

int64_t columns_of(int64_t n) { return round_up(n, kPanelColumns); }
BlockDepth depth_of(int64_t k, const Bf16Kernel& kernel) { return block_depth(2 * k, kernel.step); }
// Vectors read a few bytes of each row of a tile in turn: rows whole pages apart would push each other out of the first-level cache.
bool rows_collide(int64_t k, const Bf16Kernel& kernel) {
  constexpr int64_t kPage = 4096;
  return kernel.step == 4 && k > 0 && 2 * k % kPage == 0;
}
bool copies_rows(int64_t k, const Bf16Kernel& kernel) { return depth_of(k, kernel).bytes != 2 * k || rows_collide(k, kernel); }
int64_t copied_stride(int64_t k, const Bf16Kernel& kernel) {
  return depth_of(k, kernel).bytes + (rows_collide(k, kernel) ? kAlignment : 0);
}
int64_t seed_bytes(int64_t n) { return round_up(columns_of(n) * static_cast<int64_t>(sizeof(float)), kAlignment); }

struct Problem {
  const Bf16Kernel& kernel;
  BlockDepth depth;
  int64_t m, n;
  const std::byte* a;
  int64_t a_stride;
  const std::byte* panels;
  bool in_order;
  const float* seeds;
  ShortRows<const std::byte> residual;
  ShortRows<std::byte> c;
  Activation activation;
};

void multiply(const Problem& p, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  Bf16Block block;
  block.a = p.a + row * p.a_stride, block.a_stride = p.a_stride, block.rows = rows;
  block.depth = p.depth.bytes, block.step = p.depth.step;
  block.panels = p.panels + column * p.depth.bytes, block.columns = columns, block.in_order = p.in_order;
  block.seeds = p.seeds + column;
  block.activation = p.activation;
  block.result = p.c, block.result.data = p.c.at(row, column);
  block.residual = p.residual;
  if (p.residual.data) block.residual.data = p.residual.at(row, column);
  p.kernel.multiply(block);
}

void multiply_all(const KernelContext& context, const Problem& p) {
  const int64_t most = std::clamp(kRowBytes / std::max<int64_t>(p.depth.bytes, 1), int64_t{64}, kMostBlockRows);
  const int64_t width = columns_of(p.n), wide = 2 * kPanelColumns;
  int64_t blocks = ceil_div(p.m, most), parts = std::max<int64_t>(1, ceil_div(width * p.depth.bytes, kPanelBytes));
  if (blocks % context.threads != 0 && blocks < 4 * context.threads) parts = round_up(parts, context.threads);
  const int64_t rows = round_up(ceil_div(p.m, blocks), p.m > p.kernel.rows ? p.kernel.rows : 1);
  const int64_t part = round_up(ceil_div(width, parts), wide);
  blocks = ceil_div(p.m, rows), parts = ceil_div(width, part);
  parallel_chunks(context, blocks * parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t row = task / parts * rows, column = task % parts * part;
      multiply(p, row, std::min(rows, p.m - row), column, std::min(part, p.n - column));
    }
  });
}

const std::byte* copied_rows(const KernelContext& context, const std::byte* a, int64_t m, int64_t k, int64_t stride,
                             std::byte* to) {
  parallel_chunks(context, m, grain_of(k), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      std::memcpy(to + r * stride, a + r * 2 * k, static_cast<size_t>(2 * k));
      std::memset(to + r * stride + 2 * k, 0, static_cast<size_t>(stride - 2 * k));
    }
  });
  return to;
}

// The bias, readable up to a whole panel.
const float* seeds_of(ConstTensorView bias, int64_t n, std::byte* memory) {
  if (bias && n % kPanelColumns == 0) return bias.as<float>().data();
  auto* seeds = reinterpret_cast<float*>(memory);
  std::fill_n(seeds, columns_of(n), 0.0f);
  if (bias) std::copy_n(bias.as<float>().data(), n, seeds);
  return seeds;
}

bool is_short(DType type) { return type == DType::kF32 || type == DType::kBF16; }

}  // namespace

PackedBf16 pack_bf16(ConstTensorView b, bool transposed, Isa isa) {
  ensure(b.shape.rank() == 2, "a packed matrix has two axes", to_string(b.shape));
  PackedBf16 packed;
  packed.k_ = b.shape[transposed ? 1 : 0], packed.n_ = b.shape[transposed ? 0 : 1], packed.isa_ = isa;
  const int64_t k = packed.k_, n = packed.n_, depth = depth_of(k, bf16_kernel(isa)).bytes;
  packed.bytes_ = static_cast<size_t>(columns_of(n) * depth);
  packed.data_ = make_zero_block(std::max<size_t>(packed.bytes_, 1));
  if (!b.data) return packed;  // room alone, for panels that were kept
  auto* to = reinterpret_cast<BF16*>(packed.data_.get());
  const float* from = b.as<float>().data();
  const int64_t k_stride = transposed ? 1 : n, n_stride = transposed ? k : 1;
  for (int64_t first = 0; first < n; first += kPanelColumns) {
    BF16* panel = to + first * depth / 2;
    for (int64_t p = 0; p < k; ++p)
      for (int64_t c = first; c < std::min(n, first + kPanelColumns); ++c)
        panel[p / 2 * 2 * kPanelColumns + 2 * (c - first) + p % 2] = to_bf16(from[p * k_stride + c * n_stride]);
  }
  return packed;
}

size_t bf16_gemm_workspace(int64_t m, int64_t k, int64_t n, Isa isa) {
  const Bf16Kernel& kernel = bf16_kernel(isa);
  return static_cast<size_t>(seed_bytes(n) + (copies_rows(k, kernel) ? m * copied_stride(k, kernel) : 0));
}

void bf16_gemm(const KernelContext& context, ConstTensorView a, const PackedBf16& b, TensorView c, const Bf16Epilogue& epilogue) {
  const int64_t k = b.k(), n = b.n(), rank = a.shape.rank(), m = a.shape.product(0, static_cast<int>(rank) - 1);
  ensure(rank >= 1 && a.dtype == DType::kBF16 && a.shape[static_cast<int>(rank) - 1] == k, "A does not fit a product of bf16",
         name(a.dtype), to_string(a.shape), k);
  ensure(is_short(c.dtype) && c.elements() == m * n, "C does not fit a product of bf16", name(c.dtype), to_string(c.shape));
  const ConstTensorView residual = epilogue.residual;
  ensure(!residual || (is_short(residual.dtype) && residual.elements() == m * n), "the residual does not fit a product of bf16",
         name(residual.dtype), residual ? to_string(residual.shape) : "");
  ensure(!epilogue.bias || epilogue.bias.elements() == n, "the bias does not fit a product of bf16", n);
  ensure(context.workspace.size() >= bf16_gemm_workspace(m, k, n, b.isa()), "the workspace of a product of bf16 is too small",
         context.workspace.size());
  if (m == 0 || n == 0) return;
  KernelContext team = context;
  if (m * n * std::max<int64_t>(k, 1) < kTeamWork) team.threads = 1;
  const Bf16Kernel& kernel = bf16_kernel(b.isa());
  Problem p = {.kernel = kernel,
               .depth = depth_of(k, kernel),
               .m = m,
               .n = n,
               .a = a.data,
               .a_stride = 2 * k,
               .panels = b.data(),
               .in_order = reads_in_order(m, columns_of(n) * depth_of(k, kernel).bytes),
               .seeds = seeds_of(epilogue.bias, n, context.workspace.data()),
               .residual = {residual ? residual.data : nullptr, residual.dtype == DType::kBF16, n},
               .c = {c.data, c.dtype == DType::kBF16, n},
               .activation = epilogue.activation};
  if (copies_rows(k, kernel)) {
    p.a_stride = copied_stride(k, kernel);
    p.a = copied_rows(team, a.data, m, k, p.a_stride, context.workspace.data() + seed_bytes(n));
  }
  multiply_all(team, p);
}

}  // namespace tandem::cpu
