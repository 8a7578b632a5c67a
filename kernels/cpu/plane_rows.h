// Images of planes as rows of channels, and back.
#pragma once

#include <algorithm>

#include "kernels/cpu/gemm/tier.h"

namespace tandem::cpu {

// rows[pixel][channel] = planes[channel][pixel].
inline void turn_planes(const GemmTier<float>& tier, const float* planes, int64_t channels, int64_t pixels, float* rows) {
  tier.pack({planes, pixels, 1, channels, pixels}, channels, rows);
}

// planes[channel][pixel] = rows[pixel][channel], some planes at a time from end to end: a line of each of many in turn would be as many pages.
inline void turn_rows(const GemmTier<float>& tier, const float* rows, int64_t channels, int64_t pixels, float* planes) {
  constexpr int64_t kTogether = 16;
  for (int64_t c = 0; c < channels; c += kTogether)
    tier.pack({rows + c, channels, 1, pixels, std::min(kTogether, channels - c)}, pixels, planes + c * pixels);
}

}  // namespace tandem::cpu
