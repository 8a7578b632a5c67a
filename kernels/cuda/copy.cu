// Elements as they are: a whole tensor, or one element everywhere. Read once and written once, 16 bytes at a time where both are
// aligned.
#include "kernels/api/movement.h"
#include "kernels/cuda/device/map.cuh"

namespace tandem::cuda {
namespace {

struct Same {
  template <class T>
  __device__ T operator()(T x) const {
    return x;
  }
};

}  // namespace

void copy(const KernelContext& context, ConstTensorView x, TensorView y) {
  ensure(x.bytes() == y.bytes(), "copy between different sizes", to_string(x.shape), to_string(y.shape));
  if (x.data == y.data) return;
  cuda::visit_size(x.dtype,
                   [&]<class T>() { map_flat(context, Same(), reinterpret_cast<T*>(y.data), x.elements(), x.raw<T>().data()); });
}

void fill(const KernelContext& context, ConstTensorView value, TensorView y) {
  ensure(value.elements() == 1, "fill wants one element", to_string(value.shape));
  const Shape one;
  cuda::visit_size(y.dtype,
                   [&]<class T>() { map_broadcast(context, Same(), y.raw<T>().data(), y.shape, {&one}, value.raw<T>().data()); });
}

}  // namespace tandem::cuda
