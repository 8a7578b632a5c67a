// The AVX2 + FMA tier: 6 x 16 floats in 12 of the 16 registers.
#include "kernels/cpu/gemm/narrow_tile.h"
#include "kernels/cpu/gemm/streaming_tile.h"
#include "kernels/cpu/gemm/tiers.h"
#include "kernels/cpu/gemm/vector_avx2-inl.h"

namespace tandem::cpu {

constinit const GemmTier<float> kAvx2F32 = make_tier<Avx2Vector>();

}  // namespace tandem::cpu
