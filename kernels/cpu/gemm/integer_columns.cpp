// The product of integer matrices: B packed in panels of columns, blocks of A's rows where they lie, or copied.
#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/api/integer_gemm.h"
#include "kernels/base/error.h"
#include "kernels/cpu/gemm/far_weights.h"
#include "kernels/cpu/gemm/integer_tier.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kRowsOfTask = 256;          // of A, that meet a part of B together
constexpr int64_t kBytesOfTask = 256 * 1024;  // of B: what stays in the second cache
constexpr int64_t kFarPanels = 128 * 1024;    // of two panels, from which on vectors ask for those that follow
constexpr int64_t kTeamWork = 256 * 1024;     // products below which one thread does it all
constexpr int64_t kPage = 4096, kWays = 8;    // of the first-level cache
constexpr std::byte kFlip{0x80};

const IntegerTier& tier() { return integer_tier(chosen_isa()); }
BlockDepth depth_of(int64_t k) { return block_depth(k, tier().block.step); }
// Vectors read a few bytes of each row of a tile in turn: rows whole pages apart would push each other out of the first-level cache.
bool rows_collide(const IntegerGemmShape& s) { return tier().block.step == 4 && s.m > kWays && s.k > 0 && s.k % kPage == 0; }
int64_t columns_of(int64_t n) { return round_up(n, kPanelColumns); }
int64_t numbers_bytes(int64_t lines) { return round_up(lines * static_cast<int64_t>(sizeof(int32_t)), kAlignment); }

// The zero point of a line, once its bytes are signed or not as the product wants them.
int32_t zero_of(const IntegerMatrix& x, int64_t line, bool wanted_signed) {
  const std::byte bits = x.zero ? x.zero[line % x.zeros] : std::byte{0};
  const int32_t own = x.is_signed ? static_cast<int8_t>(bits) : static_cast<int32_t>(bits);
  return x.is_signed == wanted_signed ? own : wanted_signed ? own - 128 : own + 128;
}

// Columns [first, last) of B, whole panels, a quad of lines at a time. What is behind k becomes zeros.
void pack_dense_columns(const IntegerMatrix& b, int64_t first, int64_t last, int64_t k, std::byte flip, std::byte* to) {
  const int64_t depth = depth_of(k).bytes, panel_bytes = depth * kPanelColumns, n = last - first;
  const int64_t panels = columns_of(n) / kPanelColumns;
  for (int64_t p = 0; p < k; p += 4) {
    std::array<const std::byte*, 4> lines;
    for (int64_t i = 0; i < 4; ++i) lines[static_cast<size_t>(i)] = b.data + std::min(p + i, k - 1) * b.row_stride + first;
    tier().block.interleave(lines.data(), n, flip, to + p * kPanelColumns, panel_bytes);
  }
  for (int64_t panel = 0; panel < panels && depth != k; ++panel) {
    std::byte* data = to + panel * panel_bytes;
    for (int64_t c = 0; k % 4 != 0 && c < kPanelColumns; ++c)
      for (int64_t i = k % 4; i < 4; ++i) data[k / 4 * 4 * kPanelColumns + 4 * c + i] = std::byte{0};
    const int64_t whole = round_up(k, 4);
    std::memset(data + whole * kPanelColumns, 0, static_cast<size_t>((depth - whole) * kPanelColumns));
  }
}
void pack_strided_columns(const IntegerMatrix& b, int64_t first, int64_t last, int64_t k, std::byte flip, std::byte* to) {
  const int64_t depth = depth_of(k).bytes;
  std::memset(to, 0, static_cast<size_t>(columns_of(last - first) * depth));
  for (int64_t c = 0; c < last - first; ++c) {
    std::byte* panel = to + c / kPanelColumns * kPanelColumns * depth + c % kPanelColumns * 4;
    for (int64_t p = 0; p < k; ++p)
      panel[p / 4 * 4 * kPanelColumns + p % 4] = b.data[p * b.row_stride + (first + c) * b.column_stride] ^ flip;
  }
}

