// Rows of i8 times panels of u8, a tile at a time: what convolutions of planes use. And the lines in which results of it are finished.
#include "kernels/api/integer_gemm.h"

#include <algorithm>
#include <array>

#include "kernels/base/block.h"
#include "kernels/cpu/gemm/integer_line.h"
#include "kernels/cpu/gemm/integer_tier.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kAlignment = 64, kMostTile = 12 * 32;
constexpr std::byte kFlip{0x80};

const IntegerTier& tier() { return integer_tier(chosen_isa()); }
int64_t quads_of(int64_t k) { return ceil_div(k, 4); }
int64_t panels_of(int64_t n) { return ceil_div(n, tier().columns); }
int64_t panel_bytes(int64_t k) { return quads_of(k) * tier().columns * 4; }

// The zero point of a line as the packed type counts it: rows are i8, panels u8.
int32_t zero_of(const IntegerMatrix& x, int64_t line, bool packed_signed) {
  const std::byte bits = x.zero ? x.zero[line % x.zeros] : std::byte{0};
  const int32_t own = x.is_signed ? static_cast<int8_t>(bits) : static_cast<int32_t>(bits);
  return x.is_signed == packed_signed ? own : packed_signed ? own - 128 : own + 128;
}

int64_t numbers_bytes(int64_t lines) { return round_up(lines * 4, kAlignment); }
PackedIntegers layout(std::byte* memory, int64_t data_bytes, int64_t lines) {
  std::byte* numbers = memory + round_up(data_bytes, kAlignment);
  return {memory, reinterpret_cast<int32_t*>(numbers), reinterpret_cast<int32_t*>(numbers + numbers_bytes(lines))};
}
size_t layout_bytes(int64_t data_bytes, int64_t lines) {
  return static_cast<size_t>(round_up(data_bytes, kAlignment) + 2 * numbers_bytes(lines));
}

void pack_some_rows(const IntegerMatrix& a, int64_t first, int64_t last, int64_t k, const PackedIntegers& packed) {
  const std::byte flip = a.is_signed ? std::byte{0} : kFlip;
  const int64_t stride = 4 * quads_of(k);
  for (int64_t row = first; row < last; ++row) {
    std::byte* to = packed.data + row * stride;
    packed.sums[row] = tier().copy_row(a.data + row * a.row_stride, k, flip, to);
    std::fill(to + k, to + stride, std::byte{0});
    packed.zeros[row] = zero_of(a, row, true);
  }
}

// Quads of neighbouring columns: lines past the last are any line, since A has zeros there.
void pack_dense_panel(const IntegerMatrix& b, int64_t first, int64_t columns, int64_t k, std::byte flip, std::byte* to) {
  for (int64_t q = 0; q < quads_of(k); ++q) {
    std::array<const std::byte*, 4> lines;
    for (int64_t i = 0; i < 4; ++i) lines[static_cast<size_t>(i)] = b.data + std::min(4 * q + i, k - 1) * b.row_stride + first;
    tier().interleave(lines.data(), columns, flip, to + q * tier().columns * 4);
  }
}
void pack_strided_panel(const IntegerMatrix& b, int64_t first, int64_t columns, int64_t k, std::byte flip, std::byte* to) {
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t p = 0; p < k; ++p)
      to[(p / 4 * tier().columns + c) * 4 + p % 4] = b.data[p * b.row_stride + (first + c) * b.column_stride] ^ flip;
}

void sum_panel(int64_t first, int64_t columns, int64_t k, const std::byte* panel, const PackedIntegers& packed) {
  int32_t* sums = packed.sums + first;
  for (int64_t c = 0; c < columns; ++c) sums[c] = static_cast<int32_t>(-k) * packed.zeros[first + c];
  for (int64_t p = 0; p < k; ++p)
    for (int64_t c = 0; c < columns; ++c) sums[c] += static_cast<int32_t>(panel[(p / 4 * tier().columns + c) * 4 + p % 4]);
}

void pack_panel(const IntegerMatrix& b, int64_t panel, const IntegerGemmShape& s, bool wants_sums, const PackedIntegers& packed) {
  const std::byte flip = b.is_signed ? kFlip : std::byte{0};
  const int64_t first = panel * tier().columns, columns = std::min(tier().columns, s.n - first);
  std::byte* to = packed.data + panel * panel_bytes(s.k);
  b.column_stride == 1 ? pack_dense_panel(b, first, columns, s.k, flip, to)
                       : pack_strided_panel(b, first, columns, s.k, flip, to);
  for (int64_t c = first; c < first + columns; ++c) packed.zeros[c] = zero_of(b, c, false);
  if (wants_sums) sum_panel(first, columns, s.k, to, packed);
}

