#include "kernels/cpu/gemm/activation.h"

#include "kernels/cpu/simd/elementwise_f32.h"

namespace tandem::cpu {
namespace {

template <class T>
TensorView row_of(T* data, int64_t length) {
  return {reinterpret_cast<std::byte*>(data), dtype_of<T>, {length}};
}

}  // namespace

template <class T>
void activate(const Activation& activation, T* c, int64_t ldc, int64_t rows, int64_t cols) {
  if (!activation) return;
  if (ldc == cols) cols *= rows, rows = 1;
  for (int64_t i = 0; i < rows; ++i) {
    T* row = c + i * ldc;
    if constexpr (std::is_same_v<T, float>) {
      simd::unary(activation.function, row, row, cols, activation.parameters);
    } else {
      unary({}, activation.function, row_of(row, cols), row_of(row, cols), activation.parameters);
    }
  }
}

template <class T>
void multiply_by_slope(UnaryGradOp slope, const T* saved, T* c, int64_t ldc, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i) {
    const TensorView row = row_of(c + i * ldc, cols);
    unary_backward({}, slope, {reinterpret_cast<const std::byte*>(saved + i * ldc), dtype_of<T>, {cols}}, row, row);
  }
}

template void activate<float>(const Activation&, float*, int64_t, int64_t, int64_t);
template void activate<double>(const Activation&, double*, int64_t, int64_t, int64_t);
template void multiply_by_slope<float>(UnaryGradOp, const float*, float*, int64_t, int64_t, int64_t);
template void multiply_by_slope<double>(UnaryGradOp, const double*, double*, int64_t, int64_t, int64_t);

}  // namespace tandem::cpu
