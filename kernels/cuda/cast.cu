// Conversions between element types: one kernel per pair, each element read once and written once (device/map.cuh).
#include "kernels/api/convert.h"
#include "kernels/api/elementwise.h"
#include "kernels/cuda/device/map.cuh"

namespace tandem::cuda {
namespace {

// 16-bit floats come and go as f32: the engine widens, and rounds what must round on to 16 bits as x itself would.
template <class To>
struct Convert {
  template <class From>
  __device__ Compute<To> operator()(From x) const {
    if constexpr (kIsHalf<To> && !std::is_same_v<From, float>)
      return to_odd(to_wide(x));
    else
      return convert<Compute<To>>(x);
  }
};

}  // namespace

void cast(const KernelContext& context, ConstTensorView x, TensorView y) {
  ensure(x.elements() == y.elements(), "cast changes the number of elements", to_string(x.shape), to_string(y.shape));
  cuda::visit_number_or_bool(x.dtype, [&]<class From>() {
    cuda::visit_number_or_bool(
        y.dtype, [&]<class To>() { map_flat(context, Convert<To>(), y.as<To>().data(), y.elements(), x.as<From>().data()); });
  });
}

}  // namespace tandem::cuda
