// Backward of attention. For each batch and key head: over its query heads and blocks of queries, the probabilities P are made
// anew, then
//
//   dV += P^T dY;   dP = dY V^T;   dS = P * (dP - rowsum(dP * P));   dR = scale * dS * (1 - (capped / softcap)^2);
//   dQ = dR K;   dK += dR^T Q
//
// A block has fewer queries than one of the forward pass: under a causal mask it then sees fewer keys that are for nothing.
#include <omp.h>

#include "kernels/cpu/attention_block.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kLine = 64;  // bytes
constexpr int64_t kGradRows = 96;  // of a block at most

// One thread's part of the workspace: three matrices of a block's rows by all keys.
template <class T>
struct Scratch {
  Scratch(const AttentionGeometry& of, bool rounded) {
    const int64_t rows = std::min(kGradRows, of.queries);
    matrix = round_up(rows * of.keys * static_cast<int64_t>(sizeof(T)), kLine);
    const GemmShape products[] = {{rows, of.keys, of.head_size, false, true, rounded},
                                  {rows, of.keys, of.value_size, false, true, rounded},
                                  {of.keys, of.value_size, rows, true, false, rounded},
                                  {of.keys, of.head_size, rows, true, false, rounded},
                                  {of.head_size, of.keys, rows, true, false, rounded},
                                  {rows, of.head_size, of.keys, false, false, rounded},
                                  {rows, of.head_size, of.keys, false, true, rounded}};
    size_t gemm_bytes = 0;
    for (const GemmShape& product : products) gemm_bytes = std::max(gemm_bytes, gemm_workspace_bytes<T>(product, 1));
    bytes = 3 * matrix + round_up(static_cast<int64_t>(gemm_bytes), kLine);
  }
  int64_t matrix, bytes;
};

template <class T>
T* data_or_null(TensorView view) {
  return view ? view.as<T>().data() : nullptr;
}

template <class T>
class AttentionBackward {
 public:
  // `grads`: how the gradients lie in memory.
  AttentionBackward(const AttentionOptions& options, const AttentionInputs& in, ConstTensorView dy, const AttentionGrads& out,
                    const AttentionGeometry& of, const AttentionGeometry& grads)
      : in_(in),
        of_(of),
        grads_(grads),
        scorer_(options, in, of),
        row_(simd::row_ops<T>()),
        scratch_(of, options.rounded),
        cap_(static_cast<T>(options.softcap)),
        rounded_(options.rounded),
        drops_hidden_(std::isfinite(options.hidden)),
        zero_if_nan_(options.undefined == UndefinedRows::kZero) {
    dy_ = dy.as<T>().data();
    dq_ = data_or_null<T>(out.dq), dk_ = data_or_null<T>(out.dk), dv_ = data_or_null<T>(out.dv);
    dscores_ = data_or_null<T>(out.dscores);
  }

  void run(const KernelContext& context) {
    const int64_t items = of_.batch * of_.key_heads;
    ensure(context.workspace.size() >= static_cast<size_t>(scratch_.bytes * context.threads),
           "workspace of attention_grad is too small");
#pragma omp parallel for num_threads(context.threads) schedule(dynamic, 1)
    for (int64_t i = 0; i < items; ++i)
      work(i / of_.key_heads, i % of_.key_heads, context.workspace.data() + omp_get_thread_num() * scratch_.bytes);
  }

 private:
  struct Work {
    KernelContext lone;
    T *p, *dp, *capped;  // [rows of the block, the keys that it sees]
    T *dk, *dv;
  };

