// Output pixels of one image or of several, side by side: what a sum of a gradient to weights runs along in one block, however small planes are.
#pragma once

#include <array>
#include <span>
#include <utility>

#include "kernels/cpu/conv_patches.h"

namespace tandem::cpu {

// Pixels of one image, from place `at` of the block on.
struct PixelSegment {
  int64_t image, at;
  PixelBlock pixels;
};

// Segments begin at multiples of kStep. What it takes is a function of the shapes alone.
template <int64_t kMostPixels, int64_t kStep>
class PixelBatch {
 public:
  int64_t pixels() const { return pixels_; }  // with those that round segments up
  std::span<const PixelSegment> segments() const { return {segments_.data(), static_cast<size_t>(count_)}; }

  // Calls f(batch) with all output pixels of `images` images, in order.
  template <class F>
  static void for_each(const ConvShape& s, int64_t images, F&& f) {
    PixelBatch batch;
    for (int64_t image = 0; image < images; ++image)
      for_each_block(s, kMostPixels, [&](const PixelBlock& pixels) {
        if (!batch.fits(pixels)) {
          f(std::as_const(batch));
          batch.count_ = batch.pixels_ = 0;
        }
        batch.segments_[static_cast<size_t>(batch.count_++)] = {image, batch.pixels_, pixels};
        batch.pixels_ += round_up(pixels.pixels(), kStep);
      });
    if (batch.count_ > 0) f(std::as_const(batch));
  }

 private:
  static constexpr int64_t kMostSegments = 64;
  bool fits(const PixelBlock& block) const { return count_ < kMostSegments && pixels_ + round_up(block.pixels(), kStep) <= kMostPixels; }

  std::array<PixelSegment, kMostSegments> segments_;
  int64_t count_ = 0, pixels_ = 0;
};

}  // namespace tandem::cpu
