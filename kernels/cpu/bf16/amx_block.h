// Blocks of bf16 by tiles of 16 rows x 32 numbers: up to 32 rows by two panels in four tiles of sums.
//
// Two panels of kDepthBytes stay in the first-level cache while the rows pass; their sums wait in memory for the next part of k.
// All groups of rows have one height, so that tiles are configured once: the last group begins within the one before, and what
// was there is not finished again.
#pragma once

#include <algorithm>

#include "kernels/cpu/bf16/finish.h"
#include "kernels/cpu/bf16/packing.h"
#include "kernels/cpu/gemm/amx_tiles.h"

namespace tandem::cpu {

template <class Tiles, class V>
class Bf16AmxBlock {
 public:
  static constexpr int64_t kTileRows = 16, kRows = 2 * kTileRows, kRowSums = 2 * kPanelColumns, kMostStep = 64;

  static void multiply(const Bf16Block& b) {
    if (b.rows > 0 && b.columns > 0) Bf16AmxBlock(b).run();
  }

 private:
  static constexpr int64_t kDepthBytes = 1024, kRowBytes = 16 * 1024;  // of k, and of rows that stay in that cache too
  static constexpr int64_t kFarBytes = 256 * 1024;                     // of panels: they come from beyond
  static constexpr int64_t kSums = kRows * kRowSums, kGroups = kMostBlockRows / kRows;
  static constexpr int64_t kStride = kRowSums * static_cast<int64_t>(sizeof(float));

  explicit Bf16AmxBlock(const Bf16Block& b) : b_(b) {
    groups_ = (b.rows + kRows - 1) / kRows, height_ = (b.rows + groups_ - 1) / groups_;
    upper_ = height_ > kTileRows ? (height_ + 1) / 2 : height_;
    if (b.line > 0) {
      upper_ = b.line_tile, height_ = std::min(b.rows, 2 * b.line_tile), groups_ = (b.rows + height_ - 1) / height_;
    }
    lower_ = height_ - upper_;
    const int64_t parts = std::max<int64_t>(1, (b.depth + kDepthBytes - 1) / kDepthBytes);
    // Rows that overlap (lines) are read again soon.
    once_ = b.line == 0 && b.rows * b.depth > kRowBytes, far_ = groups_ > 1 && b.columns * b.depth > kFarBytes;
    part_ = std::max(b.step, (b.depth / b.step + parts - 1) / parts * b.step);
  }

  int64_t first_row(int64_t group) const { return std::min(group * height_, b_.rows - height_); }

  void run() {
    tiles_.configure(product_tile_shapes<Tiles>(upper_, std::max<int64_t>(lower_, 1), b_.step));
    for (int64_t column = 0; column < b_.columns; column += kRowSums) {
      const bool right = column + kPanelColumns < b_.columns;
      if (lower_ > 0)
        right ? multiply_columns<true, true>(column) : multiply_columns<true, false>(column);
      else
        right ? multiply_columns<false, true>(column) : multiply_columns<false, false>(column);
    }
    finish();
    tiles_.release();
  }

  // What goes on between the products of a group: its share of the panels that come next is fetched into the second-level cache.
  class Between {
   public:
    Between(const Bf16AmxBlock& of, const std::byte* next, int64_t depth, int64_t group, int64_t products)
        : left_(nullptr), apart_(of.b_.depth * kPanelColumns) {
      if (!of.far_) return;
      const int64_t calls = std::max<int64_t>(1, depth / of.b_.step * products),
                    lines = (depth * kPanelColumns / 64 + of.groups_ - 1) / of.groups_;
      left_ = next + group * lines * 64;
      lines_ = (lines + calls - 1) / calls;
    }
    void operator()() {
      for (int64_t i = 0; i < lines_; ++i, left_ += 64) {
        __builtin_prefetch(left_, 0, 2);
        __builtin_prefetch(left_ + apart_, 0, 2);
      }
    }

   private:
    const std::byte* left_;
    int64_t apart_, lines_ = 0;  // bytes between the two panels; lines of a call
  };

  template <bool kLower, bool kRight>
  void multiply_columns(int64_t column) {
    const std::byte* left = b_.panels + column * b_.depth;
    for (int64_t k = 0; k == 0 || k < b_.depth; k += part_) {
      const int64_t depth = std::min(part_, b_.depth - k);
      const bool last = k + depth >= b_.depth;
      for (int64_t group = 0; group < groups_; ++group) {
        if (k == 0)
          load_sums<kLower, kRight>(b_.seeds + column, b_.seeds + column, 0);
        else
          load_sums<kLower, kRight>(sums_of(group), sums_of(group) + upper_ * kRowSums, kStride);
        const TileOperands o = operands(first_row(group), left + k * kPanelColumns, k, depth);
        Between between(*this, last ? left + 2 * b_.depth * kPanelColumns : left + (k + depth) * kPanelColumns, depth, group,
                        (kLower ? 2 : 1) * (kRight ? 2 : 1));
        once_ ? add_tile_products<kLower, kRight, TileNumbers::kBf16, true>(tiles_, o, between)
              : add_tile_products<kLower, kRight, TileNumbers::kBf16, false>(tiles_, o, between);
        finish();  // the sums before these, while these are made
        float* to = last ? ready_.data() : sums_of(group);
        store_sums<kLower, kRight>(to, to + upper_ * kRowSums);
        if (last) wait_for_finish(group, column);
      }
    }
  }