void pack_some_columns(const IntegerMatrix& b, int64_t first, int64_t last, const IntegerGemmShape& s, const PackedIntegers& packed) {
  const std::byte flip = b.is_signed ? std::byte{0} : kFlip;
  const int64_t depth = depth_of(s.k).bytes;
  std::byte* to = packed.data + first * depth;
  b.column_stride == 1 ? pack_dense_columns(b, first, last, s.k, flip, to) : pack_strided_columns(b, first, last, s.k, flip, to);
  for (int64_t c = first; c < last; c += kPanelColumns) tier().block.sum_columns(packed.data + c * depth, depth, packed.sums + c);
  for (int64_t c = first; c < last; ++c) {
    packed.zeros[c] = zero_of(b, c, true);
    packed.sums[c] -= static_cast<int32_t>(s.k) * packed.zeros[c];
  }
}

// What a product holds in the workspace.
struct Workspace {
  int64_t rows, row_numbers, seeds;
  explicit Workspace(const IntegerGemmShape& s)
      : rows(round_up(s.m * (depth_of(s.k).bytes + (s.k >= kPage ? kAlignment : 0)), kAlignment)),  // smaller sizes want no more
        row_numbers(numbers_bytes(s.m)), seeds(numbers_bytes(columns_of(s.n))) {}
  int64_t bytes() const { return rows + 2 * row_numbers + seeds; }
};

// A as the tier reads it, and what zero points of both sides change.
class Product {
 public:
  Product(const IntegerGemmShape& s, const IntegerMatrix& a, const PackedIntegers& b, std::byte* memory)
      : s_(s), a_(a), b_(b), depth_(depth_of(s.k)), is_signed_(a.is_signed && tier().block.signed_rows),
        copied_(a.column_stride != 1 || depth_.bytes != s.k || a.is_signed != is_signed_ || rows_collide(s)),
        copied_stride_(depth_.bytes + (rows_collide(s) ? kAlignment : 0)), with_columns_(!all_zero(b, s.n)), memory_(memory) {
    const Workspace sizes(s);
    row_sums_ = reinterpret_cast<int32_t*>(memory + sizes.rows);
    row_zeros_ = reinterpret_cast<int32_t*>(memory + sizes.rows + sizes.row_numbers);
    seeds_ = reinterpret_cast<int32_t*>(memory + sizes.rows + 2 * sizes.row_numbers);
    const auto zero = a.zeros == 1 ? static_cast<uint32_t>(zero_of(a, 0, is_signed_)) : 0;
    for (int64_t c = 0; c < s.n; ++c) seeds_[c] = static_cast<int32_t>(uint32_t{0} - zero * static_cast<uint32_t>(b.sums[c]));
  }

  void prepare_rows(int64_t first, int64_t last) const {
    for (int64_t r = first; r < last; ++r) {
      if (copied_) copy_row(r);
      if (with_columns_) row_sums_[r] = tier().block.sum_row(row(r), s_.k, is_signed_);
      if (a_.zeros != 1) row_zeros_[r] = zero_of(a_, r, is_signed_);
    }
  }

  void multiply(int64_t first_row, int64_t last_row, int64_t first, int64_t last, const IntegerResult& result) const {
    IntegerBlock block;
    block.a = row(first_row), block.a_signed = is_signed_, block.a_stride = stride(), block.rows = last_row - first_row;
    block.depth = depth_.bytes, block.step = depth_.step;
    block.panels = b_.data + first * depth_.bytes, block.columns = last - first;
    block.in_order = reads_in_order(s_.m, columns_of(s_.n) * depth_.bytes);
    block.seeds = seeds_ + first;
    if (with_columns_) block.row_sums = row_sums_ + first_row, block.column_zeros = b_.zeros + first;
    if (a_.zeros != 1) block.row_zeros = row_zeros_ + first_row, block.column_sums = b_.sums + first;
    const int64_t at = first_row * result.stride + first;
    block.result.stride = result.stride;
    if (result.sums) {
      block.result.sums = result.sums + at;
    } else {
      block.result.quantized = result.quantized + at;
      block.result.scales = result.scales->from(first);
    }
    tier().block.multiply(block);
  }

 private:
  int64_t stride() const { return copied_ ? copied_stride_ : a_.row_stride; }
  const std::byte* row(int64_t r) const { return (copied_ ? memory_ : a_.data) + r * stride(); }
  // What lies behind k meets zeros in B.
  void copy_row(int64_t r) const {
    const std::byte flip = a_.is_signed == is_signed_ ? std::byte{0} : kFlip;
    const std::byte* from = a_.data + r * a_.row_stride;
    std::byte* to = memory_ + r * stride();
    if (a_.column_stride == 1)
      tier().copy_row(from, s_.k, flip, to);
    else
      for (int64_t p = 0; p < s_.k; ++p) to[p] = from[p * a_.column_stride] ^ flip;
  }

