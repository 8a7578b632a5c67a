// The loop of Arm's products of bytes and bf16, a template on one instruction: a type of the including file, compiled with its flags.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace tandem::cpu {

inline constexpr int kNeonChains = 24;

// Dot has Sum, start(i), operand(), dot(Sum, operand) and first(Sum), a lane of it. The sums start different, or they would be one; the operand is not
// known to the compiler.
template <class Dot>
float run_dots(int64_t steps) {
  typename Dot::Sum sums[kNeonChains];
#pragma GCC unroll 32
  for (int i = 0; i < kNeonChains; ++i) sums[i] = Dot::start(i);
  uint8x16_t operand = Dot::operand();
  asm volatile("" : "+w"(operand));
  for (int64_t s = 0; s < steps; ++s)
#pragma GCC unroll 32
    for (int i = 0; i < kNeonChains; ++i) sums[i] = Dot::dot(sums[i], operand);
  float total = 0;
#pragma GCC unroll 32
  for (int i = 0; i < kNeonChains; ++i) total += Dot::first(sums[i]);
  return total;
}

}  // namespace tandem::cpu
