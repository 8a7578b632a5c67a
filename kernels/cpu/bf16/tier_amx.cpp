// Products of bf16 by the tiles of AMX.
#include "kernels/cpu/bf16/amx_block.h"
#include "kernels/cpu/bf16/tiers.h"
#include "kernels/cpu/gemm/amx_hardware_tiles-inl.h"
#include "kernels/cpu/gemm/vector_avx512-inl.h"

namespace tandem::cpu {
namespace {

struct Vectors {
  using Vector = Avx512Vector;
  static void narrow_16(const float* x, BF16* y) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(x))));
  }
};

}  // namespace

constinit const Bf16Kernel kAmxBf16 = make_bf16_amx_kernel<HardwareTiles, Vectors>();

}  // namespace tandem::cpu
