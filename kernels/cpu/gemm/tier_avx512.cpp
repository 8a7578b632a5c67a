// The AVX-512 tiers: 12 x 32 floats in 24 of the 32 registers, and 9 x 48 in 27, which read less for a multiply-add.
#include "kernels/cpu/gemm/narrow_tile.h"
#include "kernels/cpu/gemm/streaming_tile.h"
#include "kernels/cpu/gemm/tiers.h"
#include "kernels/cpu/gemm/vector_avx512-inl.h"

namespace tandem::cpu {

constinit const GemmTier<float> kAvx512F32 = make_tier<Avx512Vector>();
constinit const GemmTier<float> kAvx512WideF32 = make_tier<Avx512VectorOf<9, 3>>();

}  // namespace tandem::cpu
