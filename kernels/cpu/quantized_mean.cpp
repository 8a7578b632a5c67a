// Sums of bytes in 16 bits, of as many pixels as fit, which are added to sums of 64 bits: plain loops over neighbouring channels,
// that the compiler makes of vectors. Integers, so every instruction set gives the same.
#include "kernels/api/quantized_mean.h"

#include <algorithm>
#include <array>

#include "kernels/base/error.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kChannels = 256;      // summed together
constexpr int64_t kTogether = 4;        // pixels a step
constexpr int64_t kNarrowPixels = 256;  // whose sums fit 16 bits
static_assert(kNarrowPixels % kTogether == 0 && kNarrowPixels * 255 <= 0xFFFF);

// Adds kTogether pixels, `stride` apart, to sums of 16 bits.
void add_pixels(const std::byte* x, int64_t stride, int64_t channels, uint8_t flip, uint16_t* __restrict sums) {
  const auto number = [&](int64_t at) { return static_cast<uint16_t>(static_cast<uint8_t>(x[at]) ^ flip); };
  for (int64_t c = 0; c < channels; ++c)
    sums[c] = static_cast<uint16_t>(sums[c] + number(c) + number(c + stride) + number(c + 2 * stride) + number(c + 3 * stride));
}

// Of at most kChannels channels: bytes as u8, those of i8 128 more than they are.
void sum_pixels(const std::byte* x, int64_t pixels, int64_t stride, int64_t channels, uint8_t flip, int64_t* sums) {
  std::fill_n(sums, channels, int64_t{0});
  int64_t pixel = 0;
  while (pixel + kTogether <= pixels) {
    std::array<uint16_t, kChannels> narrow{};
    for (const int64_t end = std::min(pixel + kNarrowPixels, pixels); pixel + kTogether <= end; pixel += kTogether)
      add_pixels(x + pixel * stride, stride, channels, flip, narrow.data());
    for (int64_t c = 0; c < channels; ++c) sums[c] += narrow[static_cast<size_t>(c)];
  }
  for (; pixel < pixels; ++pixel)
    for (int64_t c = 0; c < channels; ++c) sums[c] += static_cast<uint8_t>(x[pixel * stride + c]) ^ flip;
}

}  // namespace

void quantized_mean(const KernelContext& context, const QuantizedOperand& x, TensorView y) {
  const Shape& shape = x.x.shape;
  ensure(shape.rank() >= 2 && y.elements() == shape[0] * shape[shape.rank() - 1], "a mean has one element an image and a channel",
         to_string(y.shape));
  const int64_t channels = shape[shape.rank() - 1], pixels = shape.product(1, shape.rank() - 1),
                blocks = ceil_div(channels, kChannels);
  const bool is_signed = x.x.dtype == DType::kI8;
  const auto flip = static_cast<uint8_t>(is_signed ? 0x80 : 0);
  const int64_t zero = x.zero + (is_signed ? 128 : 0);
  float* const means = y.as<float>().data();
  parallel_chunks(context, shape[0] * blocks, grain_of(pixels * std::min(channels, kChannels)), [&](int64_t begin, int64_t end) {
    std::array<int64_t, kChannels> sums;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / blocks, first = i % blocks * kChannels, count = std::min(kChannels, channels - first);
      sum_pixels(x.x.data + image * pixels * channels + first, pixels, channels, count, flip, sums.data());
      for (int64_t c = 0; c < count; ++c) {
        const auto sum = static_cast<double>(sums[static_cast<size_t>(c)] - pixels * zero);
        means[image * channels + first + c] =
            static_cast<float>(sum * static_cast<double>(x.scale) / static_cast<double>(pixels));
      }
    }
  });
}

}  // namespace tandem::cpu
