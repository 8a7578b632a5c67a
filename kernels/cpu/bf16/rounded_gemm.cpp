// Both operands are rounded and packed whole, then multiplied block by block as packed weights are (product.h). What a block of C becomes
// after its sums is done while it is in the caches of the thread that made it.
#include "kernels/cpu/bf16/rounded_gemm.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/bf16/product.h"
#include "kernels/cpu/gemm/activation.h"
#include "kernels/cpu/gemm/tiers.h"
#include "kernels/cpu/simd/row.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kTeamWork = int64_t{4} << 20;  // multiply-adds below which a second thread costs more than it brings
constexpr int64_t kPairs = 16;                   // of k that are packed together

// An operand as it is stored: `lines` rows of `length` numbers, ld apart. Either k lies along the rows, or from row to row.
struct Stored {
  const float* data;
  int64_t ld, lines, length;
  bool along_rows;  // k
  float* sums;      // over k, or null
};

Stored operand(const float* data, int64_t ld, int64_t outer, int64_t k, bool along_rows, float* sums) {
  return {data, ld, along_rows ? outer : k, along_rows ? k : outer, along_rows, sums};
}

class Product {
 public:
  Product(const KernelContext& context, const GemmShape& shape, const GemmArgs<float>& args, Isa isa)
      : context_(context), shape_(shape), args_(args), isa_(isa), kernel_(bf16_kernel(isa)), depth_(depth_of(shape.k, kernel_)),
        stride_(copied_stride(shape.k, kernel_)) {
    if (shape.m * shape.n * std::max<int64_t>(shape.k, 1) < kTeamWork) context_.threads = 1;
    std::byte* memory = context.workspace.data();
    rows_ = memory, panels_ = rows_ + round_up(shape.m * stride_, kBf16Alignment), seeds_ = panels_ + panel_columns(shape.n) * depth_.bytes;
  }

  void run() {
    const GemmBackward<float>& backward = args_.backward;
    float* const sums_a = backward.sums && backward.summed == Operand::kA ? backward.sums : nullptr;
    float* const sums_b = backward.sums && backward.summed == Operand::kB ? backward.sums : nullptr;
    const Stored a = operand(args_.a, args_.lda, shape_.m, shape_.k, !shape_.transpose_a, sums_a);
    const Stored b = operand(args_.b, args_.ldb, shape_.n, shape_.k, shape_.transpose_b, sums_b);
    shape_.transpose_a ? columns_of_a(a) : rows_of_a(a);
    shape_.transpose_b ? rows_of_b(b) : columns_of_b(b);
    const bool bias = args_.bias && args_.bias_axis == BiasAxis::kColumn && args_.alpha == 1;
    bool residual = args_.addend && args_.alpha == 1 && args_.beta == 1 && args_.ld_addend > 0;
    if (args_.addend == args_.c && args_.addend && !residual) {
      scale_c(args_.beta / args_.alpha);
      residual = true;
    }
    bias_later_ = args_.bias && !bias, addend_later_ = args_.addend && !residual;
    const bool later = args_.alpha != 1 || bias_later_ || addend_later_ || args_.backward.saved;
    const Bf16Product p = {.kernel = kernel_,
                           .depth = depth_,
                           .m = shape_.m,
                           .n = shape_.n,
                           .a = rows_,
                           .a_stride = stride_,
                           .panels = panels_,
                           .in_order = false,
                           .seeds = bf16_seeds(bias ? args_.bias : nullptr, shape_.n, seeds_),
                           .residual = {residual ? reinterpret_cast<const std::byte*>(args_.addend) : nullptr, false, args_.ld_addend},
                           .c = {reinterpret_cast<std::byte*>(args_.c), false, args_.ldc},
                           .activation = later ? Activation() : args_.activation};
    if (later) multiply_blocks(context_, p, [&](auto... block) { finish(block...); });
    else multiply_blocks(context_, p, [](auto...) {});
  }

