// The AVX2 + FMA tier of channels-last convolutions: 6 pixels x 16 filters in 12 of the 16 registers.
#include "kernels/cpu/channels_last/make_tier.h"
#include "kernels/cpu/channels_last/tiers.h"
#include "kernels/cpu/gemm/vector_avx2-inl.h"

namespace tandem::cpu {

constinit const ChannelsLastTier kAvx2ChannelsLast = make_channels_last_tier<Avx2Vector, 2>();

}  // namespace tandem::cpu
