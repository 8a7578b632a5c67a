// Average pooling: a line of outputs sums its taps in scan order, then divides by the elements that count.
#include <array>

#include "kernels/cpu/pool_sums.h"

namespace tandem::cpu {
namespace {

// Taps of one axis that count for the output at `position`: within the input, or within the input and its pads.
int64_t counted_taps(const Window& w, size_t axis, int64_t position, bool with_pads) {
  int64_t first, last;
  const int64_t low = with_pads ? -w.pad_begin[axis] : 0, high = w.input[axis] + (with_pads ? w.pad_end[axis] : 0);
  inside(position * w.stride[axis] - w.pad_begin[axis], w.dilation[axis], low, high, w.kernel[axis], first, last);
  return std::max<int64_t>(0, last - first);
}

template <class T>
using Line = std::array<T, kLinePart>;

// 1 / (elements that count) for each output of the part; 0 where none does.
template <class T>
void fill_scales(const Window& w, const LinePart& part, bool with_pads, Line<T>& scales) {
  const int64_t others = counted_taps(w, 0, part.depth, with_pads) * counted_taps(w, 1, part.line, with_pads);
  for (int64_t i = 0; i < part.count; ++i) {
    const int64_t count = others * counted_taps(w, 2, part.column + i, with_pads);
    scales[static_cast<size_t>(i)] = count > 0 ? T(1) / static_cast<T>(count) : T(0);
  }
}

constexpr int64_t kLanes = 16;

// Sixteen interleaved sums, added at the end: short chains of rounding, and vectors for the compiler.
template <class T>
T sum_of(const T* x, int64_t n) {
  std::array<T, kLanes> sums{};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t j = 0; j < kLanes; ++j) sums[static_cast<size_t>(j)] += x[i + j];
  for (; i < n; ++i) sums[static_cast<size_t>(i % kLanes)] += x[i];
  T total = 0;
  for (T sum : sums) total += sum;
  return total;
}

template <class F>
void for_each_channel(const KernelContext& context, const Shape& x, F&& f) {
  const int64_t planes = x[0] * x[1], size = x.product(2, x.rank());
#pragma omp parallel for num_threads(context.threads) schedule(static) if (context.threads > 1 && planes * size > 64 * 1024)
  for (int64_t plane = 0; plane < planes; ++plane) f(plane, size);
}

}  // namespace

void average_pool(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y, bool count_include_pad) {
  check_pool(w, x.shape, y.shape);
  visit_float(x.dtype, [&]<class T>() {
    sum_pool<T>(
        context, w, x, y, [](T v) { return v; },
        [&](const LinePart& part, T* line) {
          Line<T> scales;
          fill_scales(w, part, count_include_pad, scales);
          for (int64_t i = 0; i < part.count; ++i) line[i] *= scales[static_cast<size_t>(i)];
        });
  });
}

void average_pool_grad(const KernelContext& context, const Window& w, ConstTensorView dy, TensorView dx, bool count_include_pad) {
  check_pool(w, dx.shape, dy.shape);
  visit_float(dy.dtype, [&]<class T>() {
    const T* grads = dy.as<T>().data();
    T* out = dx.as<T>().data();
    for_each_plane(context, w, dx.shape, [&](int64_t plane) {
      T* target = out + plane * w.input_size();
      std::fill_n(target, w.input_size(), T(0));
      Line<T> shares;
      for_each_part(w, [&](const LinePart& part) {
        fill_scales(w, part, count_include_pad, shares);
        const T* line = grads + plane * w.output_size() + part.first(w);
        for (int64_t i = 0; i < part.count; ++i) shares[static_cast<size_t>(i)] *= line[i];
        for_each_tap_of(w, part, [&](int64_t first, int64_t last, int64_t at) {
          for (int64_t i = first; i < last; ++i, at += w.stride[2]) target[at] += shares[static_cast<size_t>(i)];
        });
      });
    });
  });
}

void global_average_pool(const KernelContext& context, ConstTensorView x, TensorView y) {
  check_global_pool(x.shape, y.shape);
  visit_float(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    for_each_channel(context, x.shape, [&](int64_t plane, int64_t size) {
      out[plane] = sum_of(in + plane * size, size) / static_cast<T>(size);
    });
  });
}

void global_average_pool_grad(const KernelContext& context, ConstTensorView dy, TensorView dx) {
  check_global_pool(dx.shape, dy.shape);
  visit_float(dy.dtype, [&]<class T>() {
    const T* grads = dy.as<T>().data();
    T* out = dx.as<T>().data();
    for_each_channel(context, dx.shape, [&](int64_t plane, int64_t size) {
      std::fill_n(out + plane * size, size, grads[plane] / static_cast<T>(size));
    });
  });
}

}  // namespace tandem::cpu
