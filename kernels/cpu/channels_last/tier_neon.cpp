// The NEON tier of channels-last convolutions: 6 pixels x 16 filters in 24 of the 32 registers, or 12 x 8.
#include "kernels/cpu/channels_last/make_tier.h"
#include "kernels/cpu/channels_last/tiers.h"
#include "kernels/cpu/gemm/vector_neon-inl.h"

namespace tandem::cpu {

constinit const ChannelsLastTier kNeonChannelsLast = make_channels_last_tier<NeonVectorOf<12, 2>, 4>();

}  // namespace tandem::cpu
