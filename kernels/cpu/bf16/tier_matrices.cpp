// Products of bf16 by Arm's BF16 extension: bfmmla multiplies 2 x 4 by 4 x 2 numbers. 12 x 8 sums in 24 of the 32 registers.
#include <arm_neon.h>

#include "kernels/cpu/bf16/make_kernel.h"
#include "kernels/cpu/bf16/tiers.h"
#include "kernels/cpu/gemm/matrix_tile-inl.h"

namespace tandem::cpu {
namespace {

struct Matrices {
  using Operand = uint8x16_t;
  using Sum = float32x4_t;
  using Number = float;
  static Sum zero() { return vdupq_n_f32(0); }
  static Sum multiply(Sum sum, Operand a, Operand b) { return vbfmmlaq_f32(sum, vreinterpretq_bf16_u8(a), vreinterpretq_bf16_u8(b)); }
  static Sum first_rows(Sum left, Sum right) { return vcombine_f32(vget_low_f32(left), vget_low_f32(right)); }
  static Sum second_rows(Sum left, Sum right) { return vcombine_f32(vget_high_f32(left), vget_high_f32(right)); }
  static void add_to(const float* seeds, Sum sum, float* to) { vst1q_f32(to, vaddq_f32(vld1q_f32(seeds), sum)); }
};

// What block_tile.h and finish.h want.
struct Lanes {
  static constexpr int kLanes = 4, kRows = 12, kPanels = 1;
  template <int R, int P>
  static void multiply_tile(const Bf16Block& b, const std::byte* a, const std::byte* panel, const float* seeds, float* sums) {
    MatrixTile<Matrices>::run<R>(a, b.a_stride, b.depth, panel, seeds, sums);
  }
  static void narrow_16(const float* x, BF16* y) {
    for (int i = 0; i < 16; i += 8) {
      const bfloat16x8_t low = vcvtq_low_bf16_f32(vld1q_f32(x + i));
      vst1q_bf16(reinterpret_cast<bfloat16_t*>(y + i), vcvtq_high_bf16_f32(low, vld1q_f32(x + i + 4)));
    }
  }
};

}  // namespace

constinit const Bf16Kernel kMatrixBf16 = make_bf16_kernel<Lanes>();

}  // namespace tandem::cpu
