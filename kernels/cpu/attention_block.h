// What attention and its gradient share: a block of query rows, the keys that each row sees, and its scores.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "kernels/api/attention.h"
#include "kernels/api/gemm.h"
#include "kernels/cpu/simd/elementwise_f32.h"
#include "kernels/cpu/simd/row.h"

namespace tandem::cpu {

inline constexpr int64_t kQueryRows = 192;  // of a block at most

// Query rows of one batch that share a key head. Usually consecutive rows of one head; where there is a single query, the heads
// of a group.
struct QueryBlock {
  int64_t batch = 0, head = 0, key_head = 0;
  int64_t first = 0, rows = 0;
  bool heads_as_rows = false;

  int64_t position(int64_t row) const { return heads_as_rows ? 0 : first + row; }
  // Of the block's first row in a tensor, and from row to row.
  int64_t offset(const HeadStrides& s) const { return batch * s.batch + head * s.head + first * s.row; }
  int64_t stride(const HeadStrides& s) const { return heads_as_rows ? s.head : s.row; }
};

struct KeyRange {
  int64_t first = 0, end = 0;
};

struct AttentionMask {
  ConstTensorView view;
  HeadStrides strides;
  int64_t batches = 1;

  // Of what it says of a row and a key, in elements.
  int64_t offset(const QueryBlock& block, int64_t row, int64_t key) const {
    const int64_t before = block.batch - block.batch % batches;  // of a mask that begins again
    return block.offset(strides) - before * strides.batch + row * block.stride(strides) + key * strides.column;
  }
};

template <class T>
class AttentionScorer {
 public:
  static constexpr T kHidden = -std::numeric_limits<T>::infinity();

  AttentionScorer(const AttentionOptions& options, const AttentionInputs& in, const AttentionGeometry& of)
      : options_(options), in_(in), of_(of), row_(simd::row_ops<T>()) {
    scale_ = static_cast<T>(options.scale != 0 ? options.scale : 1 / std::sqrt(static_cast<double>(of.head_size)));
    cap_ = static_cast<T>(options.softcap);
    mask_columns_ = of.keys;
    hidden_ = static_cast<T>(options.hidden);
    if (in.valid_keys) check_valid_keys();
    if (in.mask) add_mask_layout(in.mask);
    if (in.second_mask) add_mask_layout(in.second_mask);
  }

  T scale() const { return scale_; }
  bool capped() const { return cap_ > 0; }

  // The keys that row `row` sees by its position (not by the mask).
  KeyRange visible(const QueryBlock& block, int64_t row) const {
    const int64_t valid = in_.valid_keys ? in_.valid_keys.as<int64_t>()[static_cast<size_t>(block.batch)] : of_.keys;
    const int64_t offset = in_.valid_keys ? valid - of_.queries : of_.past;
    const int64_t at = block.position(row) + offset;
    KeyRange keys{0, std::min(valid, mask_columns_)};
    if (options_.causal) keys.end = std::min(keys.end, at + 1);
    if (options_.right_window >= 0) keys.end = std::min(keys.end, at + options_.right_window + 1);
    if (options_.left_window >= 0) keys.first = std::clamp<int64_t>(at - options_.left_window, 0, std::min(valid, mask_columns_));
    keys.end = std::max(keys.end, keys.first);
    return keys;
  }

  // The keys that some row of the block may see: by their positions, and less those at the end that a mask of -inf hides from all.
  KeyRange seen_by_any(const QueryBlock& block) const {
    KeyRange all;
    for (int64_t r = 0; r < block.rows; ++r) {
      const KeyRange one = visible(block, r);
      if (one.first == one.end) continue;
      all = all.first == all.end ? one : KeyRange{std::min(all.first, one.first), std::max(all.end, one.end)};
    }
    for (const AttentionMask& mask : std::span(masks_.data(), mask_count_)) {
      int64_t end = all.first;
      for (int64_t r = block.rows; r-- > 0 && end < all.end;)  // under a causal mask the last row sees all that the others do
        end = shown_end(mask, block, r, {end, all.end});
      all.end = end;
    }
    return all;
  }

