// One thread a row: widened into the workspace, normalized there, rounded into its place.
#include <omp.h>

#include <cmath>

#include "kernels/api/bf16_rows.h"
#include "kernels/base/checked.h"
#include "kernels/cpu/bf16/block.h"
#include "kernels/cpu/simd/row.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kElementsPerThread = 16 * 1024;  // below this a second thread costs more than it brings
int64_t padded(int64_t length) { return round_up(length, 16); }

}  // namespace

size_t bf16_row_norm_workspace(int64_t length, int threads) {
  return static_cast<size_t>(padded(length)) * sizeof(float) * static_cast<size_t>(threads);
}

void bf16_row_norm(const KernelContext& context, const Bf16RowNorm& v, int64_t rows, int64_t length, double epsilon) {
  ensure(context.workspace.size() >= bf16_row_norm_workspace(length, context.threads),
         "the workspace of a normalization is too small", context.workspace.size());
  const Bf16Kernel& kernel = bf16_kernel(chosen_isa());
  const simd::RowOps<float>& ops = simd::row_ops<float>();
  const float *scale = v.scale.as<float>().data(), *bias = v.bias ? v.bias.as<float>().data() : nullptr;
  const bool wide_x = v.x.dtype == DType::kF32, wide_y = v.y.dtype == DType::kF32;
  const float* x = wide_x ? v.x.as<float>().data() : nullptr;
  float* y = wide_y ? v.y.as<float>().data() : nullptr;
  const BF16* short_x = wide_x ? nullptr : v.x.as<BF16>().data();
  BF16* short_y = wide_y ? nullptr : v.y.as<BF16>().data();
  const double n = static_cast<double>(length);
#pragma omp parallel for num_threads(context.threads) if (rows * length >= kElementsPerThread * context.threads)
  for (int64_t r = 0; r < rows; ++r) {
    float* row = reinterpret_cast<float*>(context.workspace.data()) + omp_get_thread_num() * padded(length);
    const float* from = row;
    if (wide_x)
      from = x + r * length;
    else
      kernel.widen(short_x + r * length, row, length);
    const float mean = v.about_zero ? 0 : static_cast<float>(static_cast<double>(ops.sum(from, length)) / n);
    const double variance = static_cast<double>(ops.squared_deviation(from, length, mean)) / n;
    const float inverse = static_cast<float>(1 / std::sqrt(variance + epsilon));
    float* to = wide_y ? y + r * length : row;
    ops.affine(from, to, length, 1, -mean);
    ops.affine(to, to, length, inverse, 0);
    if (bias)
      ops.multiply_add(to, scale, bias, to, length);
    else
      ops.product(to, scale, to, length, 0);
    if (!wide_y) kernel.narrow(to, short_y + r * length, length);
  }
}

}  // namespace tandem::cpu
