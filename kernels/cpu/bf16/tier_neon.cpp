// Products of bf16 by NEON: pairs are widened to f32, and multiplied by two FMAs: 4 x 16 sums in 16 of the 32 registers.
#include <arm_neon.h>

#include "kernels/cpu/bf16/make_kernel.h"
#include "kernels/cpu/bf16/tiers.h"

namespace tandem::cpu {
namespace {

struct Neon {
  static constexpr int kLanes = 4, kRows = 4, kPanels = 1;
  using Sum = float32x4_t;
  struct Weights {
    float32x4_t even, odd;
  };
  using Quad = Weights;
  static Sum load_sums(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Sum sum) { vst1q_f32(p, sum); }
  static Weights widened(uint32x4_t pairs) {
    return {vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16)), vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xFFFF0000)))};
  }
  static Weights load_weights(const std::byte* p) { return widened(vreinterpretq_u32_u8(vld1q_u8(reinterpret_cast<const uint8_t*>(p)))); }
  static Quad quad_of(const std::byte* p) {
    uint32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return widened(vdupq_n_u32(pair));
  }
  static Sum add(Sum sum, const Quad& a, const Weights& b) { return vfmaq_f32(vfmaq_f32(sum, a.even, b.even), a.odd, b.odd); }
};

}  // namespace

constinit const Bf16Kernel kNeonBf16 = make_bf16_kernel<Neon>();

}  // namespace tandem::cpu