  // Rows of a head's blocks, `most` at most. Where the first queries see half of the keys or less (a causal mask), the queries in `parts`: a block
  // then multiplies fewer keys for nothing. Else high blocks, since each packs its keys.
  int64_t block_rows(int64_t batch, int64_t head, int64_t most, int64_t parts) const {
    constexpr int64_t kFewRows = 32;
    if (of_.queries <= kFewRows) return most;
    const KeyRange seen = seen_by_any({batch, head, head / of_.group(), 0, kFewRows});
    return 2 * (seen.end - seen.first) > of_.keys ? most : std::clamp(ceil_div(of_.queries, parts), kFewRows, most);
  }

  // Keys [first, end) come from the past, then from the new ones: body(matrix, row stride, first key, keys) for each part.
  template <class Body>
  void for_parts(const QueryBlock& block, KeyRange keys, ConstTensorView past, const HeadStrides& past_strides,
                 ConstTensorView fresh, const HeadStrides& strides, Body body) const {
    const int64_t split = std::clamp(of_.past, keys.first, keys.end);
    if (keys.first < split) {
      const T* rows = past.as<T>().data() + block.batch * past_strides.batch + block.key_head * past_strides.head;
      body(rows + keys.first * past_strides.row, past_strides.row, keys.first, split - keys.first);
    }
    if (split < keys.end) {
      const T* rows = fresh.as<T>().data() + block.batch * strides.batch + block.key_head * strides.head;
      body(rows + (split - of_.past) * strides.row, strides.row, split, keys.end - split);
    }
  }
  template <class Body>
  void for_keys(const QueryBlock& block, KeyRange keys, Body body) const {
    for_parts(block, keys, in_.past_k, of_.past_k, in_.k, of_.k, body);
  }
  template <class Body>
  void for_values(const QueryBlock& block, KeyRange keys, Body body) const {
    for_parts(block, keys, in_.past_v, of_.past_v, in_.v, of_.v, body);
  }

  // out[row][key - keys.first] = scale * q k^T
  void raw(const KernelContext& lone, const QueryBlock& block, KeyRange keys, T* out, int64_t ld) const {
    for_keys(block, keys, [&](const T* k, int64_t k_stride, int64_t first, int64_t count) {
      GemmArgs<T> args;
      args.a = in_.q.as<T>().data() + block.offset(of_.q), args.lda = block.stride(of_.q);
      const bool rows_last = of_.k.column != 1;
      args.b = k, args.ldb = rows_last ? of_.k.column : k_stride;
      args.c = out + (first - keys.first), args.ldc = ld;
      args.alpha = scale_;
      gemm<T>(lone, {block.rows, count, of_.head_size, false, !rows_last, options_.rounded}, args);
    });
  }

  void cap(T* scores, int64_t n) const {
    row_.affine(scores, scores, n, 1 / cap_, 0);
    if constexpr (std::is_same_v<T, float>) {
      simd::unary(UnaryOp::kTanh, scores, scores, n, {});
    } else {
      for (int64_t i = 0; i < n; ++i) scores[i] = std::tanh(scores[i]);
    }
    row_.affine(scores, scores, n, cap_, 0);
  }

  // Applies what the masks say of `n` keys from `first` on to one row of scores.
  void add_mask(const QueryBlock& block, int64_t row, int64_t first, int64_t n, T* scores) const {
    for (const AttentionMask& mask : std::span(masks_.data(), mask_count_)) {
      const ConstTensorView& view = mask.view;
      const HeadStrides& strides = mask.strides;
      const int64_t at = mask.offset(block, row, first);
      if (n > 0 && view.dtype == DType::kBool)
        hide(view.as<bool>().data() + at, strides.column, n, scores);
      else if (n > 0 && strides.column == 0)
        row_.affine(scores, scores, n, 1, view.as<T>()[static_cast<size_t>(at)]);
      else if (n > 0)
        row_.combine(scores, view.as<T>().data() + at, scores, n, 1, 1, 0);
    }
  }

  // Gradients of what add_mask made, to those of the scores before it: nothing passes where a score was replaced.
  void drop_hidden(const QueryBlock& block, int64_t row, int64_t first, int64_t n, T* gradients) const {
    for (const AttentionMask& mask : std::span(masks_.data(), mask_count_)) {
      if (mask.view.dtype != DType::kBool || n <= 0) continue;
      const bool* hidden = mask.view.as<bool>().data() + mask.offset(block, row, first);
      for (int64_t i = 0; i < n; ++i)
        if (hidden[i * mask.strides.column] == options_.mask_hides) gradients[i] = T{0};
    }
  }

