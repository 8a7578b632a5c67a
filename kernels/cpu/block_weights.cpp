#include "kernels/api/block_weights.h"

#include <omp.h>

#include <algorithm>

#include "kernels/api/gemm.h"
#include "kernels/base/checked.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kColumns = 64, kAlignment = 64;

// Number i of those packed from `bytes` on.
float packed_number(const std::byte* bytes, int64_t i, int64_t bits) {
  const int64_t per_byte = 8 / bits;
  const auto byte = static_cast<unsigned>(bytes[i / per_byte]);
  return static_cast<float>((byte >> (i % per_byte * bits)) & ((1U << bits) - 1));
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

}  // namespace

size_t block_matmul_workspace_bytes(const BlockWeights& w, int64_t m, int threads) {
  return static_cast<size_t>(threads * thread_bytes(w, m));
}

void block_matmul(const KernelContext& context, ConstTensorView a, const BlockWeights& w, ConstTensorView bias, TensorView y) {
  if (y.elements() == 0) return;
  const int64_t m = y.elements() / w.n, bytes = thread_bytes(w, m), tasks = ceil_div(w.n, kColumns);
  ensure(context.workspace.size() >= block_matmul_workspace_bytes(w, m, context.threads),
         "the workspace of a product is too small", context.workspace.size());
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
