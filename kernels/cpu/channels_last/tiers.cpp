// From the name of a tier to its kernels. Compiled without tier flags.
#include "kernels/cpu/channels_last/tiers.h"

namespace tandem::cpu {

const ChannelsLastTier& channels_last_tier([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::kAvx512) return kAvx512ChannelsLast;
  if (isa >= Isa::kAvx2) return kAvx2ChannelsLast;
#endif
  return kPortableChannelsLast;
}

}  // namespace tandem::cpu
