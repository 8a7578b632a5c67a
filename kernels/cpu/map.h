// One value in, one value out, over the elements of a tensor, shared by the team.
#pragma once

#include <type_traits>

#include "kernels/base/tensor_view.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {

inline void require_one_shape(const ConstTensorView& x, const TensorView& y) {
  if (x.elements() != y.elements() || x.dtype != y.dtype) [[unlikely]]
    fail(ErrorCode::kInternal, "elementwise operands differ", {to_string(x.shape), to_string(y.shape)});
}

template <class T, class F>
void map(const KernelContext& context, ConstTensorView x, TensorView y, F f) {
  const T* in = x.as<T>().data();
  auto* out = y.as<std::invoke_result_t<F, T>>().data();
  parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = f(in[i]);
  });
}

}  // namespace tandem::cpu
