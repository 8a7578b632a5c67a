// Online softmax (Milakov and Gimelshein, arXiv:1805.02867), as in FlashAttention (arXiv:2205.14135): for a block of queries,
// keys pass by in blocks; each row keeps its peak, the sum of its exponentials and the values weighted so far, rescaled when the
// peak rises.
//
// Where the scores are asked for, a block of keys is all keys, and the same code writes them out on their way.
#include <omp.h>

#include <bit>

#include "kernels/cpu/attention_block.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kKeyBlock = 256;
constexpr int64_t kLine = 64;  // bytes

int64_t key_block(const AttentionGeometry& of, bool scores) { return scores ? of.keys : std::min(of.keys, kKeyBlock); }
// Room for a run with fewer queries too: with a single one, the heads of a group are rows.
int64_t most_rows(const AttentionGeometry& of) { return std::min(kQueryRows, std::max(of.queries, of.group())); }

// One thread's part of the workspace.
template <class T>
struct Scratch {
  Scratch(const AttentionGeometry& of, bool scores, bool rounded) {
    const int64_t rows = most_rows(of), keys = key_block(of, scores);
    const auto sized = [](int64_t elements) { return round_up(elements * static_cast<int64_t>(sizeof(T)), kLine); };
    scores_at = 0;
    sums_at = scores_at + sized(rows * keys);
    statistics_at = sums_at + sized(rows * of.value_size);
    gemm_at = statistics_at + sized(2 * rows);
    const size_t gemm_bytes = std::max(gemm_workspace_bytes<T>({rows, keys, of.head_size, false, true, rounded}, 1),
                                       gemm_workspace_bytes<T>({rows, of.value_size, keys, false, false, rounded}, 1));
    bytes = gemm_at + round_up(static_cast<int64_t>(gemm_bytes), kLine);
  }
  int64_t scores_at, sums_at, statistics_at, gemm_at, bytes;
};

template <class T>
class Attention {
 public:
  Attention(const KernelContext& context, const AttentionOptions& options, const AttentionInputs& in, const AttentionOutputs& out,
            const AttentionGeometry& of)
      : context_(context),
        options_(options),
        out_(out),
        of_(of),
        scorer_(options, in, of),
        row_(simd::row_ops<T>()),
        scratch_(of, static_cast<bool>(out.scores), options.rounded),
        // A single query: the heads of a group are the rows of one product.
        heads_as_rows_(of.queries == 1 && of.group() > 1) {}

  void run() {
    const int64_t rows = heads_as_rows_ ? of_.group() : of_.queries;
    const int64_t heads = heads_as_rows_ ? of_.key_heads : of_.query_heads;
    if (of_.batch * heads * rows == 0) return;
    // Those of one head for all: bits do not depend on them, but for rounded products by AMX, which sums pairs of keys apart.
    const int64_t block_rows = heads_as_rows_ || out_.scores ? kQueryRows : scorer_.block_rows(0, 0, kQueryRows, 4);
    const int64_t blocks = ceil_div(rows, block_rows), items = of_.batch * heads * blocks;
    const auto needed = static_cast<size_t>(scratch_.bytes) * static_cast<size_t>(std::min<int64_t>(context_.threads, items));
    ensure(context_.workspace.size() >= needed, "workspace of attention is too small", context_.workspace.size(), needed);
#pragma omp parallel for num_threads(static_cast <int>(std::min <int64_t>(context_.threads, items))) schedule(dynamic, 1)
    for (int64_t i = 0; i < items; ++i) {
      QueryBlock block;
      block.batch = i / blocks / heads;
      block.head = i / blocks % heads * (heads_as_rows_ ? of_.group() : 1);
      block.heads_as_rows = heads_as_rows_;
      block.key_head = block.head / of_.group();
      block.first = i % blocks * block_rows;
      block.rows = std::min(block_rows, rows - block.first);
      if (heads_as_rows_) block.head += block.first, block.first = 0;
      work(block, context_.workspace.data() + omp_get_thread_num() * scratch_.bytes);
    }
  }

 private:
  static constexpr T kNan = std::numeric_limits<T>::quiet_NaN();

