// The tiers that exist, one file each. A new one is a file, a line here and a line in tiers.cpp.
#pragma once

#include "kernels/cpu/channels_last/tier.h"

namespace tandem::cpu {

extern const ChannelsLastTier kPortableChannelsLast;
#if defined(__x86_64__)
extern const ChannelsLastTier kAvx2ChannelsLast;
extern const ChannelsLastTier kAvx512ChannelsLast;
#endif

}  // namespace tandem::cpu
