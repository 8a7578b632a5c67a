// bfmmla: two rows of four bf16 by two columns.
#include "kernels/cpu/machine/dots_neon-inl.h"
#include "kernels/cpu/machine/probes.h"

namespace tandem::cpu {
namespace {

struct Bf16 {
  using Sum = float32x4_t;
  static Sum start(int i) { return vdupq_n_f32(static_cast<float>(i)); }
  static uint8x16_t operand() { return vreinterpretq_u8_u16(vdupq_n_u16(0x3f00)); }  // 0.5
  static Sum dot(Sum sum, uint8x16_t a) { return vbfmmlaq_f32(sum, vreinterpretq_bf16_u8(a), vreinterpretq_bf16_u8(a)); }
  static float first(Sum sum) { return vgetq_lane_f32(sum, 0); }
};

}  // namespace

constinit const ArithmeticProbe kMatrixBf16Probe{"bf16 matrices, 128 bits", Arithmetic::kBf16, 2.0 * 16 * kNeonChains, run_dots<Bf16>};

}  // namespace tandem::cpu
