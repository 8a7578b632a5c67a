// Keys and values of a head are packed once as panels; then blocks of queries pass: scores of all keys by tiles, softmax in f32
// row by row, the weights rounded to bf16, and their product with the values.
#include <omp.h>

#include <algorithm>
#include <cstring>

#include "kernels/api/bf16_rows.h"
#include "kernels/cpu/attention_block.h"
#include "kernels/cpu/bf16/block.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kLine = 64;
constexpr int64_t kMostRows = 128, kFewestRows = 32, kScores = 64 * 1024;  // of a block of queries

// One thread's part of the workspace, in bytes.
struct Layout {
  int64_t keys, rows;   // columns of scores, whole panels and whole steps; queries of a block
  BlockDepth head;      // of a row of q
  int64_t score_depth;  // bytes of a row of weights
  int64_t query_at, key_at, value_at, score_at, weight_at, sum_at, seed_at, bytes;

  Layout(const AttentionGeometry& of, const Bf16Kernel& kernel) {
    keys = round_up(of.keys, 32), score_depth = 2 * keys;
    rows = std::clamp(kScores / std::max<int64_t>(keys, 1), kFewestRows, kMostRows);
    head = block_depth(2 * of.head_size, kernel.step);
    const int64_t scores = std::min(std::max(kScores, kFewestRows * keys), kMostRows * keys);  // never fewer for more keys
    int64_t at = 0;
    const auto take = [&](int64_t count) {
      const int64_t first = at;
      at += round_up(count, kLine);
      return first;
    };
    query_at = take(head.bytes == 2 * of.head_size ? 0 : kMostRows * head.bytes);
    key_at = take(keys * head.bytes);
    value_at = take(round_up(of.value_size, kPanelColumns) * score_depth);
    score_at = take(scores * 4);
    weight_at = take(scores * 2);
    sum_at = take(kMostRows * of.value_size * 4);
    seed_at = take(std::max(keys, round_up(of.value_size, kPanelColumns)) * 4);
    bytes = at;
  }
};

class Bf16Attention {
 public:
  Bf16Attention(const KernelContext& context, const AttentionOptions& options, const AttentionGeometry& of,
                const AttentionInputs& in, TensorView y, const Bf16Kernel& kernel)
      : context_(context),
        options_(options),
        of_(of),
        in_(in),
        y_(y),
        kernel_(kernel),
        scorer_(options, in, of),
        row_(simd::row_ops<float>()),
        at_(of, kernel) {}

