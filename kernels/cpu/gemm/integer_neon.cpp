// Byte products by NEON without dot products (Cortex-A53, A72): 2 x 16 sums in 16 of the 32 registers.
//
// smull makes eight exact products of 16 bits, sadalp adds their pairs to 32 bits: nothing saturates. A lane's four products so end in
// two neighbouring sums, which are added when the tile is stored.
#include "kernels/cpu/gemm/integer_neon-inl.h"

namespace tandem::cpu {
namespace {

struct WideningDot {
  static constexpr int kRows = 2;
  struct Sum {
    int32x4_t low, high;
  };
  static Sum zero() { return {vdupq_n_s32(0), vdupq_n_s32(0)}; }
  static Sum seeds(const int32_t* p) {
    const int32x4_t seeds = vld1q_s32(p), zeros = vdupq_n_s32(0);
    return {vzip1q_s32(seeds, zeros), vzip2q_s32(seeds, zeros)};
  }
  static int32x4_t sums(const Sum& sum) { return vpaddq_s32(sum.low, sum.high); }
  static Sum add(const Sum& sum, int8x16_t a, int8x16_t b) {
    return {vpadalq_s16(sum.low, vmull_s8(vget_low_s8(a), vget_low_s8(b))), vpadalq_s16(sum.high, vmull_high_s8(a, b))};
  }
};

}  // namespace

constinit const IntegerTier kNeonIntegers = make_signed_tier<WideningDot>();

}  // namespace tandem::cpu
