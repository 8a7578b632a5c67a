// Every element of y is written once, in order; the index behind it comes from the cache for all but the first of its row.
#include "kernels/api/hot_position.h"
#include "kernels/api/movement.h"
#include "kernels/cuda/device/divide.cuh"
#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"

namespace tandem::cuda {
namespace {

template <class I, class T>
__global__ void __launch_bounds__(kBlock)
    set_hot(const I* indices, const T* values, T* y, int64_t n, Divisor inner, Divisor length, int64_t stride, int64_t depth) {
  const T off = values[0], on = values[1];
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t outer = i;
    const int64_t column = inner.divide(outer), k = length.divide(outer);
    y[i] = hot_position(indices[outer * stride + column], depth) == k ? on : off;
  }
}

}  // namespace

void one_hot(const KernelContext& context, ConstTensorView indices, ConstTensorView values, int axis, TensorView y) {
  const AxisView view(y.shape, axis);
  ensure(values.elements() == 2 && values.dtype == y.dtype, "[OneHot] values must be [off, on] of the output's type",
         name(values.dtype));
  if (y.elements() == 0) return;
  const auto run = [&]<class I>() {
    cuda::visit_size(y.dtype, [&]<class T>() {
      launch<set_hot<I, T>>(context, grid_for(y.elements()), indices.as<I>().data(), values.raw<T>().data(), y.raw<T>().data(),
                            y.elements(), Divisor(view.inner), Divisor(view.length), view.inner, view.length);
    });
  };
  switch (indices.dtype) {
    case DType::kU8: return run.operator()<uint8_t>();
    case DType::kI8: return run.operator()<int8_t>();
    case DType::kI32: return run.operator()<int32_t>();
    case DType::kI64: return run.operator()<int64_t>();
    case DType::kF32: return run.operator()<float>();
    case DType::kF64: return run.operator()<double>();
    default: no_kernel_for(indices.dtype);
  }
}

}  // namespace tandem::cuda
