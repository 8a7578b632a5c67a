// Lines of a convolution in which every channel has one filter of its own, on channels side by side.
#pragma once

#include "kernels/cpu/gemm/integer_block.h"

namespace tandem::cpu {

inline constexpr int64_t kDepthwiseChannels = 64;  // that go together
inline constexpr int64_t kQuadLines = 4;           // lines of the kernel that one product of bytes takes

struct DepthwiseLines {
  int64_t count = 1;  // of the result, one behind the other
  // The image's lines under the kernel, [count][line_count]: pixel p of line l lies at lines[l] + p * strides[l]; stride 0 says that it is outside.
  const std::byte* const* lines = nullptr;
  const int64_t* strides = nullptr;
  int64_t line_count = 0;
  int64_t kernel_width = 0, stride = 1, dilation = 1, pad = 0, input_width = 0, output_width = 0;
  int64_t channels = 0;
  std::byte flip{};                    // turns x into u8; `zero` is x's own
  std::byte zero{};
  const std::byte* narrow = nullptr;   // i8 [block of 64 channels][kernel_width][quad of lines][64][4] for `narrow`, channels at place_in_lanes; or
  const int16_t* wide = nullptr;       // [tap][channels, rounded up to 64]
  const int32_t* seeds = nullptr;      // readable up to whole blocks
  BlockResult result;                  // of the first line's first pixel
  std::byte* scratch = nullptr;        // depthwise_scratch bytes
};

// Whether sums go by columns of the image, all channels that fill vectors (16, 32 or 64 of them); the rest, and other kernels, by quads in scratch memory.
constexpr bool goes_by_columns(const DepthwiseLines& d) {
  return d.dilation == 1 && d.stride <= 2 && ((d.kernel_width == 3 && d.line_count <= kQuadLines) || (d.kernel_width == 5 && d.line_count == 5));
}
constexpr int64_t vector_channels(int64_t left) { return left >= 64 ? 64 : left >= 32 ? 32 : left >= 16 ? 16 : 0; }
// Where a channel lies among those of its vectors: as unpacking bytes, then pairs of them, in lanes of 128 bits leaves sixteen.
constexpr int64_t place_in_lanes(const DepthwiseLines& d, int64_t channel) {
  if (!goes_by_columns(d)) return channel;
  int64_t first = 0, n = vector_channels(d.channels);
  for (; n > 0 && channel >= first + n; n = vector_channels(d.channels - first)) first += n;
  const int64_t c = channel - first;
  return n == 0 ? channel : first + (c % 16 / 4 * (n / 16) + c / 16) * 4 + c % 4;
}

constexpr int64_t depthwise_quads(int64_t lines) { return (lines + kQuadLines - 1) / kQuadLines; }
constexpr int64_t depthwise_columns(const DepthwiseLines& d) {
  return (d.output_width - 1) * d.stride + (d.kernel_width - 1) * d.dilation + 1;
}
constexpr int64_t depthwise_scratch(const DepthwiseLines& d) {
  return depthwise_columns(d) * depthwise_quads(d.line_count) * kQuadLines * kDepthwiseChannels;
}
// One of them.
inline DepthwiseLines line_at(const DepthwiseLines& d, int64_t line) {
  DepthwiseLines one = d;
  one.count = 1, one.lines += line * d.line_count, one.strides += line * d.line_count;
  const int64_t first = line * d.output_width * d.result.stride;
  if (one.result.sums) one.result.sums += first;
  if (one.result.quantized) one.result.quantized += first;
  return one;
}
struct IntegerDepthwiseKernel {
  void (*wide)(const DepthwiseLines&);
  void (*narrow)(const DepthwiseLines&);  // null: the tier has no products of bytes
};

}  // namespace tandem::cpu
