// Products of bf16 by the tiles of AMX.
#include "kernels/cpu/bf16/amx_block.h"
#include "kernels/cpu/bf16/tiers.h"
#include "kernels/cpu/bf16/vectors_avx512-inl.h"
#include "kernels/cpu/gemm/amx_hardware_tiles-inl.h"

namespace tandem::cpu {

constinit const Bf16Kernel kAmxBf16 = make_bf16_amx_kernel<HardwareTiles, Bf16Vectors>();

}  // namespace tandem::cpu
