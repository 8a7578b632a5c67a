// Rows are independent: threads share rows, a row is summed by one thread in one order. A row with stride 1 is worked on in
// place; others are gathered into contiguous scratch, so that one set of SIMD primitives serves every axis.
#include "kernels/api/softmax.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/simd/row.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kElementsPerThread = 8 * 1024;  // below this a second thread costs more than it brings
constexpr int kScratchRows = 2;                   // the most rows an operation gathers
constexpr int64_t kShortRow = 8, kTogether = 64;  // rows of a class or few: so many of them are worked on together

size_t scratch_row_bytes(DType dtype, const AxisView& view) {
  return static_cast<size_t>(round_up(checked_mul(view.length, static_cast<int64_t>(size_of(dtype)), "softmax row"), 64));
}

// Runs body(a, b, out) on each row; `b` may be null.
template <class T, class Body>
void for_each_row(const KernelContext& context, const AxisView& view, const T* a, const T* b, T* out, Body body) {
  const int64_t rows = view.outer * view.inner, n = view.length, stride = view.inner;
  const int64_t scratch_row = static_cast<int64_t>(scratch_row_bytes(dtype_of<T>, view) / sizeof(T));
#pragma omp parallel for num_threads(context.threads) if (rows * n >= kElementsPerThread * context.threads)
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t first = r / stride * n * stride + r % stride;
    if (stride == 1) {
      body(a + first, b ? b + first : nullptr, out + first);
      continue;
    }
    T* row_a = reinterpret_cast<T*>(context.workspace.data()) + omp_get_thread_num() * kScratchRows * scratch_row;
    T* row_b = row_a + scratch_row;
    for (int64_t i = 0; i < n; ++i) row_a[i] = a[first + i * stride];
    if (b != nullptr)
      for (int64_t i = 0; i < n; ++i) row_b[i] = b[first + i * stride];
    body(row_a, row_b, row_a);
    for (int64_t i = 0; i < n; ++i) out[first + i * stride] = row_a[i];
  }
}

// Rows of few elements that lie one behind the other: most of a vector would be empty, were each exponentiated alone.
template <class T>
void softmax_short_rows(const KernelContext& context, const T* in, T* out, int64_t rows, int64_t n) {
  const auto& row = simd::row_ops<T>();
#pragma omp parallel for num_threads(context.threads) if (rows * n >= kElementsPerThread * context.threads)
  for (int64_t first = 0; first < rows; first += kTogether) {
    const int64_t begin = first * n, end = std::min(rows, first + kTogether) * n;
    for (int64_t i = begin; i < end; i += n) {
      const T peak = *std::max_element(in + i, in + i + n);
      for (int64_t j = 0; j < n; ++j) out[i + j] = in[i + j] - peak;
    }
    row.exp(out + begin, out + begin, end - begin, 0);
    for (int64_t i = begin; i < end; i += n) {
      T sum = 0;
      for (int64_t j = 0; j < n; ++j) sum += out[i + j];
      const T inverse = 1 / sum;
      for (int64_t j = 0; j < n; ++j) out[i + j] *= inverse;
    }
  }
}

}  // namespace

size_t softmax_workspace(DType dtype, const AxisView& view, int threads) {
  return view.inner == 1 ? 0 : static_cast<size_t>(threads) * kScratchRows * scratch_row_bytes(dtype, view);
}

void softmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view) {
  visit_float(x.dtype, [&]<class T>() {
    if (view.inner == 1 && view.length > 0 && view.length <= kShortRow)
      return softmax_short_rows<T>(context, x.as<T>().data(), y.as<T>().data(), view.outer, view.length);
    const auto& row = simd::row_ops<T>();
    for_each_row<T>(context, view, x.as<T>().data(), nullptr, y.as<T>().data(), [&](const T* in, const T*, T* out) {
      const T sum = row.exp(in, out, view.length, row.max(in, view.length));
      row.affine(out, out, view.length, 1 / sum, 0);
    });
  });
}

void log_softmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view) {
  visit_float(x.dtype, [&]<class T>() {
    const auto& row = simd::row_ops<T>();
    for_each_row<T>(context, view, x.as<T>().data(), nullptr, y.as<T>().data(), [&](const T* in, const T*, T* out) {
      const T peak = row.max(in, view.length);
      const T log_sum = std::log(row.sum_exp(in, view.length, peak));
      row.affine(in, out, view.length, 1, -peak);
      row.affine(out, out, view.length, 1, -log_sum);
    });
  });
}

void softmax_grad(const KernelContext& context, ConstTensorView y, ConstTensorView dy, TensorView dx, const AxisView& view) {
  visit_float(y.dtype, [&]<class T>() {
    const auto& row = simd::row_ops<T>();
    for_each_row<T>(
        context, view, y.as<T>().data(), dy.as<T>().data(), dx.as<T>().data(),
        [&](const T* ys, const T* dys, T* out) { row.product(ys, dys, out, view.length, -row.dot(ys, dys, view.length, 0)); });
  });
}

void log_softmax_grad(const KernelContext& context, ConstTensorView y, ConstTensorView dy, TensorView dx, const AxisView& view) {
  visit_float(y.dtype, [&]<class T>() {
    const auto& row = simd::row_ops<T>();
    for_each_row<T>(
        context, view, y.as<T>().data(), dy.as<T>().data(), dx.as<T>().data(),
        [&](const T* ys, const T* dys, T* out) { row.minus_scaled_exp(dys, ys, out, view.length, row.sum(dys, view.length)); });
  });
}

void hardmax(const KernelContext& context, ConstTensorView x, TensorView y, const AxisView& view) {
  visit_float(x.dtype, [&]<class T>() {
    for_each_row<T>(context, view, x.as<T>().data(), nullptr, y.as<T>().data(), [&](const T* in, const T*, T* out) {
      const int64_t peak = std::max_element(in, in + view.length) - in;
      std::fill_n(out, view.length, T{0});
      if (view.length > 0) out[peak] = 1;
    });
  });
}

}  // namespace tandem::cpu