  // The buffers of the thread that works on a block.
  struct Work {
    KernelContext lone;
    T *scores, *sums, *peaks, *totals;
    int64_t ld;
  };

  void work(const QueryBlock& block, std::byte* memory) const {
    Work w;
    w.lone.workspace = {memory + scratch_.gemm_at, static_cast<size_t>(scratch_.bytes - scratch_.gemm_at)};
    w.scores = reinterpret_cast<T*>(memory + scratch_.scores_at);
    w.sums = reinterpret_cast<T*>(memory + scratch_.sums_at);
    w.peaks = reinterpret_cast<T*>(memory + scratch_.statistics_at);
    w.totals = w.peaks + block.rows;
    w.ld = key_block(of_, static_cast<bool>(out_.scores));
    std::fill_n(w.peaks, block.rows, AttentionScorer<T>::kHidden);
    std::fill_n(w.totals, block.rows, T{0});
    std::fill_n(w.sums, block.rows * of_.value_size, T{0});
    KeyRange all{0, of_.keys};
    // Blocks of keys begin where they would without a window, so that a row's bits do not depend on the rows beside it.
    if (!out_.scores) all = scorer_.seen_by_any(block);
    if (w.ld > 0) all.first -= all.first % w.ld;
    for (int64_t first = all.first; first < all.end; first += w.ld) add_keys(block, {first, std::min(all.end, first + w.ld)}, w);
    finish(block, w);
  }

  void add_keys(const QueryBlock& block, KeyRange keys, const Work& w) const {
    const int64_t n = keys.end - keys.first;
    scorer_.raw(w.lone, block, keys, w.scores, w.ld);
    write_scores(AttentionScores::kRaw, block, w);
    if (scorer_.capped())
      for (int64_t r = 0; r < block.rows; ++r) scorer_.cap(w.scores + r * w.ld, n);
    write_scores(AttentionScores::kCapped, block, w);
    for (int64_t r = 0; r < block.rows; ++r) hide_unseen(block, r, keys, w.scores + r * w.ld);
    write_scores(AttentionScores::kMasked, block, w);
    bool any = false;
    for (int64_t r = 0; r < block.rows; ++r) any |= exponentiate(r, n, w);
    if (!any) return;
    scorer_.for_values(block, keys, [&](const T* v, int64_t v_stride, int64_t first, int64_t count) {
      GemmArgs<T> args;
      args.a = w.scores + (first - keys.first), args.lda = w.ld;
      args.b = v, args.ldb = v_stride;
      args.c = w.sums, args.ldc = of_.value_size;
      args.addend = w.sums, args.ld_addend = of_.value_size;
      gemm<T>(w.lone, {block.rows, of_.value_size, count, false, false, options_.rounded}, args);
    });
  }

  void hide_unseen(const QueryBlock& block, int64_t r, KeyRange keys, T* scores) const {
    const KeyRange seen = scorer_.visible(block, r);
    const int64_t first = std::clamp(seen.first, keys.first, keys.end), end = std::clamp(seen.end, first, keys.end);
    std::fill(scores, scores + (first - keys.first), AttentionScorer<T>::kHidden);
    std::fill(scores + (end - keys.first), scores + (keys.end - keys.first), AttentionScorer<T>::kHidden);
    scorer_.add_mask(block, r, first, end - first, scores + (first - keys.first));
  }

  // Scores to weights relative to the row's peak so far. Returns whether the row has seen any key.
  bool exponentiate(int64_t r, int64_t n, const Work& w) const {
    T* scores = w.scores + r * w.ld;
    const T peak = std::max(w.peaks[r], row_.max(scores, n));
    if (peak == AttentionScorer<T>::kHidden) {
      if (std::isnan(row_.sum(scores, n))) w.totals[r] = kNan;
      std::fill_n(scores, n, T{0});
      return false;
    }
    const T sum = row_.exp(scores, scores, n, peak);
    const T fading = w.totals[r] == 0 ? T{1} : std::exp(w.peaks[r] - peak);
    if (fading != 1) row_.affine(w.sums + r * of_.value_size, w.sums + r * of_.value_size, of_.value_size, fading, 0);
    w.totals[r] = w.totals[r] * fading + sum;
    w.peaks[r] = peak;
    return true;
  }

