// A line of a convolution in which every channel has one filter of its own, on channels side by side.
#pragma once

#include "kernels/cpu/gemm/integer_block.h"

namespace tandem::cpu {

inline constexpr int64_t kDepthwiseChannels = 64;  // that go together
inline constexpr int64_t kQuadLines = 4;           // lines of the kernel that one product of bytes takes

struct DepthwiseLine {
  // The image's lines under the kernel: pixel p of line l lies at lines[l] + p * strides[l]; stride 0 says that it is outside.
  const std::byte* const* lines = nullptr;
  const int64_t* strides = nullptr;
  int64_t line_count = 0;
  int64_t kernel_width = 0, stride = 1, dilation = 1, pad = 0, input_width = 0, output_width = 0;
  int64_t channels = 0;
  std::byte flip{};                    // turns x into u8; `zero` is x's own
  std::byte zero{};
  const std::byte* narrow = nullptr;   // i8 [block of 64 channels][kernel_width][quad of lines][64][4], for `narrow`; or
  const int16_t* wide = nullptr;       // [tap][channels, rounded up to 64]
  const int32_t* seeds = nullptr;      // readable up to whole blocks
  BlockResult result;                  // of the line's first pixel
  std::byte* scratch = nullptr;        // depthwise_scratch bytes
};

constexpr int64_t depthwise_quads(int64_t lines) { return (lines + kQuadLines - 1) / kQuadLines; }
constexpr int64_t depthwise_columns(const DepthwiseLine& d) {
  return (d.output_width - 1) * d.stride + (d.kernel_width - 1) * d.dilation + 1;
}
constexpr int64_t depthwise_scratch(const DepthwiseLine& d) {
  return depthwise_columns(d) * depthwise_quads(d.line_count) * kQuadLines * kDepthwiseChannels;
}
struct IntegerDepthwiseKernel {
  void (*wide)(const DepthwiseLine&);
  void (*narrow)(const DepthwiseLine&);  // null: the tier has no products of bytes
};

}  // namespace tandem::cpu
