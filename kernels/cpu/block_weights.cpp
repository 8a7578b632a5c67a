#include "kernels/api/block_weights.h"

#include <omp.h>

#include <algorithm>

#include "kernels/api/gemm.h"
#include "kernels/base/checked.h"
#include "kernels/cpu/simd/block_dots.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kColumns = 64, kAlignment = 64;
constexpr int64_t kFewRows = 8;            // that are multiplied with the weights as they are
constexpr int64_t kParallelWeights = 1 << 18;  // of fewer, a second thread costs more than it brings

// Number i of those packed from `bytes` on.
float packed_number(const std::byte* bytes, int64_t i, int64_t bits) {
  const int64_t per_byte = 8 / bits;
  const auto byte = static_cast<unsigned>(bytes[i / per_byte]);
  return static_cast<float>((byte >> (i % per_byte * bits)) & ((1U << bits) - 1));
}

template <int64_t kBits>
void restore_numbers(const std::byte* bytes, int64_t n, float* out) {
  constexpr int64_t kPerByte = 8 / kBits;
  const auto number = [&](int64_t byte, int64_t place) {
    return static_cast<float>((static_cast<unsigned>(bytes[byte]) >> (place * kBits)) & ((1U << kBits) - 1));
  };
  for (int64_t i = 0; i < n / kPerByte; ++i)
    for (int64_t place = 0; place < kPerByte; ++place) out[i * kPerByte + place] = number(i, place);
  for (int64_t i = n / kPerByte * kPerByte; i < n; ++i) out[i] = number(i / kPerByte, i % kPerByte);
}

// The zero points of a column.
void restore_zeros(const BlockWeights& w, int64_t column, float* out) {
  const int64_t blocks = w.blocks();
  if (!w.zero) return static_cast<void>(std::fill_n(out, blocks, static_cast<float>(1 << (w.bits - 1))));
  if (w.zero.dtype == DType::kF32) return static_cast<void>(std::copy_n(w.zero.as<float>().data() + column * blocks, blocks, out));
  const std::byte* bytes = w.zero.data + column * ceil_div(blocks * w.bits, 8);
  if (w.bits == 2) restore_numbers<2>(bytes, blocks, out);
  else if (w.bits == 4) restore_numbers<4>(bytes, blocks, out);
  else restore_numbers<8>(bytes, blocks, out);
}

float zero_of(const BlockWeights& w, int64_t column, int64_t block) {
  if (!w.zero) return static_cast<float>(1 << (w.bits - 1));
  if (w.zero.dtype == DType::kF32) return w.zero.as<float>()[static_cast<size_t>(column * w.blocks() + block)];
  return packed_number(w.zero.data + column * ceil_div(w.blocks() * w.bits, 8), block, w.bits);
}

void restore_column(const BlockWeights& w, int64_t column, float* out) {
  const int64_t block_bytes = w.block_size * w.bits / 8;
  for (int64_t block = 0; block < w.blocks(); ++block) {
    const std::byte* bytes = w.q.data + (column * w.blocks() + block) * block_bytes;
    const float zero = zero_of(w, column, block), scale = w.scale.as<float>()[static_cast<size_t>(column * w.blocks() + block)];
    const int64_t first = block * w.block_size, count = std::min(w.block_size, w.k - first);
    for (int64_t i = 0; i < count; ++i) out[first + i] = (packed_number(bytes, i, w.bits) - zero) * scale;
  }
}

int64_t panel_bytes(const BlockWeights& w) { return round_up(kColumns * w.k * 4, kAlignment); }
int64_t thread_bytes(const BlockWeights& w, int64_t m) {
  return panel_bytes(w) +
         round_up(static_cast<int64_t>(gemm_workspace_bytes<float>({m, kColumns, w.k, false, true}, 1)), kAlignment);
}

// Of the columns that are multiplied at once.
int64_t zero_bytes(const BlockWeights& w) { return round_up(simd::BlockDotOps::kColumns * w.blocks() * 4, kAlignment); }
int64_t words_of(const BlockWeights& w) { return w.blocks() * w.block_size * w.bits / 32; }

// The rows, spread, and zero points for each thread.
int64_t few_rows_bytes(const BlockWeights& w, int64_t m, int threads) {
  const int64_t spread = m * simd::block_dot_ops(w.bits).spread_elements(words_of(w), w.bits);
  return round_up(spread * 4, kAlignment) + threads * zero_bytes(w);
}