  void run() {
    const int64_t heads = of_.batch * of_.key_heads, all_rows = of_.group() * of_.queries;
    if (heads == 0 || all_rows == 0) return;
    // Few heads: the queries of each are shared out too, and its keys packed by every thread.
    const int64_t parts = std::min(ceil_div(context_.threads, heads), ceil_div(of_.queries, kFewestRows)), items = heads * parts;
    const int threads = static_cast<int>(std::min<int64_t>(context_.threads, items));
    ensure(context_.workspace.size() >= static_cast<size_t>(at_.bytes) * static_cast<size_t>(threads),
           "workspace of attention is too small", context_.workspace.size());
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t i = 0; i < items; ++i) {
      std::byte* memory = context_.workspace.data() + omp_get_thread_num() * at_.bytes;
      const int64_t batch = i / parts / of_.key_heads, key_head = i / parts % of_.key_heads, part = i % parts;
      const int64_t first = of_.queries * part / parts, end = of_.queries * (part + 1) / parts;
      pack(batch, key_head, memory);
      for (int64_t head = key_head * of_.group(); head < (key_head + 1) * of_.group(); ++head)
        for (int64_t row = first; row < end; row += at_.rows)
          work({.batch = batch, .head = head, .key_head = key_head, .first = row, .rows = std::min(at_.rows, end - row)}, memory);
    }
  }

 private:
  void pack(int64_t batch, int64_t head, std::byte* memory) const {
    std::byte *keys = memory + at_.key_at, *values = memory + at_.value_at;
    const BF16* k = in_.k.as<BF16>().data() + batch * of_.k.batch + head * of_.k.head;
    const BF16* v = in_.v.as<BF16>().data() + batch * of_.v.batch + head * of_.v.head;
    std::fill_n(reinterpret_cast<float*>(memory + at_.seed_at), std::max(at_.keys, round_up(of_.value_size, kPanelColumns)),
                0.0f);
    std::memset(keys, 0, static_cast<size_t>(at_.keys * at_.head.bytes));
    for (int64_t first = 0; first < of_.keys; first += kPanelColumns) pack_keys(k, first, keys + first * at_.head.bytes);
    pack_values(v, values);
  }

  void pack_keys(const BF16* k, int64_t first, std::byte* panel) const {
    const int64_t count = std::min(kPanelColumns, of_.keys - first);
    if (of_.k.column == 1 && of_.head_size % 2 == 0)
      return kernel_.transpose(reinterpret_cast<const std::byte*>(k + first * of_.k.row), 2 * of_.k.row, count, of_.head_size / 2,
                               panel);
    auto* to = reinterpret_cast<BF16*>(panel);
    for (int64_t d = 0; d < of_.head_size; ++d)
      for (int64_t c = 0; c < count; ++c)
        to[d / 2 * 2 * kPanelColumns + 2 * c + d % 2] = k[(first + c) * of_.k.row + d * of_.k.column];
  }

  // Keys behind the last are rows of zeros, and so are columns behind the last.
  void pack_values(const BF16* v, std::byte* panels) const {
    static constexpr std::array<BF16, kPanelColumns> kZeros{};
    for (int64_t first = 0; first < of_.value_size; first += kPanelColumns) {
      auto* panel = reinterpret_cast<BF16*>(panels + first * at_.score_depth);
      const int64_t n = std::min(kPanelColumns, of_.value_size - first);
      if (n < kPanelColumns) std::fill_n(panel, kPanelColumns * at_.keys, BF16{});
      const auto line = [&](int64_t key) { return key < of_.keys ? v + key * of_.v.row + first : kZeros.data(); };
      for (int64_t key = 0; key < at_.keys; key += 2)
        kernel_.interleave(line(key), line(key + 1), n, panel + key * kPanelColumns);
    }
  }

  void work(const QueryBlock& block, std::byte* memory) const {
    float* scores = reinterpret_cast<float*>(memory + at_.score_at);
    float* sums = reinterpret_cast<float*>(memory + at_.sum_at);
    multiply(queries(block, memory), memory + at_.key_at, of_.keys, {reinterpret_cast<std::byte*>(scores), false, at_.keys},
             block.rows, memory);
    std::array<float, kMostRows> inverse;
    for (int64_t r = 0; r < block.rows; ++r) {
      inverse[static_cast<size_t>(r)] = weigh(block, r, scores + r * at_.keys);
      kernel_.narrow(scores + r * at_.keys, reinterpret_cast<BF16*>(memory + at_.weight_at + r * at_.score_depth), at_.keys);
    }
    const Rows weights = {memory + at_.weight_at, at_.score_depth, {at_.score_depth, std::min<int64_t>(kernel_.step, 64)}};
    multiply(weights, memory + at_.value_at, of_.value_size, {reinterpret_cast<std::byte*>(sums), false, of_.value_size},
             block.rows, memory);
    BF16* y = y_.as<BF16>().data() + block.offset(of_.y);
    for (int64_t r = 0; r < block.rows; ++r) {
      float* sum = sums + r * of_.value_size;
      const float by = inverse[static_cast<size_t>(r)];
      if (by == 0 || std::isnan(by))
        std::fill_n(sum, of_.value_size, by);
      else
        row_.affine(sum, sum, of_.value_size, by, 0);
      kernel_.narrow(sum, y + r * block.stride(of_.y), of_.value_size);
    }
  }

  // Rows of A as the kernel reads them.
  struct Rows {
    const std::byte* data;
    int64_t stride;
    BlockDepth depth;
  };
  Rows queries(const QueryBlock& block, std::byte* memory) const {
    const BF16* q = in_.q.as<BF16>().data() + block.offset(of_.q);
    const int64_t stride = block.stride(of_.q);
    if (at_.head.bytes == 2 * of_.head_size) return {reinterpret_cast<const std::byte*>(q), 2 * stride, at_.head};
    std::byte* to = memory + at_.query_at;
    std::memset(to, 0, static_cast<size_t>(block.rows * at_.head.bytes));
    for (int64_t r = 0; r < block.rows; ++r)
      std::copy_n(q + r * stride, of_.head_size, reinterpret_cast<BF16*>(to + r * at_.head.bytes));
    return {to, at_.head.bytes, at_.head};
  }

  void multiply(const Rows& rows, const std::byte* panels, int64_t columns, const ShortRows<std::byte>& result, int64_t count,
                std::byte* memory) const {
    Bf16Block block;
    block.a = rows.data, block.a_stride = rows.stride, block.rows = count;
    block.depth = rows.depth.bytes, block.step = rows.depth.step;
    block.panels = panels, block.columns = columns;
    block.seeds = reinterpret_cast<const float*>(memory + at_.seed_at);
    block.result = result;
    kernel_.multiply(block);
  }

  // Scores to weights relative to the row's peak; what is behind the keys is 0. Returns what the sum of weighted values is
  // multiplied by.
  float weigh(const QueryBlock& block, int64_t r, float* scores) const {
    const KeyRange seen = scorer_.visible(block, r);
    const int64_t first = std::clamp<int64_t>(seen.first, 0, of_.keys), end = std::clamp(seen.end, first, of_.keys);
    row_.affine(scores, scores, of_.keys, scorer_.scale(), 0);
    if (scorer_.capped()) scorer_.cap(scores, of_.keys);
    std::fill(scores, scores + first, AttentionScorer<float>::kHidden);
    std::fill(scores + end, scores + of_.keys, AttentionScorer<float>::kHidden);
    scorer_.add_mask(block, r, first, end - first, scores + first);
    std::fill(scores + of_.keys, scores + at_.keys, 0.0f);
    const float peak = row_.max(scores, of_.keys);
    if (peak == AttentionScorer<float>::kHidden) {
      const bool undefined = std::isnan(row_.sum(scores, of_.keys));
      std::fill_n(scores, of_.keys, 0.0f);
      return inverse_of(undefined ? std::numeric_limits<float>::quiet_NaN() : 0);
    }
    return inverse_of(row_.exp(scores, scores, of_.keys, peak));
  }

  float inverse_of(float total) const {
    const bool hidden = total == 0, undefined = hidden || std::isnan(total);
    if (of_.keys == 0) return 0;
    if (!undefined) return 1 / total;
    if (options_.undefined == UndefinedRows::kZeroIfHidden) return hidden ? 0 : std::numeric_limits<float>::quiet_NaN();
    return options_.undefined == UndefinedRows::kZero ? 0 : std::numeric_limits<float>::quiet_NaN();
  }

  const KernelContext& context_;
  const AttentionOptions& options_;
  const AttentionGeometry& of_;
  const AttentionInputs& in_;
  TensorView y_;
  const Bf16Kernel& kernel_;
  AttentionScorer<float> scorer_;
  const simd::RowOps<float>& row_;
  Layout at_;
};

}  // namespace

size_t bf16_attention_workspace(const AttentionGeometry& of, int threads, Isa isa) {
  return static_cast<size_t>(Layout(of, bf16_kernel(isa)).bytes) * static_cast<size_t>(threads);
}

void bf16_attention(const KernelContext& context, const AttentionOptions& options, const AttentionGeometry& of,
                    const AttentionInputs& in, TensorView y, Isa isa) {
  ensure(of.past == 0 && of.q.column == 1 && of.v.column == 1, "attention in bf16 takes no past, and rows in one piece");
  Bf16Attention(context, options, of, in, y, bf16_kernel(isa)).run();
}

}  // namespace tandem::cpu