  // Of `depth` bytes from `k` on.
  TileOperands operands(int64_t row, const std::byte* left, int64_t k, int64_t depth) const {
    const std::byte *upper = row_of(b_, row), *lower = row_of(b_, row + upper_), *right = left + b_.depth * kPanelColumns;
    if (!b_.offsets) return {upper + k, lower + k, b_.a_stride, left, right, depth, b_.step};
    return {upper, lower, b_.a_stride, left, right, depth, b_.step, b_.offsets + k / b_.run, b_.run, k % b_.run};
  }

  float* sums_of(int64_t group) { return sums_.data() + group * kSums; }

  template <bool kLower, bool kRight>
  void load_sums(const float* upper, const float* lower, int64_t stride) {
    tiles_.template load<0>(upper, stride);
    if constexpr (kRight) tiles_.template load<1>(upper + kPanelColumns, stride);
    if constexpr (kLower) tiles_.template load<2>(lower, stride);
    if constexpr (kLower && kRight) tiles_.template load<3>(lower + kPanelColumns, stride);
  }
  template <bool kLower, bool kRight>
  void store_sums(float* upper, float* lower) {
    tiles_.template store<0>(upper, kStride);
    if constexpr (kRight) tiles_.template store<1>(upper + kPanelColumns, kStride);
    if constexpr (kLower) tiles_.template store<2>(lower, kStride);
    if constexpr (kLower && kRight) tiles_.template store<3>(lower + kPanelColumns, kStride);
  }

  // The sums just stored are those of `group`; of an overlap only rows that are new.
  void wait_for_finish(int64_t group, int64_t column) {
    pending_row_ = group * height_, pending_column_ = column;
    pending_rows_ = first_row(group) + height_ - pending_row_;
    pending_ = ready_.data() + (pending_row_ - first_row(group)) * kRowSums;
  }
  void finish() {
    if (b_.pitch == 0)
      finish_rows(pending_, pending_row_, pending_rows_);
    else
      finish_lines();
    pending_rows_ = 0;
  }
  void finish_rows(float* sums, int64_t result, int64_t rows) {
    const int64_t panels = pending_column_ + kPanelColumns < b_.columns ? 2 : 1;
    if (rows > 0) Bf16Finish<V>::finish(b_, sums, kRowSums, result, rows, pending_column_, panels);
  }
  // Rows that are results, run by run.
  void finish_lines() {
    for (int64_t done = 0, next; done < pending_rows_; done = next) {
      const int64_t row = pending_row_ + done, at = row % b_.line, column = at % b_.pitch, result = at / b_.pitch * b_.width + column;
      const bool is_result = column < b_.width && result < b_.line_results;
      next = std::min(pending_rows_, done + std::min((column < b_.width ? b_.width : b_.pitch) - column, b_.line - at));
      if (is_result) finish_rows(pending_ + done * kRowSums, row / b_.line * b_.line_results + result, next - done);
    }
  }

  const Bf16Block& b_;
  Tiles tiles_;
  bool once_, far_;                                 // rows of A do not stay in the first-level cache, panels not in the second
  int64_t groups_, height_, upper_, lower_, part_;  // part_: bytes of k that go by at once
  // Sums that are made and not yet finished.
  float* pending_ = nullptr;
  int64_t pending_row_ = 0, pending_rows_ = 0, pending_column_ = 0;
  alignas(64) std::array<float, kSums> ready_;
  alignas(64) std::array<float, kGroups * kSums> sums_;
};

// What is no product is as V does it.
template <class Tiles, class V>
constexpr Bf16Kernel make_bf16_amx_kernel() {
  using Block = Bf16AmxBlock<Tiles, V>;
  return {Block::kRows,
          Block::kMostStep,
          true,
          &Block::multiply,
          &Bf16Finish<V>::narrow,
          &Bf16Finish<V>::widen,
          &Bf16Finish<V>::narrow_rows,
          &Bf16Finish<V>::widen_rows,
          &Bf16Finish<V>::scale_rows,
          &Bf16Packing<V>::transpose,
          &Bf16Packing<V>::interleave,
          &Bf16Packing<V>::round_lines,
          &Bf16Packing<V>::round_transposed,
          &Bf16Packing<V>::round_columns,
          true,
          Bf16Finish<V>::kInRegisters ? &Bf16Finish<V>::finish_all : nullptr};
}

}  // namespace tandem::cpu