void multiply_tile(const IntegerGemmShape& s, const PackedIntegers& a, const PackedIntegers& b, int64_t row, int64_t rows,
                   int64_t column, const IntegerResult& result) {
  alignas(kAlignment) std::array<int32_t, kMostTile> sums;
  const int64_t stride = 4 * quads_of(s.k), width = tier().columns, columns = std::min(width, s.n - column);
  tier().multiply(a.data + row * stride, stride, rows, b.data + column / width * panel_bytes(s.k), quads_of(s.k), sums.data());
  for (int64_t r = 0; r < rows; ++r) {
    int32_t* line = sums.data() + r * width;
    tier().correct(line, columns, {a.zeros[row + r], a.sums[row + r], b.sums + column, b.zeros + column});
    finish_line(line, columns, row + r, column, result);
  }
}

void multiply_panels(const IntegerGemmShape& s, const PackedIntegers& a, const PackedIntegers& b, int64_t first_row,
                     int64_t last_row, int64_t first_panel, int64_t last_panel, const IntegerResult& result) {
  for (int64_t row = first_row; row < last_row; row += tier().rows)
    for (int64_t panel = first_panel; panel < last_panel; ++panel)
      multiply_tile(s, a, b, row, std::min(tier().rows, last_row - row), panel * tier().columns, result);
}

void quantize_line(const int32_t* sums, int64_t n, int64_t row, int64_t column, const IntegerResult& result, std::byte* out) {
  const OutputScales& s = *result.scales;
  const bool per_column = !result.scales_of_rows && s.count > 1;
  const int64_t first = s.count == 1 ? 0 : result.scales_of_rows ? row : column;
  const LineScales line = {s.multiplier + first,
                           s.addend + first,
                           s.tolerance + first,
                           per_column,
                           static_cast<float>(s.low),
                           static_cast<float>(s.high),
                           s.zero};
  if (tier().requantize(sums, n, line, out)) return;
  for (int64_t j = 0; j < n; ++j)
    out[j] = static_cast<std::byte>(requantized(sums[j], s.exact[first + (per_column ? j : 0)], s.low, s.high) + s.zero);
}

}  // namespace

void finish_line(int32_t* sums, int64_t n, int64_t row, int64_t column, const IntegerResult& result) {
  const int64_t at = row * result.stride + column;
  if (result.sums)
    std::copy_n(sums, n, result.sums + at);
  else
    quantize_line(sums, n, row, column, result, result.quantized + at);
}

size_t packed_rows_bytes(int64_t lines, int64_t k) { return layout_bytes(lines * 4 * quads_of(k), lines); }
size_t packed_panels_bytes(int64_t lines, int64_t k) { return layout_bytes(panels_of(lines) * panel_bytes(k), lines); }
PackedIntegers rows_in(std::byte* memory, int64_t lines, int64_t k) { return layout(memory, lines * 4 * quads_of(k), lines); }
PackedIntegers panels_in(std::byte* memory, int64_t lines, int64_t k) {
  return layout(memory, panels_of(lines) * panel_bytes(k), lines);
}

void pack_rows(const KernelContext& context, const IntegerGemmShape& s, const IntegerMatrix& a, const PackedIntegers& packed) {
  parallel_chunks(context, s.m, grain_of(s.k), [&](int64_t first, int64_t last) { pack_some_rows(a, first, last, s.k, packed); });
}
void pack_panels(const KernelContext& context, const IntegerGemmShape& s, const IntegerMatrix& b, const PackedIntegers& packed,
                 bool with_sums) {
  parallel_chunks(context, panels_of(s.n), grain_of(panel_bytes(s.k)), [&](int64_t first, int64_t last) {
    for (int64_t panel = first; panel < last; ++panel) pack_panel(b, panel, s, with_sums, packed);
  });
}

bool all_zero(const PackedIntegers& rows, int64_t lines) {
  return std::all_of(rows.zeros, rows.zeros + lines, [](int32_t zero) { return zero == 0; });
}

void multiply_integers(const IntegerGemmShape& s, const PackedIntegers& a, const PackedIntegers& b, int64_t first_row,
                       int64_t last_row, const IntegerResult& result) {
  multiply_panels(s, a, b, first_row, last_row, 0, panels_of(s.n), result);
}

PackedWeight::PackedWeight(size_t bytes, int64_t lines, int64_t k, PackedIntegers (*layout)(std::byte*, int64_t, int64_t))
    : memory_(make_zero_block(bytes)),
      bytes_(bytes),
      view_(layout(memory_.get(), lines, k)) {}

PackedWeight PackedWeight::rows(const IntegerMatrix& matrix, int64_t lines, int64_t k) {
  PackedWeight packed(packed_rows_bytes(lines, k), lines, k, rows_in);
  pack_rows({}, {lines, 0, k}, matrix, packed.view_);
  return packed;
}

}  // namespace tandem::cpu
