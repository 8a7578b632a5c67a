// A team of threads a row: part of a warp up to a block where rows are contiguous, neighbouring rows together where they are not.
// A row is read three times and written once while it stays in the cache. Sums are folded in a fixed tree.
#include "kernels/api/softmax.h"

#include <cmath>

#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/team.cuh"

namespace tandem::cuda {
namespace {

template <class T>
__device__ Compute<T> row_max(const AxisRows& rows, const T* x) {
  const int64_t first = rows.first(), extent = rows.extent();
  Compute<T> peak = -INFINITY;
  for (int64_t i = rows.team.lane(); i < extent; i += rows.team.lanes) peak = Max()(widen(x[first + i * rows.inner]), peak);
  return rows.team.reduce(peak, Max());
}

template <class T>
__global__ void __launch_bounds__(kBlock) softmax_rows(AxisRows rows, const T* x, T* y, bool log) {
  const int64_t first = rows.first(), extent = rows.extent();
  const Compute<T> peak = row_max(rows, x);
  Compute<T> sum = 0;
  for (int64_t i = rows.team.lane(); i < extent; i += rows.team.lanes) sum += std::exp(widen(x[first + i * rows.inner]) - peak);
  sum = rows.team.reduce(sum, Sum());
  const Compute<T> finish = log ? std::log(sum) : 1 / sum;
  for (int64_t i = rows.team.lane(); i < extent; i += rows.team.lanes) {
    const int64_t at = first + i * rows.inner;
    const Compute<T> shifted = widen(x[at]) - peak;
    y[at] = narrow<T>(log ? shifted - finish : std::exp(shifted) * finish);
  }
}

// dx = y * (dy - sum(y * dy)), or with the logarithm dx = dy - exp(y) * sum(dy).
template <class T>
__global__ void __launch_bounds__(kBlock) softmax_grad_rows(AxisRows rows, const T* y, const T* dy, T* dx, bool log) {
  const int64_t first = rows.first(), extent = rows.extent();
  Compute<T> sum = 0;
  for (int64_t i = rows.team.lane(); i < extent; i += rows.team.lanes) {
    const int64_t at = first + i * rows.inner;
    sum += log ? widen(dy[at]) : widen(y[at]) * widen(dy[at]);
  }
  sum = rows.team.reduce(sum, Sum());
#pragma unroll(sizeof(T) < 8 ? 4 : 1)
  for (int64_t i = rows.team.lane(); i < extent; i += rows.team.lanes) {
    const int64_t at = first + i * rows.inner;
    const Compute<T> out = widen(y[at]), grad = widen(dy[at]);
    dx[at] = narrow<T>(log ? grad - std::exp(out) * sum : out * (grad - sum));
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock) hardmax_rows(AxisRows rows, const T* x, T* y) {
  const int64_t first = rows.first(), extent = rows.extent();
  const Compute<T> peak = row_max(rows, x);
  int64_t largest = rows.length;  // where the first largest element is
  for (int64_t i = rows.team.lane(); i < extent && largest == rows.length; i += rows.team.lanes)
    if (widen(x[first + i * rows.inner]) == peak) largest = i;
  largest = rows.team.reduce(largest, [](int64_t a, int64_t b) { return a < b ? a : b; });
  for (int64_t i = rows.team.lane(); i < extent; i += rows.team.lanes)
    y[first + i * rows.inner] = narrow<T>(i == largest ? 1 : 0);
}

void softmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view, bool log) {
  const AxisRows rows(view);
  cuda::visit_float(
      x.dtype, [&]<class T>() { launch<softmax_rows<T>>(context, rows.grid(), rows, x.as<T>().data(), y.as<T>().data(), log); });
}

void softmax_grad(const KernelContext& context, ConstTensorView y, ConstTensorView dy, TensorView dx, const AxisView& view,
                  bool log) {
  const AxisRows rows(view);
  cuda::visit_float(y.dtype, [&]<class T>() {
    launch<softmax_grad_rows<T>>(context, rows.grid(), rows, y.as<T>().data(), dy.as<T>().data(), dx.as<T>().data(), log);
  });
}

}  // namespace

void softmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view) {
  softmax(context, x, y, view, false);
}
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
  const AxisRows rows(view);
  cuda::visit_float(x.dtype,
                    [&]<class T>() { launch<hardmax_rows<T>>(context, rows.grid(), rows, x.as<T>().data(), y.as<T>().data()); });
}

}  // namespace tandem::cuda
