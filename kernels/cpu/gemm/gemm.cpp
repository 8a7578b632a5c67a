// The loops around the register tile (Goto, van de Geijn, "Anatomy of High-Performance Matrix Multiplication", TOMS 2008):
// columns of C by kMaxCols, k by equal steps, rows by kMaxRows; B and A are packed into panels at their level, or read where they lie.
// Threads take rectangles of C and share nothing: no barrier, no reduction, bits that do not depend on their number.
#include "kernels/api/gemm.h"

#include <algorithm>

#include "kernels/cpu/bf16/rounded_gemm.h"
#include "kernels/cpu/gemm/activation.h"
#include "kernels/cpu/gemm/blocking.h"
#include "kernels/cpu/gemm/driver.h"
#include "kernels/cpu/gemm/far_weights.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kPassElements = 32768;  // of C that an activation goes over at a time
constexpr double kParallelWork = 2e6;  // multiply-adds below which a second thread costs more than it brings

struct Rectangle {
  int64_t row, rows, col, cols;
};

// One thread's rectangle of C, and everything needed to compute it.
template <class T>
class RectangleProduct {
 public:
  RectangleProduct(const GemmTier<T>& tier, const GemmShape& shape, const GemmArgs<T>& args, const Rectangle& part, T* scratch)
      : tier_(tier), shape_(shape), args_(args), part_(part), step_(k_step(shape.k)) {
    scratch_a_ = scratch;
    scratch_b_ = scratch + GemmScratch<T>(tier, shape.m, shape.n, shape.k, args.packed_b).a;
    pack_a_ = packs_a(tier, part.rows, part.cols);
    // Few rows read B once.
    pack_b_ = shape.transpose_b || part.rows > 2 * tier.mr;
  }

  void run() {
    const int64_t steps = std::max<int64_t>(1, ceil_div(shape_.k, step_));
    // Packed weights are read best from end to end, and A is then packed once.
    const int64_t most = args_.packed_b ? round_up(part_.cols, tier_.nr) : round_up(even_step(part_.cols, kMaxCols), tier_.nr);
    for (int64_t col = 0; col < part_.cols; col += most)
      for (int64_t s = 0; s < steps; ++s) {
        const int64_t cols = std::min(most, part_.cols - col), k0 = s * step_, k = std::min(step_, shape_.k - k0);
        set_step(k0, k);
        add_to_sums(col, cols);
        if (args_.packed_b) prepacked(part_.col + col, cols);
        else if (pack_b_) packed(part_.col + col, cols);
        else in_place(part_.col + col, cols);
      }
  }

 private:
  void set_step(int64_t k0, int64_t k) {
    k0_ = k0;
    block_ = {};
    block_.k = k;
    block_.ldc = args_.ldc;
    block_.alpha = args_.alpha;
    block_.accumulate = k0 > 0;
    block_.ld_addend = args_.ld_addend;
    block_.beta = args_.beta;
    block_.b_is_far = args_.packed_b && args_.packed_b->bytes() > static_cast<size_t>(kFarBytes);
    block_.b_in_streams = reads_best_in_streams();
    last_ = k0 + k == shape_.k;
    block_.relu = last_ && args_.activation.is(UnaryOp::kRelu);
  }

  // This step of k into the sums of an operand, by the rectangles at one edge of C: its elements are about to be read anyway.
  void add_to_sums(int64_t col, int64_t cols) {
    const GemmBackward<T>& backward = args_.backward;
    const bool of_a = backward.summed == Operand::kA;
    if (!backward.sums || (of_a ? part_.col + col : part_.row) != 0) return;
    const int64_t first = of_a ? part_.row : part_.col + col, count = of_a ? part_.rows : cols;
    const bool along_k = of_a ? !shape_.transpose_a : shape_.transpose_b;
    const int64_t ld = of_a ? args_.lda : args_.ldb, stride = along_k ? ld : 1, k_stride = along_k ? 1 : ld;
    Runs<T> lines;
    lines.target = backward.sums + first;
    lines.source = (of_a ? args_.a : args_.b) + first * stride + k0_ * k_stride;
    lines.source_row = k_stride, lines.source_stride = stride;
    lines.rows = block_.k, lines.length = count;
    if (k0_ == 0) std::fill_n(lines.target, count, T(0));
    tier_.add_runs(lines);
  }

