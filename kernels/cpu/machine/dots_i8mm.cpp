// usmmla: two rows of eight bytes by two columns.
#include "kernels/cpu/machine/dots_neon-inl.h"
#include "kernels/cpu/machine/probes.h"

namespace tandem::cpu {
namespace {

struct Int8 {
  using Sum = int32x4_t;
  static Sum start(int i) { return vdupq_n_s32(i); }
  static uint8x16_t operand() { return vdupq_n_u8(3); }
  static Sum dot(Sum sum, uint8x16_t a) { return vusmmlaq_s32(sum, a, vreinterpretq_s8_u8(a)); }
  static float first(Sum sum) { return static_cast<float>(vgetq_lane_s32(sum, 0)); }
};

}  // namespace

constinit const ArithmeticProbe kI8mmProbe{"int8 matrices, 128 bits", Arithmetic::kInt8, 2.0 * 32 * kNeonChains, run_dots<Int8>};

}  // namespace tandem::cpu
