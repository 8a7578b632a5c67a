#include <limits>
#include <type_traits>

#include "kernels/api/convert.h"
#include "kernels/api/elementwise.h"
#include "kernels/base/dtype_families.h"
#include "kernels/cpu/map.h"
#include "kernels/cpu/simd/elementwise_f32.h"

namespace tandem::cpu {
namespace {

template <class T>
T scalar_or(const ConstTensorView& view, T fallback) {
  if (!view) return fallback;
  require(view.elements() == 1, "[Clip] a bound must be one element; its shape", to_string(view.shape));
  return view.as<T>()[0];
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
void clip_between(const KernelContext& context, ConstTensorView x, T low, T high, TensorView y) {
  require_one_shape(x, y);
  const T* in = x.as<T>().data();
  T* out = y.as<T>().data();
  parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<T, float>) return simd::clip(in + begin, low, high, out + begin, end - begin);
    for (int64_t i = begin; i < end; ++i) {
      const T raised = in[i] < low ? low : in[i];  // comparisons with NaN are false, so NaN stays
      out[i] = raised > high ? high : raised;
    }
  });
}

}  // namespace

void clip(const KernelContext& context, ConstTensorView x, ConstTensorView low, ConstTensorView high, TensorView y) {
  visit_arithmetic(x.dtype, [&]<class T>() {
    clip_between<T>(context, x, scalar_or<T>(low, convert<T>(-kInfinity)), scalar_or<T>(high, convert<T>(kInfinity)), y);
  });
}

void clip(const KernelContext& context, ConstTensorView x, double low, double high, TensorView y) {
  visit_arithmetic(x.dtype, [&]<class T>() { clip_between<T>(context, x, convert<T>(low), convert<T>(high), y); });
}

void clip_backward(const KernelContext& context, ConstTensorView x, ConstTensorView dy, ConstTensorView low, ConstTensorView high,
                   TensorView dx) {
  require_one_shape(x, dx);
  require_one_shape(dy, dx);
  visit_float(x.dtype, [&]<class T>() {
    const T a = scalar_or<T>(low, -std::numeric_limits<T>::infinity()),
            b = scalar_or<T>(high, std::numeric_limits<T>::infinity());
    const T *in = x.as<T>().data(), *grad = dy.as<T>().data();
    T* out = dx.as<T>().data();
    parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = in[i] >= a && in[i] <= b ? grad[i] : T{0};
    });
  });
}

}  // namespace tandem::cpu