  // Of the sum of exponentials.
  T inverse_of(T total) const {
    const bool hidden = total == 0, undefined = hidden || std::isnan(total);
    if (!undefined) return 1 / total;
    if (options_.undefined == UndefinedRows::kZeroIfHidden) return hidden ? T{0} : kNan;
    return options_.undefined == UndefinedRows::kZero ? T{0} : kNan;
  }

  void finish(const QueryBlock& block, const Work& w) const {
    T* y = out_.y.as<T>().data() + block.offset(of_.y);
    for (int64_t r = 0; r < block.rows; ++r) {
      const T inverse = of_.keys == 0 ? T{0} : inverse_of(w.totals[r]);
      if (inverse == 0 || std::isnan(inverse)) std::fill_n(w.sums + r * of_.value_size, of_.value_size, inverse);
      row_.affine(w.sums + r * of_.value_size, y + r * block.stride(of_.y), of_.value_size, inverse, 0);
      if (out_.scores) row_.affine(w.scores + r * w.ld, w.scores + r * w.ld, w.ld, inverse, 0);
    }
    write_scores(AttentionScores::kProbabilities, block, w);
  }

  void write_scores(AttentionScores stage, const QueryBlock& block, const Work& w) const {
    if (!out_.scores || stage != options_.scores) return;
    const HeadStrides strides{of_.query_heads * of_.queries * of_.keys, of_.queries * of_.keys, of_.keys, 1};
    T* out = out_.scores.as<T>().data() + block.offset(strides);
    for (int64_t r = 0; r < block.rows; ++r) std::copy_n(w.scores + r * w.ld, of_.keys, out + r * block.stride(strides));
  }

  const KernelContext& context_;
  const AttentionOptions& options_;
  const AttentionOutputs& out_;
  const AttentionGeometry& of_;
  AttentionScorer<T> scorer_;
  const simd::RowOps<T>& row_;
  Scratch<T> scratch_;
  bool heads_as_rows_;
};

// present[b][h] = past rows, then the new rows.
template <class T>
void join(const KernelContext& context, const AttentionGeometry& of, ConstTensorView past, const HeadStrides& past_strides,
          ConstTensorView fresh, const HeadStrides& strides, int64_t size, TensorView present) {
  if (!present) return;
  const int64_t heads = of.batch * of.key_heads, old = of.past * size;
#pragma omp parallel for num_threads(context.threads) if (heads * of.keys * size >= 64 * 1024)
  for (int64_t i = 0; i < heads; ++i) {
    const int64_t b = i / of.key_heads, h = i % of.key_heads;
    T* to = present.as<T>().data() + i * of.keys * size;
    if (old > 0) std::copy_n(past.as<T>().data() + b * past_strides.batch + h * past_strides.head, old, to);
    const T* from = fresh.as<T>().data() + b * strides.batch + h * strides.head;
    for (int64_t r = 0; r < of.keys - of.past; ++r) std::copy_n(from + r * strides.row, size, to + old + r * size);
  }
}

}  // namespace

size_t attention_workspace(DType dtype, const AttentionGeometry& of, bool scores, int threads, bool rounded) {
  return visit_float(dtype, [&]<class T>() { return static_cast<size_t>(Scratch<T>(of, scores, rounded).bytes) * static_cast<size_t>(threads); });
}

void attention(const KernelContext& context, const AttentionOptions& options, const AttentionInputs& in,
               const AttentionOutputs& out) {
  attention(context, options, attention_geometry(options, in.q.shape, in.k.shape, in.v.shape, in.past_k.shape, in.past_v.shape), in,
            out);
}

void attention(const KernelContext& context, const AttentionOptions& options, const AttentionGeometry& of, const AttentionInputs& in,
               const AttentionOutputs& out) {
  visit_float(in.q.dtype, [&]<class T>() {
    Attention<T>(context, options, in, out, of).run();
    join<T>(context, of, in.past_k, of.past_k, in.k, of.k, of.head_size, out.present_k);
    join<T>(context, of, in.past_v, of.past_v, in.v, of.v, of.value_size, out.present_v);
  });
}

}  // namespace tandem::cpu