  void prepacked(int64_t col, int64_t cols) {
    const int64_t width = round_up(shape_.n, tier_.nr);
    const T* data = reinterpret_cast<const T*>(args_.packed_b->data());
    rows_of(col, cols, data + k0_ * width + col * block_.k, tier_.nr * block_.k, tier_.nr);
  }

  void packed(int64_t col, int64_t cols) {
    pack_columns(col, cols);
    rows_of(col, cols, scratch_b_, tier_.nr * block_.k, tier_.nr);
  }

  // Whole panels of a [k, n] matrix are read where they are; only the last, which is narrower, is copied.
  void in_place(int64_t col, int64_t cols) {
    const int64_t whole = cols / tier_.nr * tier_.nr;
    if (whole > 0) rows_of(col, whole, args_.b + k0_ * args_.ldb + col, tier_.nr, args_.ldb);
    if (whole < cols) packed(col + whole, cols - whole);
  }

  void pack_columns(int64_t col, int64_t cols) {
    const bool t = shape_.transpose_b;
    const int64_t i_stride = t ? args_.ldb : 1, k_stride = t ? 1 : args_.ldb;
    tier_.pack({args_.b + col * i_stride + k0_ * k_stride, i_stride, k_stride, cols, block_.k}, tier_.nr, scratch_b_);
  }

  void rows_of(int64_t col, int64_t cols, const T* b, int64_t b_panel, int64_t b_k) {
    block_.b_panel = b_panel;
    block_.b_k = b_k;
    const bool t = shape_.transpose_a;
    const int64_t i_stride = t ? 1 : args_.lda, k_stride = t ? args_.lda : 1, most = round_up(even_step(part_.rows, kMaxRows), tier_.mr);
    for (int64_t i = 0; i < part_.rows; i += most) {
      const int64_t row = part_.row + i, rows = std::min(most, part_.rows - i);
      const T* a = args_.a + row * i_stride + k0_ * k_stride;
      const int64_t tile = ceil_div(rows, ceil_div(rows, tier_.mr));  // equal ones: 16 rows are 8 and 8, not 12 and 4
      block_.rows = rows, block_.tile_rows = tile;
      if (pack_a_) {
        tier_.pack({a, i_stride, k_stride, rows, block_.k}, tile, scratch_a_);
        block_.a = scratch_a_;
        block_.a_tile = tile * block_.k, block_.a_row = 1, block_.a_k = tile;
      } else {
        block_.a = a;
        block_.a_tile = tile * i_stride, block_.a_row = i_stride, block_.a_k = k_stride;
      }
      // What passes over the sums again finds them in the second-level cache.
      const bool passes = last_ && !in_tile(args_.activation);
      const int64_t most_cols = passes ? std::max(tier_.nr, kPassElements / rows / tier_.nr * tier_.nr) : cols;
      for (int64_t j = 0; j < cols; j += most_cols) {
        block_.b = b + j / tier_.nr * b_panel;
        block_.cols = std::min(most_cols, cols - j);
        multiply(row, col + j);
      }
    }
  }

  void multiply(int64_t row, int64_t col) {
    block_.c = args_.c + row * args_.ldc + col;
    if (args_.addend) block_.addend = args_.addend + row * args_.ld_addend + col;
    if (args_.bias && last_) {
      const bool by_row = args_.bias_axis == BiasAxis::kRow;
      block_.row_bias = by_row ? args_.bias + row : nullptr;
      block_.column_bias = by_row ? nullptr : args_.bias + col;
    }
    const GemmBackward<T>& backward = args_.backward;
    const T* saved = backward.saved && last_ ? backward.saved + row * args_.ldc + col : nullptr;
    if (backward.slope == UnaryGradOp::kRelu) block_.gate = saved;
    tier_.multiply(block_);
    if (saved && backward.slope != UnaryGradOp::kRelu)
      multiply_by_slope(backward.slope, saved, block_.c, block_.ldc, block_.rows, block_.cols);
    if (last_ && !in_tile(args_.activation)) activate(args_.activation, block_.c, block_.ldc, block_.rows, block_.cols);
  }

