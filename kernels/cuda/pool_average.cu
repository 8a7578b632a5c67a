// Average pooling, a thread an output pixel, its gradient, a thread an input pixel that gathers from the windows over it, and the
// global ones, a warp or a block a plane. Each tensor is read or written once from memory; overlapping windows meet in L1.
#include "kernels/api/pool.h"
#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/reduce.cuh"
#include "kernels/cuda/device/taps.cuh"

namespace tandem::cuda {
namespace {

__device__ int counted_taps(const WindowAxis& axis, int o, bool with_pads) {
  const Range taps = axis.taps(axis.start(o), with_pads ? -axis.pad_begin : 0, axis.input + (with_pads ? axis.pad_end : 0));
  return taps.last > taps.first ? taps.last - taps.first : 0;
}

// 1 / (elements that count) for the window at `o`; 0 where none does.
template <class T>
__device__ T scale_of(const DeviceWindow& w, Pixel o, bool with_pads) {
  const int64_t count = static_cast<int64_t>(counted_taps(w.depth, o.depth, with_pads)) *
                        counted_taps(w.line, o.line, with_pads) * counted_taps(w.column, o.column, with_pads);
  return count > 0 ? T(1) / static_cast<T>(count) : T(0);
}

template <class T>
__global__ void __launch_bounds__(kBlock, 4)
    average_pool_windows(const T* x, T* y, DeviceWindow w, int64_t outputs, bool with_pads) {
  for (int64_t i = first_index(); i < outputs; i += index_stride()) {
    int64_t plane = i;
    const Pixel output = w.output_pixel(plane);
    const T* in = x + plane * w.input_size;
    Compute<T> sum = 0;
    for_each_tap(w, output, [&](int at) { sum += widen(in[at]); });
    y[i] = narrow<T>(sum * scale_of<Compute<T>>(w, output, with_pads));
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock, 4)
    average_pool_grad_pixels(const T* dy, T* dx, DeviceWindow w, int64_t inputs, bool with_pads) {
  for (int64_t i = first_index(); i < inputs; i += index_stride()) {
    int64_t plane = i;
    const Pixel input = w.input_pixel(plane);
    const T* grads = dy + plane * w.output_size;
    Compute<T> sum = 0;
    for_each_window(w, input, [&](Pixel o) { sum += widen(grads[w.output_index(o)]) * scale_of<Compute<T>>(w, o, with_pads); });
    dx[i] = narrow<T>(sum);
  }
}

// kTeam threads of a block share a plane: a warp a small one, the block a large one.
template <class T, int kTeam>
__global__ void __launch_bounds__(kBlock) average_planes(const T* x, T* y, int64_t planes, int64_t size) {
  const int64_t plane = static_cast<int64_t>(blockIdx.x) * (kBlock / kTeam) + threadIdx.x / kTeam;
  Compute<T> sum = 0;
  if (plane < planes)
    for (int64_t i = threadIdx.x % kTeam; i < size; i += kTeam) sum += widen(x[plane * size + i]);
  if constexpr (kTeam == 32)
    sum = warp_reduce(sum, Sum());
  else
    sum = block_reduce<kTeam>(sum, Sum());
  if (plane < planes && threadIdx.x % kTeam == 0) y[plane] = narrow<T>(sum / static_cast<Compute<T>>(size));
}

template <class T>
__global__ void __launch_bounds__(kBlock) average_planes_grad(const T* dy, T* dx, Divisor by_size, int64_t size, int64_t inputs) {
  for (int64_t i = first_index(); i < inputs; i += index_stride())
    dx[i] = narrow<T>(widen(dy[by_size.quotient(i)]) / static_cast<Compute<T>>(size));
}

}  // namespace

void average_pool(const KernelContext& context, const Window& window, ConstTensorView x, TensorView y, bool count_include_pad) {
  check_pool(window, x.shape, y.shape);
  cuda::visit_float(x.dtype, [&]<class T>() {
    launch<average_pool_windows<T>>(context, grid_for(y.elements()), x.as<T>().data(), y.as<T>().data(), DeviceWindow(window),
                                    y.elements(), count_include_pad);
  });
}

void average_pool_grad(const KernelContext& context, const Window& window, ConstTensorView dy, TensorView dx,
                       bool count_include_pad) {
  check_pool(window, dx.shape, dy.shape);
  cuda::visit_float(dy.dtype, [&]<class T>() {
    launch<average_pool_grad_pixels<T>>(context, grid_for(dx.elements()), dy.as<T>().data(), dx.as<T>().data(),
                                        DeviceWindow(window), dx.elements(), count_include_pad);
  });
}

void global_average_pool(const KernelContext& context, ConstTensorView x, TensorView y) {
  check_global_pool(x.shape, y.shape);
  const int64_t planes = y.elements(), size = x.shape.product(2, x.shape.rank());
  cuda::visit_float(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    if (size >= 1024)
      launch<average_planes<T, kBlock>>(context, {.blocks = planes, .threads = kBlock}, in, out, planes, size);
    else
      launch<average_planes<T, 32>>(context, {.blocks = ceil_div(planes, kBlock / 32), .threads = kBlock}, in, out, planes, size);
  });
}

void global_average_pool_grad(const KernelContext& context, ConstTensorView dy, TensorView dx) {
  check_global_pool(dx.shape, dy.shape);
  const int64_t size = dx.shape.product(2, dx.shape.rank());
  if (dx.elements() == 0) return;
  cuda::visit_float(dy.dtype, [&]<class T>() {
    launch<average_planes_grad<T>>(context, grid_for(dx.elements()), dy.as<T>().data(), dx.as<T>().data(), Divisor(size), size,
                                   dx.elements());
  });
}

}  // namespace tandem::cuda