  const IntegerGemmShape& s_;
  const IntegerMatrix& a_;
  const PackedIntegers& b_;
  BlockDepth depth_;
  bool is_signed_, copied_;
  int64_t copied_stride_;
  bool with_columns_;
  std::byte* memory_;
  int32_t *row_sums_, *row_zeros_, *seeds_;
};

}  // namespace

size_t packed_columns_bytes(int64_t lines, int64_t k) {
  return static_cast<size_t>(round_up(columns_of(lines) * depth_of(k).bytes, kAlignment) + 2 * numbers_bytes(columns_of(lines)));
}
PackedIntegers columns_in(std::byte* memory, int64_t lines, int64_t k) {
  std::byte* numbers = memory + round_up(columns_of(lines) * depth_of(k).bytes, kAlignment);
  return {memory, reinterpret_cast<int32_t*>(numbers), reinterpret_cast<int32_t*>(numbers + numbers_bytes(columns_of(lines)))};
}

void pack_columns(const KernelContext& context, const IntegerGemmShape& s, const IntegerMatrix& b, const PackedIntegers& packed) {
  const int64_t panels = columns_of(s.n) / kPanelColumns;
  parallel_chunks(context, panels, grain_of(depth_of(s.k).bytes * kPanelColumns), [&](int64_t first, int64_t last) {
    pack_some_columns(b, first * kPanelColumns, std::min(last * kPanelColumns, s.n), s, packed);
  });
}

PackedWeight PackedWeight::columns(const IntegerMatrix& matrix, int64_t lines, int64_t k) {
  PackedWeight packed(packed_columns_bytes(lines, k), lines, k, columns_in);
  pack_columns({}, {0, lines, k}, matrix, packed.view_);
  return packed;
}

// Whole steps: fewer terms than these may not come out even where these do.
size_t integer_gemm_workspace_bytes(const IntegerGemmShape& s, bool b_is_packed) {
  if (b_is_packed) return static_cast<size_t>(Workspace(s).bytes());
  const int64_t k = round_up(s.k, tier().block.step);
  return static_cast<size_t>(Workspace({s.m, s.n, k}).bytes()) + packed_columns_bytes(s.n, k);
}

void integer_gemm(const KernelContext& context, const IntegerGemmShape& s, const IntegerMatrix& a, const IntegerMatrix& b,
                  const IntegerResult& result, const PackedIntegers* packed_b) {
  if (s.m == 0 || s.n == 0) return;
  ensure(context.workspace.size() >= integer_gemm_workspace_bytes(s, packed_b != nullptr),
         "the workspace of an integer product is too small", context.workspace.size());
  KernelContext team = context;
  if (s.m * s.n * s.k < kTeamWork) team.threads = 1;
  PackedIntegers columns;
  if (packed_b) {
    columns = *packed_b;
  } else {
    columns = columns_in(context.workspace.data() + Workspace(s).bytes(), s.n, s.k);
    pack_columns(team, s, b, columns);
  }
  const Product product(s, a, columns, context.workspace.data());
  parallel_chunks(team, s.m, grain_of(s.k), [&](int64_t first, int64_t last) { product.prepare_rows(first, last); });
  const int64_t blocks = ceil_div(s.m, kRowsOfTask), rows = ceil_div(s.m, blocks), width = columns_of(s.n);
  int64_t parts = ceil_div(width * depth_of(s.k).bytes, kBytesOfTask);
  if (blocks % team.threads != 0) parts = round_up(std::max<int64_t>(parts, 1), team.threads);
  const int64_t part = round_up(ceil_div(width, std::max<int64_t>(parts, 1)), 2 * kPanelColumns);
  parts = ceil_div(width, part);
  // What is read again and again: B for each block of rows, where it is asked for ahead, or A for each part of B.
  const bool by_rows = tier().block.step == 4 && 2 * kPanelColumns * depth_of(s.k).bytes >= kFarPanels && blocks * width < parts * s.m;
  parallel_chunks(team, blocks * parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t row = (by_rows ? task / parts : task % blocks) * rows, column = (by_rows ? task % parts : task / blocks) * part;
      if (row < s.m)
        product.multiply(row, std::min(row + rows, s.m), column, std::min(column + part, s.n), result);
    }
  });
}

}  // namespace tandem::cpu
