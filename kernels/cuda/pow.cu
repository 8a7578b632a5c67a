// y = a ^ b with broadcasting, for numbers of any two types: each operand is read once and the output written once
// (device/map.cuh). An integer to a whole power is exact; otherwise it is computed in f64 unless both operands are f32 or 16-bit
// floats.
#include <cmath>

#include "kernels/api/convert.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/integer_arithmetic.h"
#include "kernels/cuda/device/map.cuh"

namespace tandem::cuda {
namespace {

struct Power {
  template <class A, class B>
  __device__ A operator()(A a, B b) const {
    if constexpr (std::is_integral_v<A>) {
      if (is_whole(b)) return integer_power(a, static_cast<int64_t>(b));
      if (b == B(0.5)) return convert<A>(std::sqrt(static_cast<double>(a)));
      return convert<A>(std::pow(static_cast<double>(a), static_cast<double>(b)));
    } else {
      if (b == B(2)) return a * a;
      if constexpr (std::is_same_v<A, float> && std::is_same_v<B, float>) return std::pow(a, b);
      return static_cast<A>(std::pow(static_cast<double>(a), static_cast<double>(b)));
    }
  }
};

// i32, i64 and all floats.
template <class F>
void visit_power(DType t, F&& f) {
  if (t == DType::kI32) return f.template operator()<int32_t>();
  if (t == DType::kI64) return f.template operator()<int64_t>();
  cuda::visit_float(t, f);
}

}  // namespace

void pow(const KernelContext& context, ConstTensorView a, ConstTensorView b, TensorView y) {
  visit_power(a.dtype, [&]<class A>() {
    visit_power(b.dtype, [&]<class B>() {
      map_broadcast(context, Power(), y.as<A>().data(), y.shape, {&a.shape, &b.shape}, a.as<A>().data(), b.as<B>().data());
    });
  });
}

}  // namespace tandem::cuda
