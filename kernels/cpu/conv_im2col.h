// Patches written where they are needed, straight into the panels of B or as rows of pixels; and added to where they came from.
#pragma once

#include <algorithm>

#include "kernels/cpu/conv_patches.h"
#include "kernels/cpu/gemm/tier.h"

namespace tandem::cpu {

// target[(c * taps + tap) * ld + i] = the input element that tap and pixel `i` of the block meet, 0 in the padding; c < channels.
template <class T>
void copy_patches(const GemmTier<T>& tier, const ConvShape& s, const T* x, int64_t channels, const PixelBlock& block, T* target,
                  int64_t ld) {
  for_each_tap(s, [&](int64_t index, const Tap& tap) {
    const TapBlock in = clip_tap(s, block, tap);
    T* rows = target + index * ld;
    if (in.lines != block.lines || in.width != block.width)
      for (int64_t c = 0; c < channels; ++c) std::fill_n(rows + c * s.taps * ld, block.pixels(), T(0));
    if (in.empty()) return;
    Runs<T> runs;
    runs.target = rows + in.line * block.width + in.column;
    runs.target_row = s.taps * ld, runs.target_line = block.width;
    runs.source = x + in.source;
    runs.source_row = s.input, runs.source_line = s.w.stride[1] * s.w.input[2], runs.source_stride = s.w.stride[2];
    runs.rows = channels, runs.lines = in.lines, runs.length = in.width;
    tier.copy_runs(runs);
  });
}

// The panels of B for `pixels` output pixels from `pixel`: [panel][c * taps + tap][nr], zeros behind the last pixel.
template <class T>
void pack_patches(const GemmTier<T>& tier, const ConvShape& s, const T* x, int64_t channels, int64_t pixel, int64_t pixels, T* panels) {
  const int64_t steps = channels * s.taps, width = s.w.output[2];
  for (int64_t done = 0; done < pixels; done += tier.nr, panels += steps * tier.nr) {
    const int64_t count = std::min(tier.nr, pixels - done);
    if (count < tier.nr)
      for (int64_t k = 0; k < steps; ++k) std::fill(panels + k * tier.nr + count, panels + (k + 1) * tier.nr, T(0));
    for (int64_t i = 0; i < count;) {
      const int64_t at = pixel + done + i, column = at % width, line = at / width;
      const int64_t run = std::min(width - column, count - i);
      copy_patches(tier, s, x, channels, {line / s.w.output[1], line % s.w.output[1], 1, column, run}, panels + i, tier.nr);
      i += run;
    }
  }
}

// Adds the patches of one block to the input pixels they came from.
template <class T>
void add_patches(const ConvShape& s, const GemmTier<T>& tier, const T* patches, int64_t channels, const PixelBlock& block, T* dx) {
  const int64_t pixels = block.pixels();
  for_each_tap(s, [&](int64_t index, const Tap& tap) {
    const TapBlock in = clip_tap(s, block, tap);
    if (in.empty()) return;
    Runs<T> runs;
    runs.target = dx + in.source;
    runs.target_row = s.input, runs.target_line = s.w.stride[1] * s.w.input[2], runs.target_stride = s.w.stride[2];
    runs.source = patches + index * pixels + in.line * block.width + in.column;
    runs.source_row = s.taps * pixels, runs.source_line = block.width;
    runs.rows = channels, runs.lines = in.lines, runs.length = in.width;
    tier.add_runs(runs);
  });
}

}  // namespace tandem::cpu
