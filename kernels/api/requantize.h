// From exact sums of integer products to quantized numbers: the one definition of what quantized products and convolutions give.
//
//   y = saturate(nearest((sum * x_scale * w_scale + bias) / y_scale) + y_zero)      ties to even
//
// in *exact* arithmetic on the f32 scales: what DequantizeLinear -> product -> QuantizeLinear means on real numbers, with one
// rounding at the end. So the result is the same in any order of sums, by any instruction set and on any number of threads.
// Computed in f32, and again exactly (sums of doubles without error: Shewchuk 1997) where f32 is too near to a tie to tell.
// Activations are clamps: rounding is monotone, so that clamping the quantized numbers is the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "kernels/base/dtype.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// What a sum stands for: sum * product + bias + bias_rest, in units of `unit`. Each is exact: products of two f32 are doubles.
struct ResultScale {
  double product = 1;
  double bias = 0, bias_rest = 0;
  double unit = 1;
};

// The integer nearest to the value of a sum, in [low, high]; NaN gives `low`. Right for quotients of terms below 2^45.
int32_t requantized(int32_t sum, const ResultScale& scale, int32_t low, int32_t high);

// What the scales of a product with quantized result are made of.
struct ProductScaling {
  float x_scale = 1;
  std::span<const float> w_scales;  // one, or one a channel
  float y_scale = 1;
  ConstTensorView bias = {};                // null, or one a channel: i32 (in units of bias_scales) or f32
  std::span<const float> bias_scales = {};  // of an i32 bias: one, or one a channel; empty: x_scale * w_scale, unrounded
  DType y_type = DType::kU8;
  int32_t y_zero = 0;
  // The bounds of the activation.
  float lowest = -std::numeric_limits<float>::infinity(), highest = std::numeric_limits<float>::infinity();
  bool with_floors = false;  // looks for FloorScales, 1 to 5 microseconds a channel: for scales that stay
};

// A second form, that needs no look for ties: clamp(floor(sum * slope + offset)) is the result of every sum but `exception`, if the number is rounded once,
// down, before it is floored. One of each a channel (kernels/api/floor_scales.h).
struct FloorScales {
  const float *slope = nullptr, *offset = nullptr;  // slope 0: none was found; null: none was looked for
  const int32_t* exception = nullptr;               // or kNoException
};
inline constexpr int32_t kNoException = std::numeric_limits<int32_t>::min();

// The same for a kernel: one of each a channel, or one for all (count 1).
struct OutputScales {
  int64_t count = 1;
  const float *multiplier = nullptr, *addend = nullptr;  // sum * multiplier + addend, in units of y_scale, but for rounding
  const float* tolerance = nullptr;                      // how far from that the exact number may lie
  const ResultScale* exact = nullptr;
  int32_t low = 0, high = 0;  // of the result before the zero point is added
  int32_t zero = 0;
  FloorScales floors = {};

  // Those of the channels from `channel` on.
  OutputScales from(int64_t channel) const {
    OutputScales own = *this;
    if (count == 1) return own;
    own.multiplier += channel, own.addend += channel, own.tolerance += channel, own.exact += channel;
    if (floors.slope) own.floors = {floors.slope + channel, floors.offset + channel, floors.exception + channel};
    return own;
  }
};
size_t output_scales_bytes(int64_t channels);
// `memory`: of that size for the larger of the counts of w_scales and bias, aligned to 64. The result points into it.
OutputScales make_output_scales(std::span<std::byte> memory, const ProductScaling& scaling);

}  // namespace tandem
