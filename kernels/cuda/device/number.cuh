// What arithmetic is done in: 16-bit floats are read and written as such and computed in f32; all others are themselves.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "kernels/base/dtype.h"
#include "kernels/cuda/device/gpu.h"

namespace tandem::cuda {

template <class T>
inline constexpr bool kIsHalf = std::is_same_v<T, F16> || std::is_same_v<T, BF16>;
template <class T>
inline constexpr bool kIsFloat = std::is_floating_point_v<T> || kIsHalf<T>;

// float for F16 and BF16, else T.
template <class T>
using Compute = std::conditional_t<kIsHalf<T>, float, T>;

template <class T>
__device__ inline Compute<T> widen(T x) {
  if constexpr (std::is_same_v<T, F16>)
    return __half2float(__ushort_as_half(x.bits));
  else if constexpr (std::is_same_v<T, BF16>)
    return __uint_as_float(static_cast<uint32_t>(x.bits) << 16);
  else
    return x;
}

// Rounds to nearest even.
template <class T>
__device__ inline T narrow(Compute<T> x) {
  if constexpr (std::is_same_v<T, F16>)
    return {__half_as_ushort(__float2half_rn(x))};
  else if constexpr (std::is_same_v<T, BF16>)
    return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
  else
    return x;
}

// f32, f64, f16, bf16: what kernels on floats take on a GPU.
template <class F>
decltype(auto) visit_float(DType t, F&& f) {
  if (t == DType::kF16) return f.template operator()<F16>();
  if (t == DType::kBF16) return f.template operator()<BF16>();
  return tandem::visit_float(t, static_cast<F&&>(f));
}
// Those and i32, i64, u8, i8.
template <class F>
decltype(auto) visit_number(DType t, F&& f) {
  if (t == DType::kF16) return f.template operator()<F16>();
  if (t == DType::kBF16) return f.template operator()<BF16>();
  return tandem::visit_number(t, static_cast<F&&>(f));
}
template <class F>
decltype(auto) visit_number_or_bool(DType t, F&& f) {
  if (t == DType::kBool) return f.template operator()<bool>();
  return cuda::visit_number(t, static_cast<F&&>(f));
}
// For kernels that only move elements: an unsigned type of the element's size. Strings never live on a GPU.
template <class F>
decltype(auto) visit_size(DType t, F&& f) {
  switch (size_of(t)) {
    case 1: return f.template operator()<uint8_t>();
    case 2: return f.template operator()<uint16_t>();
    case 4: return f.template operator()<uint32_t>();
    case 8: return f.template operator()<uint64_t>();
    default: no_kernel_for(t);
  }
}

}  // namespace tandem::cuda
