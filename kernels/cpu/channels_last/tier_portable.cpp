// The portable tier of channels-last convolutions: 4 pixels x 8 filters.
#include "kernels/cpu/channels_last/make_tier.h"
#include "kernels/cpu/channels_last/tiers.h"
#include "kernels/cpu/gemm/vector_portable-inl.h"

namespace tandem::cpu {

constinit const ChannelsLastTier kPortableChannelsLast = make_channels_last_tier<PortableVector<float>, 2>();

}  // namespace tandem::cpu
