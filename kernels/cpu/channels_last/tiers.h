// The tiers that exist, one file each. A new one is a file, a line here and a line in kernels/cpu/architecture/.
#pragma once

#include "kernels/cpu/channels_last/tier.h"

namespace tandem::cpu {

extern const ChannelsLastTier kPortableChannelsLast;
extern const ChannelsLastTier kAvx2ChannelsLast;
extern const ChannelsLastTier kAvx512ChannelsLast;
extern const ChannelsLastTier kNeonChannelsLast;

}  // namespace tandem::cpu
