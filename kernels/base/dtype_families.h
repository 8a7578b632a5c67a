// Families of element types beyond those of dtype.h, for the kernels of the CPU: all integers, and the types that are only
// stored.
#pragma once

#include "kernels/base/dtype.h"

namespace tandem {

// Only stored: float8, float4, integers of 4 and 2 bits.
constexpr bool is_narrow(DType t) { return t >= DType::kF8E4M3FN && t <= DType::kI2; }

// f32, f64 and all integers of 8 to 64 bits.
template <class F>
decltype(auto) visit_arithmetic(DType t, F&& f) {
  switch (t) {
    case DType::kU16: return f.template operator()<uint16_t>();
    case DType::kI16: return f.template operator()<int16_t>();
    case DType::kU32: return f.template operator()<uint32_t>();
    case DType::kU64: return f.template operator()<uint64_t>();
    default: return visit_number(t, static_cast<F&&>(f));
  }
}
template <class F>
decltype(auto) visit_arithmetic_or_bool(DType t, F&& f) {
  if (t == DType::kBool) return f.template operator()<bool>();
  return visit_arithmetic(t, static_cast<F&&>(f));
}

template <class F>
decltype(auto) visit_narrow(DType t, F&& f) {
  switch (t) {
    case DType::kF8E4M3FN: return f.template operator()<F8E4M3FN>();
    case DType::kF8E4M3FNUZ: return f.template operator()<F8E4M3FNUZ>();
    case DType::kF8E5M2: return f.template operator()<F8E5M2>();
    case DType::kF8E5M2FNUZ: return f.template operator()<F8E5M2FNUZ>();
    case DType::kU4: return f.template operator()<U4>();
    case DType::kI4: return f.template operator()<I4>();
    case DType::kF4E2M1: return f.template operator()<F4E2M1>();
    case DType::kF8E8M0: return f.template operator()<F8E8M0>();
    case DType::kU2: return f.template operator()<U2>();
    case DType::kI2: return f.template operator()<I2>();
    default: no_kernel_for(t);
  }
}

// Everything but strings.
template <class F>
decltype(auto) visit_convertible(DType t, F&& f) {
  if (t == DType::kF16) return f.template operator()<F16>();
  if (t == DType::kBF16) return f.template operator()<BF16>();
  if (is_narrow(t)) return visit_narrow(t, static_cast<F&&>(f));
  return visit_arithmetic_or_bool(t, static_cast<F&&>(f));
}

}  // namespace tandem
