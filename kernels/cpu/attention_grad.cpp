// Backward of attention. For each batch and key head: over its query heads and blocks of queries, the probabilities P are made
// anew, then
//
//   dV += P^T dY;   dP = dY V^T;   dS = P * (dP - rowsum(dP * P));   raw = dS * (1 - (capped / softcap)^2);
//   dQ = scale * raw K;   dK += scale * raw^T Q
#include <omp.h>

#include "kernels/cpu/attention_block.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kLine = 64;  // bytes

// One thread's part of the workspace: three matrices of a block's rows by all keys.
template <class T>
struct Scratch {
  explicit Scratch(const AttentionGeometry& of) {
    const int64_t rows = std::min(kQueryRows, of.queries);
    matrix = round_up(rows * of.keys * static_cast<int64_t>(sizeof(T)), kLine);
    const GemmShape products[] = {{rows, of.keys, of.head_size, false, true},
                                  {rows, of.keys, of.value_size, false, true},
                                  {of.keys, of.value_size, rows, true, false},
                                  {of.keys, of.head_size, rows, true, false},
                                  {rows, of.head_size, of.keys, false, false}};
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
  AttentionBackward(const AttentionOptions& options, const AttentionInputs& in, ConstTensorView dy, const AttentionGrads& out,
                    const AttentionGeometry& of)
      : in_(in),
        of_(of),
        scorer_(options, in, of),
        row_(simd::row_ops<T>()),
        scratch_(of),
        cap_(static_cast<T>(options.softcap)) {
    dy_ = dy.as<T>().data();
    dq_ = data_or_null<T>(out.dq), dk_ = data_or_null<T>(out.dk), dv_ = data_or_null<T>(out.dv);
    dscores_ = data_or_null<T>(out.dscores);
    // With a past, the gradients to keys and values are those of the joined ones.
    const auto joined = [&](int64_t size) { return HeadStrides{of.key_heads * of.keys * size, of.keys * size, size, 1}; };
    dk_strides_ = in.past_k ? joined(of.head_size) : of.k;
    dv_strides_ = in.past_v ? joined(of.value_size) : of.v;
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
    T *p, *dp, *capped;
    T *dk, *dv;
  };

  void work(int64_t batch, int64_t key_head, std::byte* memory) const {
    Work w;
    w.p = reinterpret_cast<T*>(memory);
    w.dp = reinterpret_cast<T*>(memory + scratch_.matrix);
    w.capped = reinterpret_cast<T*>(memory + 2 * scratch_.matrix);
    w.lone.workspace = {memory + 3 * scratch_.matrix, static_cast<size_t>(scratch_.bytes - 3 * scratch_.matrix)};
    w.dk = dk_ ? dk_ + batch * dk_strides_.batch + key_head * dk_strides_.head : nullptr;
    w.dv = dv_ ? dv_ + batch * dv_strides_.batch + key_head * dv_strides_.head : nullptr;
    for (int64_t j = 0; j < of_.keys; ++j) {
      if (w.dk) std::fill_n(w.dk + j * dk_strides_.row, of_.head_size, T{0});
      if (w.dv) std::fill_n(w.dv + j * dv_strides_.row, of_.value_size, T{0});
    }
    for (int64_t g = 0; g < of_.group(); ++g)
      for (int64_t first = 0; first < of_.queries; first += kQueryRows) {
        QueryBlock block{batch, key_head * of_.group() + g, key_head, first, std::min(kQueryRows, of_.queries - first)};
        add_block(block, w);
      }
  }

  void add_block(const QueryBlock& block, const Work& w) const {
    const int64_t n = of_.keys;
    probabilities(block, w);
    const T* dy = dy_ + block.offset(of_.y);
    if (w.dv) add_product(w.lone, block, w.p, dy, block.stride(of_.y), of_.value_size, 1, w.dv, dv_strides_.row);
    scorer_.for_values(block, {0, n}, [&](const T* v, int64_t v_stride, int64_t first, int64_t count) {
      GemmArgs<T> args;
      args.a = dy, args.lda = block.stride(of_.y);
      args.b = v, args.ldb = v_stride;
      args.c = w.dp + first, args.ldc = n;
      gemm<T>(w.lone, {block.rows, count, of_.value_size, false, true}, args);
    });
    for (int64_t r = 0; r < block.rows; ++r) {
      T *p = w.p + r * n, *ds = w.dp + r * n;
      row_.product(p, ds, ds, n, -row_.dot(p, ds, n, 0));
      if (dscores_)
        std::copy_n(ds, n, dscores_ + ((block.batch * of_.query_heads + block.head) * of_.queries + block.first + r) * n);
      if (scorer_.capped())
        for (int64_t j = 0; j < n; ++j) ds[j] *= 1 - (w.capped[r * n + j] / cap_) * (w.capped[r * n + j] / cap_);
    }
    if (dq_) query_gradient(block, w);
    const T* q = in_.q.as<T>().data() + block.offset(of_.q);
    if (w.dk) add_product(w.lone, block, w.dp, q, block.stride(of_.q), of_.head_size, scorer_.scale(), w.dk, dk_strides_.row);
  }

  // c[key] += scale * sum over the block's rows of left[row][key] * right[row]
  void add_product(const KernelContext& lone, const QueryBlock& block, const T* left, const T* right, int64_t right_stride,
                   int64_t size, T scale, T* c, int64_t c_stride) const {
    GemmArgs<T> args;
    args.a = left, args.lda = of_.keys;
    args.b = right, args.ldb = right_stride;
    args.c = c, args.ldc = c_stride;
    args.alpha = scale;
    args.addend = c, args.ld_addend = c_stride;
    gemm<T>(lone, {of_.keys, size, block.rows, true, false}, args);
  }

  void query_gradient(const QueryBlock& block, const Work& w) const {
    T* dq = dq_ + block.offset(of_.q);
    const int64_t stride = block.stride(of_.q);
    for (int64_t r = 0; r < block.rows; ++r) std::fill_n(dq + r * stride, of_.head_size, T{0});
    scorer_.for_keys(block, {0, of_.keys}, [&](const T* k, int64_t k_stride, int64_t first, int64_t count) {
      GemmArgs<T> args;
      args.a = w.dp + first, args.lda = of_.keys;
      args.b = k, args.ldb = k_stride;
      args.c = dq, args.ldc = stride;
      args.alpha = scorer_.scale();
      args.addend = dq, args.ld_addend = stride;
      gemm<T>(w.lone, {block.rows, of_.head_size, count, false, false}, args);
    });
  }

  void probabilities(const QueryBlock& block, const Work& w) const {
    const int64_t n = of_.keys;
    scorer_.raw(w.lone, block, {0, n}, w.p, n);
    for (int64_t r = 0; r < block.rows; ++r) {
      T* p = w.p + r * n;
      if (scorer_.capped()) {
        scorer_.cap(p, n);
        std::copy_n(p, n, w.capped + r * n);
      }
      const KeyRange seen = scorer_.visible(block, r);
      scorer_.add_mask(block, r, seen.first, seen.end - seen.first, p + seen.first);
      std::fill(p, p + seen.first, T{0});
      std::fill(p + seen.end, p + n, T{0});
      const int64_t count = seen.end - seen.first;
      const T peak = row_.max(p + seen.first, count);
      if (peak == AttentionScorer<T>::kHidden) {
        std::fill_n(p, n, T{0});
        continue;
      }
      const T sum = row_.exp(p + seen.first, p + seen.first, count, peak);
      row_.affine(p + seen.first, p + seen.first, count, 1 / sum, 0);
    }
  }

  const AttentionInputs& in_;
  const AttentionGeometry& of_;
  AttentionScorer<T> scorer_;
  const simd::RowOps<T>& row_;
  Scratch<T> scratch_;
  T cap_;
  const T* dy_;
  T *dq_, *dk_, *dv_, *dscores_;
  HeadStrides dk_strides_, dv_strides_;
};

}  // namespace

size_t attention_grad_workspace(DType dtype, const AttentionGeometry& of, int threads) {
  return visit_float(dtype, [&]<class T>() { return static_cast<size_t>(Scratch<T>(of).bytes) * static_cast<size_t>(threads); });
}

void attention_grad(const KernelContext& context, const AttentionOptions& options, const AttentionInputs& in, ConstTensorView dy,
                    const AttentionGrads& out) {
  const AttentionGeometry of = attention_geometry(options, in.q.shape, in.k.shape, in.v.shape, in.past_k.shape, in.past_v.shape);
  visit_float(in.q.dtype, [&]<class T>() { AttentionBackward<T>(options, in, dy, out, of).run(context); });
}

}  // namespace tandem::cpu