  void work(int64_t batch, int64_t key_head, std::byte* memory) const {
    Work w;
    w.p = reinterpret_cast<T*>(memory);
    w.dp = reinterpret_cast<T*>(memory + scratch_.matrix);
    w.capped = reinterpret_cast<T*>(memory + 2 * scratch_.matrix);
    w.lone.workspace = {memory + 3 * scratch_.matrix, static_cast<size_t>(scratch_.bytes - 3 * scratch_.matrix)};
    w.dk = dk_ ? dk_ + batch * grads_.k.batch + key_head * grads_.k.head : nullptr;
    w.dv = dv_ ? dv_ + batch * grads_.v.batch + key_head * grads_.v.head : nullptr;
    if (w.dk) fill_zero(w.dk, grads_.k, of_.keys, of_.head_size);
    if (w.dv) fill_zero(w.dv, grads_.v, of_.keys, of_.value_size);
    for (int64_t head = key_head * of_.group(); head < (key_head + 1) * of_.group(); ++head) {
      const int64_t rows = scorer_.block_rows(batch, head, kGradRows, 2);
      for (int64_t first = 0; first < of_.queries; first += rows) {
        const QueryBlock block{batch, head, key_head, first, std::min(rows, of_.queries - first)};
        add_block(block, scorer_.seen_by_any(block), w);
      }
    }
  }

  static void fill_zero(T* matrix, const HeadStrides& strides, int64_t rows, int64_t columns) {
    const bool rows_last = strides.column != 1;
    for (int64_t i = 0; i < (rows_last ? columns : rows); ++i)
      std::fill_n(matrix + i * (rows_last ? strides.column : strides.row), rows_last ? rows : columns, T{0});
  }

  void add_block(const QueryBlock& block, KeyRange keys, const Work& w) const {
    const int64_t n = keys.end - keys.first;
    probabilities(block, keys, w);
    const T* dy = dy_ + block.offset(of_.y);
    if (w.dv) {
      const GemmShape shape{n, of_.value_size, block.rows, true, false};
      add_product(w.lone, shape, w.p, n, dy, block.stride(of_.y), w.dv + keys.first * grads_.v.row, grads_.v.row);
    }
    scorer_.for_values(block, keys, [&](const T* v, int64_t v_stride, int64_t first, int64_t count) {
      GemmArgs<T> args;
      args.a = dy, args.lda = block.stride(of_.y);
      args.b = v, args.ldb = v_stride;
      args.c = w.dp + (first - keys.first), args.ldc = n;
      gemm<T>(w.lone, {block.rows, count, of_.value_size, false, true, rounded_}, args);
    });
    for (int64_t r = 0; r < block.rows; ++r) score_gradients(block, keys, r, w);
    if (dq_) query_gradient(block, keys, w);
    if (w.dk) add_key_gradient(block, keys, w);
  }

  // Of a row: from dP to dR, in place.
  void score_gradients(const QueryBlock& block, KeyRange keys, int64_t r, const Work& w) const {
    const int64_t n = keys.end - keys.first;
    T *p = w.p + r * n, *ds = w.dp + r * n;
    row_.product(p, ds, ds, n, -row_.dot(p, ds, n, 0));
    if (dscores_) {
      T* out = dscores_ + ((block.batch * of_.query_heads + block.head) * of_.queries + block.first + r) * of_.keys;
      std::fill_n(out, of_.keys, T{0});
      std::copy_n(ds, n, out + keys.first);
    }
    if (drops_hidden_) scorer_.drop_hidden(block, r, keys.first, n, ds);
    if (scorer_.capped())
      for (int64_t j = 0; j < n; ++j) ds[j] *= 1 - (w.capped[r * n + j] / cap_) * (w.capped[r * n + j] / cap_);
    row_.affine(ds, ds, n, scorer_.scale(), 0);
  }

  // c += a^T b
  void add_product(const KernelContext& lone, GemmShape shape, const T* a, int64_t lda, const T* b, int64_t ldb, T* c, int64_t ldc) const {
    shape.rounded = rounded_;
    GemmArgs<T> args;
    args.a = a, args.lda = lda;
    args.b = b, args.ldb = ldb;
    args.c = c, args.ldc = ldc;
    args.addend = c, args.ld_addend = ldc;
    gemm<T>(lone, shape, args);
  }

  void add_key_gradient(const QueryBlock& block, KeyRange keys, const Work& w) const {
    const int64_t n = keys.end - keys.first, stride = block.stride(of_.q);
    const T* q = in_.q.as<T>().data() + block.offset(of_.q);
    T* dk = w.dk + keys.first * grads_.k.row;
    if (grads_.k.column == 1)
      add_product(w.lone, {n, of_.head_size, block.rows, true, false}, w.dp, n, q, stride, dk, grads_.k.row);
    else
      add_product(w.lone, {of_.head_size, n, block.rows, true, false}, q, stride, w.dp, n, dk, grads_.k.column);
  }

