// Images of planes as rows of channels, and back.
#pragma once

#include "kernels/cpu/gemm/tier.h"

namespace tandem::cpu {

// rows[pixel][channel] = planes[channel][pixel], and the other way round with the sizes exchanged.
inline void turn_planes(const GemmTier<float>& tier, const float* from, int64_t channels, int64_t pixels, float* to) {
  tier.pack({from, pixels, 1, channels, pixels}, channels, to);
}

}  // namespace tandem::cpu