 private:
  // Behind the last of these keys (at least one) that the mask does not hide wholly from a row; where there is none, the first of them.
  int64_t shown_end(const AttentionMask& mask, const QueryBlock& block, int64_t row, KeyRange keys) const {
    const int64_t at = mask.offset(block, row, keys.first), n = mask.strides.column == 0 ? 1 : keys.end - keys.first;
    const int64_t shown = mask.view.dtype == DType::kBool ? count_shown(mask.view.as<bool>().data() + at, n) : count_shown(mask.view.as<T>().data() + at, n);
    return mask.strides.column == 0 && shown == 1 ? keys.end : keys.first + shown;
  }
  // How many are left without those at the end that hide wholly. Usually all do, and are passed over at once.
  int64_t count_shown(const bool* mask, int64_t n) const {
    if (hidden_ != kHidden) return n;
    if (!std::memchr(mask, options_.mask_hides ? 0 : 1, static_cast<size_t>(n))) return 0;
    while (n > 0 && mask[n - 1] == options_.mask_hides) --n;
    return n;
  }
  int64_t count_shown(const T* mask, int64_t n) const {
    if (row_.max(mask, n) == kHidden && !std::isnan(row_.sum(mask, n))) return 0;
    while (n > 0 && mask[n - 1] == kHidden) --n;
    return n;
  }
  void check_valid_keys() const {
    require(in_.valid_keys.elements() == of_.batch, "nonpad_kv_seqlen needs one number a batch", to_string(in_.valid_keys.shape));
    for (int64_t valid : in_.valid_keys.as<int64_t>())
      require(valid >= 0 && valid <= of_.keys, "nonpad_kv_seqlen must be within the keys (value, keys)", valid, of_.keys);
  }
  void add_mask_layout(ConstTensorView view) {
    const Shape& mask = view.shape;
    const bool broadcasts = of_.mask_broadcasts;
    require(mask.rank() <= 4 && (broadcasts || (mask.rank() >= 1 && mask[mask.rank() - 1] <= of_.keys)), "attn_mask has the wrong shape",
            to_string(mask));
    HeadStrides strides;
    strides.column = mask.rank() == 0 || (broadcasts && mask[mask.rank() - 1] == 1) ? 0 : 1;
    if (!broadcasts) mask_columns_ = mask[mask.rank() - 1];
    const std::array<int64_t, 3> wanted = {of_.queries, of_.query_heads, of_.batch};
    const std::array<int64_t*, 3> steps = {&strides.row, &strides.head, &strides.batch};
    int64_t stride = mask.rank() == 0 ? 1 : mask[mask.rank() - 1];
    for (int i = 0; i < std::min(3, mask.rank() - 1); ++i) {
      const int64_t size = mask[mask.rank() - 2 - i];
      const bool cycles = i == 2 && of_.masks_cycle && size > 0 && of_.batch % size == 0;
      require(size == 1 || size == wanted[static_cast<size_t>(i)] || cycles, "attn_mask does not broadcast to the scores", to_string(mask));
      *steps[static_cast<size_t>(i)] = size == 1 ? 0 : stride;
      stride *= size;
    }
    const int64_t batches = of_.masks_cycle && mask.rank() == 4 ? mask[0] : of_.batch;
    masks_[mask_count_++] = {view, strides, std::max<int64_t>(1, batches)};
  }
  void hide(const bool* mask, int64_t column, int64_t n, T* scores) const {
    if (column == 0) {
      if (mask[0] == options_.mask_hides) std::fill_n(scores, n, hidden_);
      return;
    }
    for (int64_t i = 0; i < n; ++i) scores[i] = mask[i] != options_.mask_hides ? scores[i] : hidden_;
  }

  const AttentionOptions& options_;
  const AttentionInputs& in_;
  const AttentionGeometry& of_;
  const simd::RowOps<T>& row_;
  T scale_, cap_, hidden_;
  std::array<AttentionMask, 2> masks_;
  size_t mask_count_ = 0;
  int64_t mask_columns_;
};

}  // namespace tandem::cpu