  const GemmTier<T>& tier_;
  const GemmShape& shape_;
  const GemmArgs<T>& args_;
  Rectangle part_;
  int64_t step_, k0_ = 0;
  bool pack_a_, pack_b_, last_ = false;
  T *scratch_a_, *scratch_b_;
  GemmBlock<T> block_;
};

// A grid of rectangles, one a thread: the one whose largest cell costs least, packing counted.
struct Grid {
  int64_t rows = 1, cols = 1;
};

Grid choose_grid(int64_t tiles, int64_t mr, int64_t panels, int64_t nr, bool packs_b, int threads) {
  constexpr double kPackCost = 8;  // of one element, in vector multiply-adds of 16
  Grid best;
  double best_cost = 0;
  for (int64_t rows = 1; rows <= threads; ++rows) {
    const int64_t cols = threads / rows;
    if (rows > tiles || cols > panels) continue;
    const double m = static_cast<double>(ceil_div(tiles, rows) * mr), n = static_cast<double>(ceil_div(panels, cols) * nr);
    const double cost = m * n + kPackCost * (m + (packs_b ? n : 0));
    if (best_cost == 0 || cost < best_cost) best = {rows, cols}, best_cost = cost;
  }
  if (best_cost == 0) best = {1, std::min<int64_t>(panels, threads)};
  return best;
}

template <class T>
void gemm_on_team(const KernelContext& context, const GemmTier<T>& tier, const GemmShape& shape, const GemmArgs<T>& args, T* scratch) {
  const int64_t tiles = ceil_div(shape.m, tier.mr), panels = ceil_div(shape.n, tier.nr);
  const Grid grid = choose_grid(tiles, tier.mr, panels, tier.nr, !args.packed_b, context.threads);
  const int64_t each = GemmScratch<T>(tier, shape.m, shape.n, shape.k, args.packed_b).elements();
#pragma omp parallel for num_threads(context.threads) schedule(static)
  for (int64_t cell = 0; cell < grid.rows * grid.cols; ++cell) {
    const int64_t r = cell / grid.cols, c = cell % grid.cols;
    const int64_t row = tiles * r / grid.rows * tier.mr, row_end = std::min(shape.m, tiles * (r + 1) / grid.rows * tier.mr);
    const int64_t col = panels * c / grid.cols * tier.nr, col_end = std::min(shape.n, panels * (c + 1) / grid.cols * tier.nr);
    RectangleProduct<T>(tier, shape, args, {row, row_end - row, col, col_end - col}, scratch + cell * each).run();
  }
}

template <class T>
const GemmTier<T>& tier_for(const GemmShape& shape, const GemmArgs<T>& args, Isa isa) {
  if (!args.packed_b) return gemm_tier<T>(isa, shape.n);
  const PackedMatrix& b = *args.packed_b;
  require(b.dtype() == dtype_of<T> && b.k() == shape.k && b.n() == shape.n, "packed matrix does not fit the product", name(b.dtype()),
          b.k(), b.n(), shape.k, shape.n);
  return gemm_tier<T>(b.isa(), b.n());
}

// The matrices of product i.
template <class T>
GemmArgs<T> product(GemmArgs<T> args, const ProductSet& set, int64_t i) {
  if (args.c) args.c += i * set.c_stride;
  if (args.addend) args.addend += i * set.addend_stride;
  if (args.backward.saved) args.backward.saved += i * set.c_stride;
  for (int axis = set.rank - 1; axis >= 0; --axis) {
    const auto at = static_cast<size_t>(axis);
    const int64_t index = i % set.sizes[at];
    i /= set.sizes[at];
    args.a += index * set.a_strides[at];
    if (args.b) args.b += index * set.b_strides[at];
  }
  return args;
}

template <class T>
size_t scratch_bytes(const GemmShape& shape, int threads, Isa isa, bool packed_b) {
  const int64_t each = GemmScratch<T>(gemm_tier<T>(isa, shape.n), shape.m, shape.n, shape.k, packed_b).elements();
  return static_cast<size_t>(each) * static_cast<size_t>(threads) * sizeof(T);
}

}  // namespace

