// The AVX-512 tier: 12 x 32 floats in 24 of the 32 registers.
#include "kernels/cpu/gemm/streaming_tile.h"
#include "kernels/cpu/gemm/tiers.h"
#include "kernels/cpu/gemm/vector_avx512-inl.h"

namespace tandem::cpu {

constinit const GemmTier<float> kAvx512F32 = make_tier<Avx512Vector>();

}  // namespace tandem::cpu
