// The AVX-512 tier of channels-last convolutions: 6 pixels x 64 filters in 24 of the 32 registers, or 12 x 32. Fewer loads a multiply-add than
// 12 x 32 alone: 512-bit loads are hardly more than one a cycle.
#include "kernels/cpu/channels_last/make_tier.h"
#include "kernels/cpu/channels_last/tiers.h"
#include "kernels/cpu/gemm/vector_avx512-inl.h"

namespace tandem::cpu {

constinit const ChannelsLastTier kAvx512ChannelsLast = make_channels_last_tier<Avx512Vector, 4>();

}  // namespace tandem::cpu