 private:
  // An addend in C's memory is gone once the sums are there: so it joins them, divided by what they will be multiplied by.
  void scale_c(float by) const {
    ensure(args_.ld_addend == args_.ldc, "an addend in the memory of C must have the rows of C", args_.ld_addend, args_.ldc);
    parallel_chunks(context_, shape_.m, grain_of(shape_.n), [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) row_.affine(args_.c + r * args_.ldc, args_.c + r * args_.ldc, shape_.n, by, 0);
    });
  }

  // Calls body(first, last) over [0, n) outer indices in whole panels, one part a thread.
  template <class Body>
  void share(const Stored& s, Body&& body) const {
    const int64_t n = s.along_rows ? s.lines : s.length, panels = ceil_div(n, kPanelColumns);
    if (s.sums) std::fill_n(s.sums, n, 0.0f);
    parallel_chunks(context_, n, ceil_div(panels, context_.threads) * kPanelColumns, body);
  }

  void add_to_sums(const Stored& s, int64_t first, int64_t last, int64_t line, int64_t lines) const {
    if (!s.sums) return;
    Runs<float> runs;
    runs.target = s.sums + first;
    runs.source = s.data + (s.along_rows ? first * s.ld + line : line * s.ld + first);
    runs.source_row = s.along_rows ? 1 : s.ld, runs.source_stride = s.along_rows ? s.ld : 1;
    runs.rows = lines, runs.length = last - first;
    gemm_tier<float>(isa_, shape_.n).add_runs(runs);
  }

  void rows_of_a(const Stored& a) const {
    share(a, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        std::byte* row = rows_ + r * stride_;
        kernel_.narrow(a.data + r * a.ld, reinterpret_cast<BF16*>(row), a.length);
        std::memset(row + 2 * a.length, 0, static_cast<size_t>(depth_.bytes - 2 * a.length));
      }
      add_to_sums(a, first, last, 0, a.length);
    });
  }

  // Sixteen pairs of rows at a time over all columns: what is read is contiguous.
  template <class Put>
  void by_columns(const Stored& s, Put&& put) const {
    share(s, [&](int64_t first, int64_t last) {
      for (int64_t pair = 0; 4 * pair < depth_.bytes; pair += kPairs) {
        const int64_t line = std::min(2 * pair, s.lines), pairs = std::min(kPairs, depth_.bytes / 4 - pair);
        for (int64_t c = first; c < last; c += kPanelColumns)
          put(s.data + line * s.ld + c, s.lines - line, c, std::min(kPanelColumns, last - c), pair, pairs);
        add_to_sums(s, first, last, line, std::min(2 * pairs, s.lines - line));
      }
    });
  }
  void columns_of_a(const Stored& a) const {
    by_columns(a, [&](const float* x, int64_t k, int64_t column, int64_t count, int64_t pair, int64_t pairs) {
      kernel_.round_columns(x, a.ld, k, count, pairs, rows_ + column * stride_ + 4 * pair, stride_);
    });
  }
  void columns_of_b(const Stored& b) const {
    by_columns(b, [&](const float* x, int64_t k, int64_t column, int64_t count, int64_t pair, int64_t pairs) {
      kernel_.round_lines(x, b.ld, k, count, pairs, panel(column, pair));
    });
  }
  void rows_of_b(const Stored& b) const {
    share(b, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; r += kPanelColumns)
        for (int64_t pair = 0; 4 * pair < depth_.bytes; pair += kPairs) {
          const int64_t k = std::min(2 * pair, b.length);
          kernel_.round_transposed(b.data + r * b.ld + k, b.ld, b.length - k, std::min(kPanelColumns, last - r),
                                   std::min(kPairs, depth_.bytes / 4 - pair), panel(r, pair));
        }
      add_to_sums(b, first, last, 0, b.length);
    });
  }
  std::byte* panel(int64_t column, int64_t pair) const { return panels_ + column * depth_.bytes + pair * 4 * kPanelColumns; }

  // What the block's kernel does not do.
  void finish(int64_t row, int64_t rows, int64_t column, int64_t columns) const {
    const GemmBackward<float>& backward = args_.backward;
    float* c = args_.c + row * args_.ldc + column;
    for (int64_t r = 0; r < rows; ++r) {
      float* line = c + r * args_.ldc;
      const bool by_row = args_.bias_axis == BiasAxis::kRow;
      const float offset = bias_later_ && by_row ? args_.bias[row + r] : 0;
      if (addend_later_) row_.combine(line, args_.addend + (row + r) * args_.ld_addend + column, line, columns, args_.alpha, args_.beta, offset);
      else if (args_.alpha != 1 || offset != 0) row_.affine(line, line, columns, args_.alpha, offset);
      if (bias_later_ && !by_row) row_.combine(line, args_.bias + column, line, columns, 1, 1, 0);
    }
    if (backward.saved) multiply_by_slope(backward.slope, backward.saved + row * args_.ldc + column, c, args_.ldc, rows, columns);
    else activate(args_.activation, c, args_.ldc, rows, columns);
  }

  KernelContext context_;
  const GemmShape& shape_;
  const GemmArgs<float>& args_;
  Isa isa_;
  const Bf16Kernel& kernel_;
  const simd::RowOps<float>& row_ = simd::row_ops<float>();
  BlockDepth depth_;
  int64_t stride_;
  std::byte *rows_, *panels_, *seeds_;
  bool bias_later_ = false, addend_later_ = false;
};

}  // namespace

size_t rounded_gemm_workspace(const GemmShape& s, Isa isa) {
  const int64_t depth = copied_depth(2 * s.k, bf16_kernel(isa).step).bytes;
  return static_cast<size_t>(round_up(s.m * (depth + kBf16Alignment), kBf16Alignment) + panel_columns(s.n) * depth + seed_bytes(s.n));
}

void rounded_gemm(const KernelContext& context, const GemmShape& shape, const GemmArgs<float>& args, Isa isa) {
  ensure(!args.packed_b, "a product that rounds its operands packs them itself");
  ensure(!args.backward.saved || !args.activation, "a product has an activation or the slope of one");
  ensure(context.workspace.size() >= rounded_gemm_workspace(shape, isa), "the workspace of a rounded product is too small",
         context.workspace.size(), rounded_gemm_workspace(shape, isa));
  if (shape.m == 0 || shape.n == 0) return;
  GemmShape read = shape;
  GemmArgs<float> by_sums = args;
  if (args.alpha == 0 && !args.backward.sums) read.k = 0, by_sums.alpha = 1;  // as in BLAS: what is multiplied by 0 is not read
  Product(context, read, by_sums, isa).run();
}

}  // namespace tandem::cpu
