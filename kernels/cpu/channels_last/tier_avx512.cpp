// The AVX-512 tier of channels-last convolutions: 12 pixels x 32 filters in 24 of the 32 registers.
#include "kernels/cpu/channels_last/make_tier.h"
#include "kernels/cpu/channels_last/tiers.h"
#include "kernels/cpu/gemm/vector_avx512-inl.h"

namespace tandem::cpu {

constinit const ChannelsLastTier kAvx512ChannelsLast = make_channels_last_tier<Avx512Vector>();

}  // namespace tandem::cpu
