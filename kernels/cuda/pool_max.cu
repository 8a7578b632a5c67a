// Max pooling, a thread an output pixel: x is read once from memory (overlapping windows meet in L1), y and the indices written
// once.
//
// The gradient is gathered: a thread an input pixel finds the first maximum of every window that covers it again and adds dy, in
// scan order, where that is itself. Nothing is added by two threads. A window that covers its plane is a reduction, a block a
// plane.
#include <limits>
#include <type_traits>

#include "kernels/api/pool.h"
#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/reduce.cuh"
#include "kernels/cuda/device/taps.cuh"

namespace tandem::cuda {
namespace {

// What an empty window gives, and nothing is below.
template <class T>
__device__ constexpr T lowest() {
  return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
}

// A value and the pixel of its plane it was found at; -1: none.
template <class T>
struct Best {
  T value = lowest<T>();
  int at = -1;

  // Scan order: a later value wins if it is larger, or the first NaN.
  __device__ void meet(T challenger, int where) {
    const bool stays = at >= 0 && (value >= challenger || value != value);
    if (stays) return;
    value = challenger;
    at = where;
  }
};

template <class T>
__device__ Best<Compute<T>> find_best(const DeviceWindow& w, const T* plane, Pixel output) {
  Best<Compute<T>> best;
  for_each_tap(w, output, [&](int at) { best.meet(widen(plane[at]), at); });
  return best;
}

// The position of a pixel in all of x; with the spatial axes of a plane flattened first axis fastest.
__device__ int64_t position(const DeviceWindow& w, int64_t plane, int at, bool by_column) {
  if (at < 0) return -1;
  if (!by_column) return plane * w.input_size + at;
  int64_t depth = at;
  const int64_t column = w.by_input_column.divide(depth), line = w.by_input_line.divide(depth);
  return plane * w.input_size + (column * w.line.input + line) * w.depth.input + depth;
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    max_pool_windows(const T* x, T* y, int64_t* indices, DeviceWindow w, int64_t outputs, bool by_column) {
  for (int64_t i = first_index(); i < outputs; i += index_stride()) {
    int64_t plane = i;
    const Pixel output = w.output_pixel(plane);
    const Best<Compute<T>> best = find_best(w, x + plane * w.input_size, output);
    y[i] = narrow<T>(best.value);
    if (indices) indices[i] = position(w, plane, best.at, by_column);
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock, 4)
    max_pool_grad_pixels(const T* x, const T* dy, T* dx, DeviceWindow w, int64_t inputs) {
  for (int64_t i = first_index(); i < inputs; i += index_stride()) {
    int64_t plane = i;
    const Pixel input = w.input_pixel(plane);
    const int at = static_cast<int>(i - plane * w.input_size);
    const T* grads = dy + plane * w.output_size;
    Compute<T> sum = 0;
    for_each_window(w, input, [&](Pixel o) {
      if (find_best(w, x + plane * w.input_size, o).at == at) sum += widen(grads[w.output_index(o)]);
    });
    dx[i] = narrow<T>(sum);
  }
}

// The first maximum of a plane; every thread of the block gets it.
template <class T>
__device__ Best<Compute<T>> best_of_plane(const T* plane, int size) {
  Best<Compute<T>> best;
  for (int at = threadIdx.x; at < size; at += kBlock) best.meet(widen(plane[at]), at);
  using Wide = std::conditional_t<sizeof(Compute<T>) < 4, int, Compute<T>>;  // shuffles move 4 or 8 bytes
  const Compute<T> peak = static_cast<Compute<T>>(block_reduce<kBlock>(static_cast<Wide>(best.value), Max()));
  const bool has = best.at >= 0 && (best.value == peak || (best.value != best.value && peak != peak));
  best.at = block_reduce<kBlock>(has ? best.at : size, [](int a, int b) { return a < b ? a : b; });
  best.value = peak;
  return best;
}

template <class T>
__global__ void __launch_bounds__(kBlock) max_pool_planes(const T* x, T* y, int64_t* indices, DeviceWindow w, bool by_column) {
  const int64_t plane = blockIdx.x;
  const Best<Compute<T>> best = best_of_plane(x + plane * w.input_size, static_cast<int>(w.input_size));
  if (threadIdx.x != 0) return;
  y[plane] = narrow<T>(best.value);
  if (indices) indices[plane] = position(w, plane, best.at, by_column);
}

template <class T>
__global__ void __launch_bounds__(kBlock) max_pool_grad_planes(const T* x, const T* dy, T* dx, int size) {
  const int64_t plane = blockIdx.x;
  const Best<Compute<T>> best = best_of_plane(x + plane * size, size);
  for (int at = threadIdx.x; at < size; at += kBlock) dx[plane * size + at] = at == best.at ? dy[plane] : narrow<T>(0);
}

// Whether one window sees every pixel of its plane, and the plane is worth a block.
bool covers_plane(const Window& w) {
  constexpr Window::Sizes kOne{1, 1, 1}, kZero{0, 0, 0};
  return w.output == kOne && w.kernel == w.input && w.dilation == kOne && w.pad_begin == kZero && w.input_size() >= 64;
}

}  // namespace

void max_pool(const KernelContext& context, const Window& window, ConstTensorView x, TensorView y, TensorView indices,
              bool by_column) {
  check_pool(window, x.shape, y.shape);
  const DeviceWindow w(window);
  int64_t* positions = indices ? indices.as<int64_t>().data() : nullptr;
  const int64_t outputs = y.elements();
  cuda::visit_number(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    if (covers_plane(window))
      launch<max_pool_planes<T>>(context, {.blocks = outputs, .threads = kBlock}, in, out, positions, w, by_column);
    else
      launch<max_pool_windows<T>>(context, grid_for(outputs), in, out, positions, w, outputs, by_column);
  });
}

void max_pool_grad(const KernelContext& context, const Window& window, ConstTensorView x, ConstTensorView dy, TensorView dx) {
  check_pool(window, x.shape, dy.shape);
  check_pool(window, dx.shape, dy.shape);
  const DeviceWindow w(window);
  const int64_t inputs = x.elements();
  cuda::visit_float(x.dtype, [&]<class T>() {
    const T *in = x.as<T>().data(), *grads = dy.as<T>().data();
    T* out = dx.as<T>().data();
    if (covers_plane(window))
      launch<max_pool_grad_planes<T>>(context, {.blocks = dy.elements(), .threads = kBlock}, in, grads, out,
                                      static_cast<int>(w.input_size));
    else
      launch<max_pool_grad_pixels<T>>(context, grid_for(inputs), in, grads, out, w, inputs);
  });
}

}  // namespace tandem::cuda