// Few rows are bound by reading the weights: these are multiplied as they are.
class FewRows {
 public:
  FewRows(const KernelContext& context, const float* a, const BlockWeights& w, ConstTensorView bias, int64_t m, float* y)
      : ops_(simd::block_dot_ops(w.bits)), context_(context), w_(w), bias_(bias), m_(m), words_(words_of(w)), row_(ops_.spread_elements(words_, w.bits)), y_(y) {
    spread_ = reinterpret_cast<float*>(context.workspace.data());
    zeros_ = context.workspace.data() + round_up(m * row_ * 4, kAlignment);
    for (int64_t r = 0; r < m; ++r) ops_.spread(a + r * w.k, w.k, words_, w.bits, spread_ + r * row_);
  }

  void run() const {
    constexpr int64_t kTask = simd::BlockDotOps::kColumns;
#pragma omp parallel for num_threads(context_.threads) schedule(static) if (w_.n * w_.k >= kParallelWeights)
    for (int64_t column = 0; column < w_.n; column += kTask) multiply(column, std::min(kTask, w_.n - column));
  }

 private:
  void multiply(int64_t first, int64_t columns) const {
    using Ops = simd::BlockDotOps;
    const int64_t blocks = w_.blocks();
    simd::BlockColumn column{.words = w_.q.data + first * words_ * 4, .count = words_, .scale = w_.scale.as<float>().data() + first * blocks,
                             .bits = w_.bits, .block_words = w_.block_size * w_.bits / 32};
    if (w_.zero) {
      auto* zeros = reinterpret_cast<float*>(zeros_ + omp_get_thread_num() * zero_bytes(w_));
      for (int64_t c = 0; c < columns; ++c) restore_zeros(w_, first + c, zeros + c * blocks);
      column.zero = zeros;
    }
    for (int64_t r = 0; r < m_; r += Ops::kRows) {
      const int64_t rows = std::min(Ops::kRows, m_ - r);
      float sums[Ops::kRows * Ops::kColumns];
      ops_.dot(column, columns, spread_ + r * row_, rows, sums);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t c = 0; c < columns; ++c)
          y_[(r + i) * w_.n + first + c] = sums[i * Ops::kColumns + c] + (bias_ ? bias_.as<float>()[static_cast<size_t>(first + c)] : 0.0f);
    }
  }

  const simd::BlockDotOps& ops_;
  const KernelContext& context_;
  const BlockWeights& w_;
  ConstTensorView bias_;
  int64_t m_, words_, row_;
  float *spread_, *y_;
  std::byte* zeros_;
};

}  // namespace

size_t block_matmul_workspace_bytes(const BlockWeights& w, int64_t m, int threads) {
  const int64_t few = few_rows_bytes(w, std::min(m, kFewRows), threads);
  return static_cast<size_t>(m <= kFewRows ? few : std::max(few, threads * thread_bytes(w, m)));
}

void block_matmul(const KernelContext& context, ConstTensorView a, const BlockWeights& w, ConstTensorView bias, TensorView y) {
  if (y.elements() == 0) return;
  const int64_t m = y.elements() / w.n, bytes = thread_bytes(w, m), tasks = ceil_div(w.n, kColumns);
  ensure(context.workspace.size() >= block_matmul_workspace_bytes(w, m, context.threads),
         "the workspace of a product is too small", context.workspace.size());
  if (m <= kFewRows) return FewRows(context, a.as<float>().data(), w, bias, m, y.as<float>().data()).run();
#pragma omp parallel for num_threads(context.threads) schedule(static) if (tasks > 1)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t first = task * kColumns, columns = std::min(kColumns, w.n - first);
    std::byte* scratch = context.workspace.data() + omp_get_thread_num() * bytes;
    auto* panel = reinterpret_cast<float*>(scratch);
    for (int64_t c = 0; c < columns; ++c) restore_column(w, first + c, panel + c * w.k);
    KernelContext own = context;
    own.threads = 1;
    own.workspace = {scratch + panel_bytes(w), static_cast<size_t>(bytes - panel_bytes(w))};
    GemmArgs<float> args;
    args.a = a.as<float>().data(), args.lda = w.k;
    args.b = panel, args.ldb = w.k;
    args.c = y.as<float>().data() + first, args.ldc = w.n;
    if (bias) args.bias = bias.as<float>().data() + first;
    gemm<float>(own, {m, columns, w.k, false, true}, args);
  }
}

}  // namespace tandem::cpu