  void query_gradient(const QueryBlock& block, KeyRange keys, const Work& w) const {
    T* dq = dq_ + block.offset(grads_.q);
    const int64_t stride = block.stride(grads_.q), n = keys.end - keys.first;
    for (int64_t r = 0; r < block.rows; ++r) std::fill_n(dq + r * stride, of_.head_size, T{0});
    scorer_.for_keys(block, keys, [&](const T* k, int64_t k_stride, int64_t first, int64_t count) {
      const bool rows_last = of_.k.column != 1;
      GemmArgs<T> args;
      args.a = w.dp + (first - keys.first), args.lda = n;
      args.b = k, args.ldb = rows_last ? of_.k.column : k_stride;
      args.c = dq, args.ldc = stride;
      args.addend = dq, args.ld_addend = stride;
      gemm<T>(w.lone, {block.rows, of_.head_size, count, false, rows_last, rounded_}, args);
    });
  }

  void probabilities(const QueryBlock& block, KeyRange keys, const Work& w) const {
    const int64_t n = keys.end - keys.first;
    scorer_.raw(w.lone, block, keys, w.p, n);
    for (int64_t r = 0; r < block.rows; ++r) {
      T* p = w.p + r * n;
      if (scorer_.capped()) {
        scorer_.cap(p, n);
        std::copy_n(p, n, w.capped + r * n);
      }
      const KeyRange visible = scorer_.visible(block, r);
      const int64_t first = std::clamp(visible.first, keys.first, keys.end), end = std::clamp(visible.end, first, keys.end);
      T* seen = p + (first - keys.first);
      scorer_.add_mask(block, r, first, end - first, seen);
      std::fill(p, seen, T{0});
      std::fill(p + (end - keys.first), p + n, T{0});
      softmax(seen, end - first);
    }
  }

  // In place; a row without any key, and one that has no softmax, is zero.
  void softmax(T* scores, int64_t n) const {
    const T peak = row_.max(scores, n);
    const T sum = peak == AttentionScorer<T>::kHidden ? T{0} : row_.exp(scores, scores, n, peak);
    if (sum == 0 || (zero_if_nan_ && std::isnan(sum)))
      std::fill_n(scores, n, T{0});
    else
      row_.affine(scores, scores, n, 1 / sum, 0);
  }

  const AttentionInputs& in_;
  const AttentionGeometry &of_, &grads_;
  AttentionScorer<T> scorer_;
  const simd::RowOps<T>& row_;
  Scratch<T> scratch_;
  T cap_;
  bool rounded_, drops_hidden_, zero_if_nan_;
  const T* dy_;
  T *dq_, *dk_, *dv_, *dscores_;
};

}  // namespace

size_t attention_grad_workspace(DType dtype, const AttentionGeometry& of, int threads, bool rounded) {
  return visit_float(dtype, [&]<class T>() { return static_cast<size_t>(Scratch<T>(of, rounded).bytes) * static_cast<size_t>(threads); });
}

void attention_grad(const KernelContext& context, const AttentionOptions& options, const AttentionInputs& in, ConstTensorView dy,
                    const AttentionGrads& out) {
  const AttentionGeometry of = attention_geometry(options, in.q.shape, in.k.shape, in.v.shape, in.past_k.shape, in.past_v.shape);
  AttentionGeometry grads = of;
  // With a past, the gradients to keys and values are those of the joined ones.
  const auto joined = [&](int64_t size) { return HeadStrides{of.key_heads * of.keys * size, of.keys * size, size, 1}; };
  if (in.past_k) grads.k = joined(of.head_size), grads.v = joined(of.value_size);
  attention_grad(context, options, of, grads, in, dy, out);
}

void attention_grad(const KernelContext& context, const AttentionOptions& options, const AttentionGeometry& of, const AttentionGeometry& grads,
                    const AttentionInputs& in, ConstTensorView dy, const AttentionGrads& out) {
  visit_float(in.q.dtype, [&]<class T>() { AttentionBackward<T>(options, in, dy, out, of, grads).run(context); });
}

}  // namespace tandem::cpu
