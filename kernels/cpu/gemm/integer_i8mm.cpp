// Byte products by Arm's I8MM: u8 and i8 are multiplied as they are. Blocks by usmmla and smmla, 2 x 8 by 8 x 2 bytes an instruction, 12 x 8 sums
// in 24 of the 32 registers; lines of planes by usdot.
#include "kernels/cpu/gemm/integer_neon-inl.h"
#include "kernels/cpu/gemm/matrix_tile-inl.h"

namespace tandem::cpu {
namespace {

template <bool kSigned>
struct Matrices {
  using Operand = uint8x16_t;
  using Sum = int32x4_t;
  using Number = int32_t;
  static Sum zero() { return vdupq_n_s32(0); }
  static Sum multiply(Sum sum, Operand a, Operand b) {
    if constexpr (kSigned) return vmmlaq_s32(sum, vreinterpretq_s8_u8(a), vreinterpretq_s8_u8(b));
    else return vusmmlaq_s32(sum, a, vreinterpretq_s8_u8(b));
  }
  static Sum first_rows(Sum left, Sum right) { return vcombine_s32(vget_low_s32(left), vget_low_s32(right)); }
  static Sum second_rows(Sum left, Sum right) { return vcombine_s32(vget_high_s32(left), vget_high_s32(right)); }
  static void add_to(const int32_t* seeds, Sum sum, int32_t* to) { vst1q_s32(to, vaddq_s32(vld1q_s32(seeds), sum)); }
};

struct MixedLanes {
  static constexpr int kLanes = 4, kRows = 12, kPanels = 1;
  static constexpr bool kOwnFinish = false;
  using Sum = int32x4_t;
  using Panel = uint8x16_t;
  using Row = int8x16_t;

  static Sum zero() { return vdupq_n_s32(0); }
  static Panel load(const std::byte* p) { return vld1q_u8(reinterpret_cast<const uint8_t*>(p)); }
  static Panel windows(const std::byte* line, int64_t stride) { return vreinterpretq_u8_s8(windows_of_line(line, stride)); }
  static Row set(int32_t quad) { return vreinterpretq_s8_s32(vdupq_n_s32(quad)); }
  static void store(int32_t* p, Sum sum) { vst1q_s32(p, sum); }
  static Sum add_products(Sum sum, Row a, Panel b) { return vusdotq_s32(sum, b, a); }

  // For what packing needs.
  using Weights = int8x16_t;
  using Quad = uint8x16_t;
  static Sum load_sums(const int32_t* p) { return vld1q_s32(p); }
  static Weights load_weights(const std::byte* p) { return load_bytes(p); }
  static Quad quad_of(const std::byte* p) { return vreinterpretq_u8_s8(quad_everywhere(p)); }
  static Sum add(Sum sum, Quad a, Weights b) { return vusdotq_s32(sum, a, b); }
};

// Tiles of blocks with rows of this kind.
template <bool kSigned>
struct MatrixLanes : MixedLanes {
  template <int R, int P>
  static void multiply_tile(const IntegerBlock& b, const std::byte* a, const std::byte* panel, const int32_t* seeds, int32_t* sums) {
    MatrixTile<Matrices<kSigned>>::template run<R>(a, b.a_stride, b.depth, panel, seeds, sums);
  }
};

void multiply_blocks(const IntegerBlock& b) {
  b.a_signed ? IntegerBlockTile<MatrixLanes<true>>::multiply(b) : IntegerBlockTile<MatrixLanes<false>>::multiply(b);
}

constexpr IntegerTier make_tier() {
  IntegerBlockKernel block = make_block_kernel<MixedLanes>();
  block.signed_rows = true;
  block.multiply = &multiply_blocks;
  IntegerTier tier = make_integer_tier<MixedLanes>(block, {&IntegerDepthwiseLine<MixedLanes>::wide, nullptr});
  tier.look_up = &look_up_neon;
  return tier;
}

}  // namespace

constinit const IntegerTier kI8mmIntegers = make_tier();

}  // namespace tandem::cpu
