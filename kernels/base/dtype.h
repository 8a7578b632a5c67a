// Element types, and the visitors that turn a runtime type into a template parameter.
//
// The numbers are those of ONNX TensorProto.DataType. A string element is a std::string_view: 16 plain bytes that point
// into memory somebody else owns (a model's constants, a request), so string tensors live in arenas like all others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/base/error.h"
#include "kernels/base/half.h"
#include "kernels/base/narrow.h"

namespace tandem {

enum class DType : uint8_t {
  kUndefined = 0,
  kF32 = 1,
  kU8 = 2,
  kI8 = 3,
  kU16 = 4,
  kI16 = 5,
  kI32 = 6,
  kI64 = 7,
  kString = 8,
  kBool = 9,
  kF16 = 10,
  kF64 = 11,
  kU32 = 12,
  kU64 = 13,
  kBF16 = 16,
  // Storage only: converted, quantized and moved, never computed with. In memory each element takes a whole byte.
  kF8E4M3FN = 17,
  kF8E4M3FNUZ = 18,
  kF8E5M2 = 19,
  kF8E5M2FNUZ = 20,
  kU4 = 21,
  kI4 = 22,
  kF4E2M1 = 23,
  kF8E8M0 = 24,
  kU2 = 25,
  kI2 = 26,
};

constexpr std::string_view name(DType t) {
  switch (t) {
    case DType::kUndefined: return "undefined";
    case DType::kF32: return "f32";
    case DType::kU8: return "u8";
    case DType::kI8: return "i8";
    case DType::kU16: return "u16";
    case DType::kI16: return "i16";
    case DType::kI32: return "i32";
    case DType::kI64: return "i64";
    case DType::kString: return "string";
    case DType::kBool: return "bool";
    case DType::kF16: return "f16";
    case DType::kF64: return "f64";
    case DType::kU32: return "u32";
    case DType::kU64: return "u64";
    case DType::kBF16: return "bf16";
    case DType::kF8E4M3FN: return "f8e4m3fn";
    case DType::kF8E4M3FNUZ: return "f8e4m3fnuz";
    case DType::kF8E5M2: return "f8e5m2";
    case DType::kF8E5M2FNUZ: return "f8e5m2fnuz";
    case DType::kU4: return "u4";
    case DType::kI4: return "i4";
    case DType::kF4E2M1: return "f4e2m1";
    case DType::kF8E8M0: return "f8e8m0";
    case DType::kU2: return "u2";
    case DType::kI2: return "i2";
  }
  return "unknown";
}

// Bytes of one element in memory; 0 for kUndefined.
constexpr size_t size_of(DType t) {
  switch (t) {
    case DType::kUndefined: return 0;
    case DType::kU8:
    case DType::kI8:
    case DType::kBool:
    case DType::kF8E4M3FN:
    case DType::kF8E4M3FNUZ:
    case DType::kF8E5M2:
    case DType::kF8E5M2FNUZ:
    case DType::kU4:
    case DType::kI4:
    case DType::kF4E2M1:
    case DType::kF8E8M0:
    case DType::kU2:
    case DType::kI2: return 1;
    case DType::kU16:
    case DType::kI16:
    case DType::kF16:
    case DType::kBF16: return 2;
    case DType::kF32:
    case DType::kI32:
    case DType::kU32: return 4;
    case DType::kI64:
    case DType::kU64:
    case DType::kF64: return 8;
    case DType::kString: return sizeof(std::string_view);
  }
  return 0;
}

// Bits of one element in a file; fewer than in memory for the types below one byte. 0 for strings.
constexpr int bits_of(DType t) {
  if (t == DType::kU4 || t == DType::kI4 || t == DType::kF4E2M1) return 4;
  if (t == DType::kU2 || t == DType::kI2) return 2;
  return t == DType::kString ? 0 : static_cast<int>(8 * size_of(t));
}

constexpr bool is_float(DType t) { return t == DType::kF32 || t == DType::kF64 || t == DType::kF16 || t == DType::kBF16; }
constexpr bool is_integer(DType t) { return (t >= DType::kU8 && t <= DType::kI64) || t == DType::kU32 || t == DType::kU64; }

template <class T>
inline constexpr DType dtype_of = DType::kUndefined;
template <>
inline constexpr DType dtype_of<float> = DType::kF32;
template <>
inline constexpr DType dtype_of<double> = DType::kF64;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::kU8;
template <>
inline constexpr DType dtype_of<int8_t> = DType::kI8;
template <>
inline constexpr DType dtype_of<uint16_t> = DType::kU16;
template <>
inline constexpr DType dtype_of<int16_t> = DType::kI16;
template <>
inline constexpr DType dtype_of<int32_t> = DType::kI32;
template <>
inline constexpr DType dtype_of<int64_t> = DType::kI64;
template <>
inline constexpr DType dtype_of<uint32_t> = DType::kU32;
template <>
inline constexpr DType dtype_of<uint64_t> = DType::kU64;
template <>
inline constexpr DType dtype_of<bool> = DType::kBool;
template <>
inline constexpr DType dtype_of<F16> = DType::kF16;
template <>
inline constexpr DType dtype_of<BF16> = DType::kBF16;
template <>
inline constexpr DType dtype_of<F8E4M3FN> = DType::kF8E4M3FN;
template <>
inline constexpr DType dtype_of<F8E4M3FNUZ> = DType::kF8E4M3FNUZ;
template <>
inline constexpr DType dtype_of<F8E5M2> = DType::kF8E5M2;
template <>
inline constexpr DType dtype_of<F8E5M2FNUZ> = DType::kF8E5M2FNUZ;
template <>
inline constexpr DType dtype_of<U4> = DType::kU4;
template <>
inline constexpr DType dtype_of<I4> = DType::kI4;
template <>
inline constexpr DType dtype_of<F4E2M1> = DType::kF4E2M1;
template <>
inline constexpr DType dtype_of<F8E8M0> = DType::kF8E8M0;
template <>
inline constexpr DType dtype_of<U2> = DType::kU2;
template <>
inline constexpr DType dtype_of<I2> = DType::kI2;
template <>
inline constexpr DType dtype_of<std::string_view> = DType::kString;

[[noreturn]] inline void no_kernel_for(DType t) {
  fail(ErrorCode::kInvalidArgument, "no kernel for this element type", {name(t)});
}

// Calls f.template operator()<T>() for the C++ type behind `t`. Throws InvalidArgument for a type outside the family.
template <class F>
decltype(auto) visit_float(DType t, F&& f) {
  switch (t) {
    case DType::kF32: return f.template operator()<float>();
    case DType::kF64: return f.template operator()<double>();
    default: no_kernel_for(t);
  }
}

// f32, f64, i32, i64, u8, i8: the types arithmetic is defined on.
template <class F>
decltype(auto) visit_number(DType t, F&& f) {
  switch (t) {
    case DType::kF32: return f.template operator()<float>();
    case DType::kF64: return f.template operator()<double>();
    case DType::kI32: return f.template operator()<int32_t>();
    case DType::kI64: return f.template operator()<int64_t>();
    case DType::kU8: return f.template operator()<uint8_t>();
    case DType::kI8: return f.template operator()<int8_t>();
    default: no_kernel_for(t);
  }
}

// Numbers and bool.
template <class F>
decltype(auto) visit_number_or_bool(DType t, F&& f) {
  if (t == DType::kBool) return f.template operator()<bool>();
  return visit_number(t, static_cast<F&&>(f));
}

// Numbers, bool and string.
template <class F>
decltype(auto) visit_any(DType t, F&& f) {
  if (t == DType::kString) return f.template operator()<std::string_view>();
  return visit_number_or_bool(t, static_cast<F&&>(f));
}

// For kernels that only move elements: an unsigned type (or string) of the element's size.
template <class F>
decltype(auto) visit_size(DType t, F&& f) {
  switch (size_of(t)) {
    case 1: return f.template operator()<uint8_t>();
    case 2: return f.template operator()<uint16_t>();
    case 4: return f.template operator()<uint32_t>();
    case 8: return f.template operator()<uint64_t>();
    case 16: return f.template operator()<std::string_view>();
    default: no_kernel_for(t);
  }
}

}  // namespace tandem
