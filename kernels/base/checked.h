// Arithmetic on sizes that come from untrusted input: overflow is an error, never a wrap.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/base/error.h"

namespace tandem {

inline int64_t checked_mul(int64_t a, int64_t b, std::string_view what = "size") {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) fail(ErrorCode::kInvalidArgument, "product overflows 64 bits", {what, a, b});
  return product;
}

inline int64_t checked_add(int64_t a, int64_t b, std::string_view what = "size") {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) fail(ErrorCode::kInvalidArgument, "sum overflows 64 bits", {what, a, b});
  return sum;
}

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t multiple) { return ceil_div(a, multiple) * multiple; }

}  // namespace tandem
