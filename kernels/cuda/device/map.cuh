// y[i] = f(x[i], ...): one function of one element of each operand, the engine of all elementwise kernels.
//
// Every operand is read once and the output written once, 16 bytes of the widest type at a time wherever rows and pointers are
// aligned; the last elements, or all where they are not, go one by one. f gets 16-bit floats as f32 and what it returns is
// rounded. The output may be the memory of an operand of its shape and element size: a thread reads before it writes.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/cuda/device/broadcast.cuh"
#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/vector.cuh"

namespace tandem::cuda {

// Elements a thread takes at a time. A warp's access to 8-byte elements is wide enough already.
template <class... T>
inline constexpr int kMapWidth = std::max({sizeof(T)...}) == 8 ? 1 : 16 / static_cast<int>(std::max({sizeof(T)...}));

// kWidth elements from `from` on; or its first one as many times.
template <int kWidth, class T>
__device__ inline Vector<T, kWidth> load_row(const T* from, bool steps) {
  if (steps) return load_vector<kWidth>(from);
  Vector<T, kWidth> same;
  const T value = *from;
#pragma unroll
  for (int j = 0; j < kWidth; ++j) same.at[j] = value;
  return same;
}

template <class F, class R, int kWidth, class... T>
__device__ inline Vector<R, kWidth> map_vectors(F f, const Vector<T, kWidth>&... x) {
  Vector<R, kWidth> y;
#pragma unroll
  for (int j = 0; j < kWidth; ++j) y.at[j] = narrow<R>(f(widen(x.at[j])...));
  return y;
}

template <class F, class Index, class R, class... T, size_t... K>
__device__ inline void map_elements_of(std::index_sequence<K...>, const F& f, const Index& index, R* y, int64_t n,
                                       int64_t vectors, const T*... x) {
  constexpr int kWidth = kMapWidth<R, T...>;
  int64_t at[sizeof...(T)];
  if constexpr (kWidth > 1) {
#pragma unroll 1
    for (int64_t i = first_index(); i < vectors; i += index_stride()) {
      index.locate(i * kWidth, at);
      store_vector(y + i * kWidth, map_vectors<F, R>(f, load_row<kWidth>(x + at[K], index.steps(K))...));
    }
  }
#pragma unroll 1
  for (int64_t i = vectors * kWidth + first_index(); i < n; i += index_stride()) {
    index.locate(i, at);
    y[i] = narrow<R>(f(widen(x[at[K]])...));
  }
}

// What a thread does before its first element, if f has such a thing: reading a bound, say.
template <class F>
__device__ inline auto ready(const F& f) {
  if constexpr (requires { f.ready(); })
    return f.ready();
  else
    return f;
}

// `vectors`: how many whole vectors begin the output; the other elements of the n come one by one.
template <class F, class Index, class R, class... T>
__global__ void __launch_bounds__(kBlock) map_elements(F f, Index index, R* y, int64_t n, int64_t vectors, const T*... x) {
  map_elements_of(std::index_sequence_for<T...>(), ready(f), index, y, n, vectors, x...);
}

template <class F, class Index, class R, class... T>
void launch_map(const KernelContext& context, F f, const Index& index, R* y, int64_t n, bool aligned, const T*... x) {
  constexpr int kWidth = kMapWidth<R, T...>;
  const int64_t vectors = aligned && kWidth > 1 ? n / kWidth : 0;
  launch<map_elements<F, Index, R, T...>>(context, grid_for(std::max(vectors, n - vectors * kWidth)), f, index, y, n, vectors,
                                          x...);
}

// y and all x hold n elements.
template <class R, class F, class... T>
void map_flat(const KernelContext& context, F f, R* y, int64_t n, const T*... x) {
  constexpr int kWidth = kMapWidth<R, T...>;
  launch_map(context, f, FlatIndex<sizeof...(T)>(), y, n, is_aligned(y, kWidth) && (is_aligned(x, kWidth) && ...), x...);
}

// y has the shape that the shapes of x broadcast to. Throws Internal if it has not.
template <class R, class F, class... T>
void map_broadcast(const KernelContext& context, F f, R* y, const Shape& shape,
                   const std::array<const Shape*, sizeof...(T)>& shapes, const T*... x) {
  constexpr int kWidth = kMapWidth<R, T...>;
  const BroadcastLayout<sizeof...(T)> layout(shape, shapes);
  bool aligned = is_aligned(y, kWidth) && (layout.rank <= 1 || layout.inner_size() % kWidth == 0);
  size_t k = 0;
  ((aligned = aligned && (layout.inner_stride(k) == 0 || is_aligned(x, kWidth)), ++k), ...);
  launch_map(context, f, BroadcastIndex<static_cast<int>(sizeof...(T))>(layout), y, layout.total, aligned, x...);
}

}  // namespace tandem::cuda
