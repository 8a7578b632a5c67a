// Division by a number known before the launch: a multiplication and a shift while the dividend is below 2^31, which is nearly
// always. After Granlund and Montgomery, "Division by Invariant Integers using Multiplication" (PLDI 1994), figure 4.1.
#pragma once

#include <cstdint>

#include "kernels/cuda/device/gpu.h"

namespace tandem::cuda {

class Divisor {
 public:
  Divisor() = default;
  // REQUIRES: divisor >= 1.
  explicit Divisor(int64_t divisor) : divisor_(divisor) {
    while (shift_ < 31 && (int64_t{1} << shift_) < divisor) ++shift_;
    const uint64_t d = static_cast<uint64_t>(divisor), power = uint64_t{1} << shift_;
    multiplier_ = power < d ? 0 : static_cast<uint32_t>((power - d) * (uint64_t{1} << 32) / d + 1);
  }

  // n / divisor. REQUIRES: n >= 0.
  __device__ int64_t quotient(int64_t n) const {
    if (n >= int64_t{1} << 31) return n / divisor_;
    const uint32_t small = static_cast<uint32_t>(n);
    const uint32_t high = static_cast<uint32_t>((static_cast<uint64_t>(small) * multiplier_) >> 32);
    return (high + small) >> shift_;
  }
  // n becomes the quotient; returns the remainder.
  __device__ int64_t divide(int64_t& n) const {
    const int64_t q = quotient(n), rest = n - q * divisor_;
    n = q;
    return rest;
  }

 private:
  int64_t divisor_ = 1;
  uint32_t multiplier_ = 0;
  int shift_ = 0;
};

}  // namespace tandem::cuda