template <class T>
size_t gemm_workspace_bytes(const GemmShape& shape, int threads, Isa isa) {
  if (shape.rounded) return rounded_gemm_workspace(shape, isa);
  return scratch_bytes<T>(shape, threads, isa, false);
}

template <class T>
size_t gemm_workspace_with_packed_b(const GemmShape& shape, int threads, Isa isa) {
  return scratch_bytes<T>(shape, threads, isa, true);
}

template <class T>
void multiply_all(const KernelContext& context, const GemmShape& shape, const GemmArgs<T>& args, const ProductSet& set, Isa isa) {
  const GemmBackward<T>& backward = args.backward;
  ensure(!backward.saved || !args.activation, "a product has an activation or the slope of one");
  ensure(!backward.sums || (set.count == 1 && !(args.packed_b && backward.summed == Operand::kB)),
         "only one product of matrices that are not packed has its operands summed");
  if constexpr (std::is_same_v<T, float>)
    if (shape.rounded) {
      ensure(set.count == 1, "only one product is rounded at once", set.count);
      return rounded_gemm(context, shape, args, isa);
    }
  ensure(!shape.rounded, "only products of f32 are rounded");
  if (shape.m == 0 || shape.n == 0 || set.count == 0) return;
  const GemmTier<T>& tier = tier_for(shape, args, isa);
  const double each = static_cast<double>(shape.m) * static_cast<double>(shape.n) * static_cast<double>(std::max<int64_t>(shape.k, 1));
  const bool team = context.threads > 1 && each * static_cast<double>(set.count) >= kParallelWork;
  const int64_t elements = GemmScratch<T>(tier, shape.m, shape.n, shape.k, args.packed_b).elements();
  T* scratch = workspace_of<T>(context.workspace, elements * (team ? context.threads : 1), "gemm");
  const Rectangle all{0, shape.m, 0, shape.n};
  if (team && (set.count >= context.threads || each < kParallelWork)) {
#pragma omp parallel for num_threads(context.threads) schedule(static)
    for (int64_t part = 0; part < context.threads; ++part)
      for (int64_t i = set.count * part / context.threads; i < set.count * (part + 1) / context.threads; ++i)
        RectangleProduct<T>(tier, shape, product(args, set, i), all, scratch + part * elements).run();
    return;
  }
  for (int64_t i = 0; i < set.count; ++i) {
    if (team) gemm_on_team(context, tier, shape, product(args, set, i), scratch);
    else RectangleProduct<T>(tier, shape, product(args, set, i), all, scratch).run();
  }
}

template <class T>
void gemm(const KernelContext& context, const GemmShape& shape, const GemmArgs<T>& args, Isa isa) {
  multiply_all(context, shape, args, {}, isa);
}

template <class T>
void batched_gemm(const KernelContext& context, const GemmShape& shape, const GemmArgs<T>& args, const GemmBatch& batch, Isa isa) {
  ProductSet set;
  set.push_back(batch.count, batch.stride_a, batch.stride_b);
  set.c_stride = batch.stride_c;
  set.addend_stride = batch.stride_addend;
  multiply_all(context, shape, args, set, isa);
}

template size_t gemm_workspace_bytes<float>(const GemmShape&, int, Isa);
template size_t gemm_workspace_with_packed_b<float>(const GemmShape&, int, Isa);
template size_t gemm_workspace_bytes<double>(const GemmShape&, int, Isa);
template size_t gemm_workspace_with_packed_b<double>(const GemmShape&, int, Isa);
template void multiply_all<float>(const KernelContext&, const GemmShape&, const GemmArgs<float>&, const ProductSet&, Isa);
template void multiply_all<double>(const KernelContext&, const GemmShape&, const GemmArgs<double>&, const ProductSet&, Isa);
template void gemm<float>(const KernelContext&, const GemmShape&, const GemmArgs<float>&, Isa);
template void gemm<double>(const KernelContext&, const GemmShape&, const GemmArgs<double>&, Isa);
template void batched_gemm<float>(const KernelContext&, const GemmShape&, const GemmArgs<float>&, const GemmBatch&, Isa);
template void batched_gemm<double>(const KernelContext&, const GemmShape&, const GemmArgs<double>&, const GemmBatch&, Isa);

}  // namespace tandem::cpu
