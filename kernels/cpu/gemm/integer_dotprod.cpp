// Byte products by Arm's dot products (sdot, four products a lane): 6 x 16 sums in 24 of the 32 registers.
#include "kernels/cpu/gemm/integer_neon-inl.h"

namespace tandem::cpu {
namespace {

struct SignedDot {
  static constexpr int kRows = 6;
  using Sum = int32x4_t;
  static Sum zero() { return vdupq_n_s32(0); }
  static Sum seeds(const int32_t* p) { return vld1q_s32(p); }
  static int32x4_t sums(Sum sum) { return sum; }
  static Sum add(Sum sum, int8x16_t a, int8x16_t b) { return vdotq_s32(sum, a, b); }
};

}  // namespace

constinit const IntegerTier kDotprodIntegers = make_signed_tier<SignedDot>();

}  // namespace tandem::cpu
