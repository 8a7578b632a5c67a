// Products by panels that are packed already.
#include "kernels/api/bf16_gemm.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/block.h"
#include "kernels/cpu/bf16/product.h"
#include "kernels/cpu/gemm/far_weights.h"

namespace tandem::cpu {
namespace {

bool copies_rows(int64_t k, const Bf16Kernel& kernel) { return depth_of(k, kernel).bytes != 2 * k || rows_collide(k, kernel); }

const std::byte* copied_rows(const KernelContext& context, const std::byte* a, int64_t m, int64_t k, int64_t stride,
                             std::byte* to) {
  parallel_chunks(context, m, grain_of(k), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      std::memcpy(to + r * stride, a + r * 2 * k, static_cast<size_t>(2 * k));
      std::memset(to + r * stride + 2 * k, 0, static_cast<size_t>(stride - 2 * k));
    }
  });
  return to;
}

bool is_short(DType type) { return type == DType::kF32 || type == DType::kBF16; }

}  // namespace

const float* bf16_seeds(const float* bias, int64_t n, std::byte* memory) {
  if (bias && n % kPanelColumns == 0) return bias;
  auto* seeds = reinterpret_cast<float*>(memory);
  std::fill_n(seeds, panel_columns(n), 0.0f);
  if (bias) std::copy_n(bias, n, seeds);
  return seeds;
}

bool multiplies_bf16(Isa isa) { return bf16_kernel(isa).is_native; }

PackedBf16 pack_bf16(ConstTensorView b, bool transposed, Isa isa) {
  ensure(b.shape.rank() == 2, "a packed matrix has two axes", to_string(b.shape));
  PackedBf16 packed;
  packed.k_ = b.shape[transposed ? 1 : 0], packed.n_ = b.shape[transposed ? 0 : 1], packed.isa_ = isa;
  const int64_t k = packed.k_, n = packed.n_, depth = depth_of(k, bf16_kernel(isa)).bytes;
  packed.bytes_ = static_cast<size_t>(panel_columns(n) * depth);
  packed.data_ = make_zero_block(std::max<size_t>(packed.bytes_, 1));
  if (!b.data) return packed;  // room alone, for panels that were kept
  auto* to = reinterpret_cast<BF16*>(packed.data_.get());
  const float* from = b.as<float>().data();
  const int64_t k_stride = transposed ? 1 : n, n_stride = transposed ? k : 1;
  for (int64_t first = 0; first < n; first += kPanelColumns) {
    BF16* panel = to + first * depth / 2;
    for (int64_t p = 0; p < k; ++p)
      for (int64_t c = first; c < std::min(n, first + kPanelColumns); ++c)
        panel[p / 2 * 2 * kPanelColumns + 2 * (c - first) + p % 2] = to_bf16(from[p * k_stride + c * n_stride]);
  }
  return packed;
}

size_t bf16_gemm_workspace(int64_t m, int64_t k, int64_t n, Isa isa) {
  const Bf16Kernel& kernel = bf16_kernel(isa);
  return static_cast<size_t>(seed_bytes(n) + (copies_rows(k, kernel) ? m * copied_stride(k, kernel) : 0));
}

void bf16_gemm(const KernelContext& context, ConstTensorView a, const PackedBf16& b, TensorView c, const Bf16Epilogue& epilogue) {
  const int64_t k = b.k(), n = b.n(), rank = a.shape.rank(), m = a.shape.product(0, static_cast<int>(rank) - 1);
  ensure(rank >= 1 && a.dtype == DType::kBF16 && a.shape[static_cast<int>(rank) - 1] == k, "A does not fit a product of bf16",
         name(a.dtype), to_string(a.shape), k);
  ensure(is_short(c.dtype) && c.elements() == m * n, "C does not fit a product of bf16", name(c.dtype), to_string(c.shape));
  const ConstTensorView residual = epilogue.residual;
  ensure(!residual || (is_short(residual.dtype) && residual.elements() == m * n), "the residual does not fit a product of bf16",
         name(residual.dtype), residual ? to_string(residual.shape) : "");
  ensure(!epilogue.bias || epilogue.bias.elements() == n, "the bias does not fit a product of bf16", n);
  ensure(context.workspace.size() >= bf16_gemm_workspace(m, k, n, b.isa()), "the workspace of a product of bf16 is too small",
         context.workspace.size());
  if (m == 0 || n == 0) return;
  const Bf16Kernel& kernel = bf16_kernel(b.isa());
  KernelContext team = context;
  if (m * n * std::max<int64_t>(k, 1) < kernel.team_work()) team.threads = 1;
  Bf16Product p = {.kernel = kernel,
               .depth = depth_of(k, kernel),
               .m = m,
               .n = n,
               .a = a.data,
               .a_stride = 2 * k,
               .panels = b.data(),
               .in_order = reads_in_order(m, panel_columns(n) * depth_of(k, kernel).bytes),
               .seeds = bf16_seeds(epilogue.bias ? epilogue.bias.as<float>().data() : nullptr, n, context.workspace.data()),
               .residual = {residual ? residual.data : nullptr, residual.dtype == DType::kBF16, n},
               .c = {c.data, c.dtype == DType::kBF16, n},
               .activation = epilogue.activation};
  if (copies_rows(k, kernel)) {
    p.a_stride = copied_stride(k, kernel);
    p.a = copied_rows(team, a.data, m, k, p.a_stride, context.workspace.data() + seed_bytes(n));
  }
  multiply_blocks(team, p, [](auto...) {});
}

}  // namespace tandem::cpu
