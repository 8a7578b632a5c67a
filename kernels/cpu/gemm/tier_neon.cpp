// The NEON tier: 8 x 12 floats in 24 of the 32 registers.
#include "kernels/cpu/gemm/narrow_tile.h"
#include "kernels/cpu/gemm/streaming_tile.h"
#include "kernels/cpu/gemm/tiers.h"
#include "kernels/cpu/gemm/vector_neon-inl.h"

namespace tandem::cpu {

constinit const GemmTier<float> kNeonF32 = make_tier<NeonVectorOf<8, 3>>();

}  // namespace tandem::cpu
