// One block a row, strided by the block: a row is read twice and written once while it stays in L2. Sums are folded in a fixed tree.
#include "kernels/api/softmax.h"

#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/reduce.cuh"

namespace tandem::cuda {
namespace {

// Where row `row` of an AxisView begins.
__device__ int64_t row_start(int64_t row, int64_t length, int64_t inner) { return row / inner * length * inner + row % inner; }

template <class T>
__device__ Compute<T> row_max(const T* x, int64_t first, int64_t length, int64_t inner) {
  Compute<T> peak = -INFINITY;
  for (int64_t i = threadIdx.x; i < length; i += kBlock) peak = Max()(widen(x[first + i * inner]), peak);
  return block_reduce<kBlock>(peak, Max());
}

template <class T>
__global__ void __launch_bounds__(kBlock) softmax_rows(const T* x, T* y, int64_t length, int64_t inner, bool log) {
  const int64_t first = row_start(blockIdx.x, length, inner);
  const Compute<T> peak = row_max(x, first, length, inner);
  Compute<T> sum = 0;
  for (int64_t i = threadIdx.x; i < length; i += kBlock) sum += exp(widen(x[first + i * inner]) - peak);
  sum = block_reduce<kBlock>(sum, Sum());
  const Compute<T> log_sum = ::log(sum);
  for (int64_t i = threadIdx.x; i < length; i += kBlock) {
    const Compute<T> shifted = widen(x[first + i * inner]) - peak;
    y[first + i * inner] = narrow<T>(log ? shifted - log_sum : exp(shifted) / sum);
  }
}

// dx = y * (dy - sum(y * dy)), or with the logarithm dx = dy - exp(y) * sum(dy).
template <class T>
__global__ void __launch_bounds__(kBlock) softmax_grad_rows(const T* y, const T* dy, T* dx, int64_t length, int64_t inner, bool log) {
  const int64_t first = row_start(blockIdx.x, length, inner);
  Compute<T> sum = 0;
  for (int64_t i = threadIdx.x; i < length; i += kBlock) {
    const int64_t at = first + i * inner;
    sum += log ? widen(dy[at]) : widen(y[at]) * widen(dy[at]);
  }
  sum = block_reduce<kBlock>(sum, Sum());
  for (int64_t i = threadIdx.x; i < length; i += kBlock) {
    const int64_t at = first + i * inner;
    const Compute<T> out = widen(y[at]), grad = widen(dy[at]);
    dx[at] = narrow<T>(log ? grad - exp(out) * sum : out * (grad - sum));
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock) hardmax_rows(const T* x, T* y, int64_t length, int64_t inner) {
  const int64_t first = row_start(blockIdx.x, length, inner);
  const Compute<T> peak = row_max(x, first, length, inner);
  int64_t at = length;  // of the first largest element
  for (int64_t i = threadIdx.x; i < length && at == length; i += kBlock)
    if (widen(x[first + i * inner]) == peak) at = i;
  at = block_reduce<kBlock>(at, [](int64_t a, int64_t b) { return a < b ? a : b; });
  for (int64_t i = threadIdx.x; i < length; i += kBlock) y[first + i * inner] = narrow<T>(i == at ? 1 : 0);
}

Grid row_grid(const AxisView& view) { return {.blocks = view.length == 0 ? 0 : view.outer * view.inner, .threads = kBlock}; }

void softmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view, bool log) {
  cuda::visit_float(x.dtype, [&]<class T>() {
    launch<softmax_rows<T>>(context, row_grid(view), x.as<T>().data(), y.as<T>().data(), view.length, view.inner, log);
  });
}

void softmax_grad(const KernelContext& context, ConstTensorView y, ConstTensorView dy, TensorView dx, const AxisView& view, bool log) {
  cuda::visit_float(y.dtype, [&]<class T>() {
    launch<softmax_grad_rows<T>>(context, row_grid(view), y.as<T>().data(), dy.as<T>().data(), dx.as<T>().data(), view.length,
                                 view.inner, log);
  });
}

}  // namespace

void softmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view) { softmax(context, x, y, view, false); }
void log_softmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view) {
  softmax(context, x, y, view, true);
}

void softmax_grad(const KernelContext& context, ConstTensorView y, ConstTensorView dy, TensorView dx, const AxisView& view) {
  softmax_grad(context, y, dy, dx, view, false);
}
void log_softmax_grad(const KernelContext& context, ConstTensorView y, ConstTensorView dy, TensorView dx, const AxisView& view) {
  softmax_grad(context, y, dy, dx, view, true);
}

void hardmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view) {
  cuda::visit_float(x.dtype, [&]<class T>() {
    launch<hardmax_rows<T>>(context, row_grid(view), x.as<T>().data(), y.as<T>().data(), view.length, view.inner);
  });
}

}  // namespace tandem::cuda
