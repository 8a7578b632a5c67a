#include "kernels/api/requantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>

#include "kernels/api/floor_scales.h"
#include "kernels/api/quantize.h"
#include "kernels/base/checked.h"

namespace tandem {
namespace {

constexpr int64_t kAlignment = 64;
constexpr double kLargest = 1 << 20;  // of a quotient that need not be saturated

// The sign of an exact sum: the terms grow an expansion, whose components do not overlap and have no error.
int sign_of_sum(const std::array<double, 5>& terms) {
  std::array<double, 5> parts;
  size_t count = 0;
  for (const double term : terms) {
    double carry = term;
    for (size_t i = 0; i < count; ++i) {
      const double sum = carry + parts[i], part = sum - carry;
      parts[i] = (carry - (sum - part)) + (parts[i] - part);
      carry = sum;
    }
    parts[count++] = carry;
  }
  for (size_t i = count; i-- > 0;)
    if (parts[i] != 0) return parts[i] > 0 ? 1 : -1;
  return 0;
}

// A bias as the sum of two doubles without error.
void set_bias(const ProductScaling& s, size_t channel, ResultScale& scale) {
  if (!s.bias) return;
  if (s.bias.dtype == DType::kF32) {
    scale.bias = static_cast<double>(s.bias.as<float>()[channel]);
    return;
  }
  const auto units = static_cast<double>(s.bias.as<int32_t>()[channel]);
  const double unit =
      s.bias_scales.empty() ? scale.product : static_cast<double>(s.bias_scales[s.bias_scales.size() == 1 ? 0 : channel]);
  scale.bias = units * unit;
  scale.bias_rest = std::fma(units, unit, -scale.bias);
}

// A bound of an activation, among the numbers before the zero point is added.
int32_t bound_of(float value, double unit, int32_t low, int32_t high) {
  if (std::isinf(value)) return value < 0 ? low : high;
  return requantized(0, {.product = 0, .bias = static_cast<double>(value), .bias_rest = 0, .unit = unit}, low, high);
}

}  // namespace

int32_t requantized(int32_t sum, const ResultScale& scale, int32_t low, int32_t high) {
  const double product = sum * scale.product, rest = std::fma(static_cast<double>(sum), scale.product, -product);
  const double quotient = ((product + scale.bias) + (rest + scale.bias_rest)) / scale.unit;
  if (!(quotient > -kLargest)) return low;
  if (!(quotient < kLargest)) return high;
  const double below = std::floor(quotient), half = (below + 0.5) * scale.unit;
  const int side = sign_of_sum({product, rest, scale.bias, scale.bias_rest, -half}) * (scale.unit < 0 ? -1 : 1);
  const auto lower = static_cast<int32_t>(below);
  const bool up = side > 0 || (side == 0 && lower % 2 != 0);
  return std::clamp(lower + (up ? 1 : 0), low, high);
}

size_t output_scales_bytes(int64_t channels) {
  const int64_t floats = round_up(channels * static_cast<int64_t>(sizeof(float)), kAlignment);
  return static_cast<size_t>(6 * floats + round_up(channels * static_cast<int64_t>(sizeof(ResultScale)), kAlignment));
}

OutputScales make_output_scales(std::span<std::byte> memory, const ProductScaling& s) {
  const size_t biases = s.bias ? static_cast<size_t>(s.bias.elements()) : 1, channels = std::max(s.w_scales.size(), biases);
  require(s.w_scales.size() == 1 || s.w_scales.size() == channels, "scales of a weight must be one, or one a channel",
          s.w_scales.size(), channels);
  require(!s.bias || biases == channels, "there must be one bias a channel (biases, channels)", biases, channels);
  require(s.bias_scales.size() <= 1 || s.bias_scales.size() == biases, "scales of a bias must be one, or one a channel",
          s.bias_scales.size(), biases);
  ensure(memory.size() >= output_scales_bytes(static_cast<int64_t>(channels)), "too little memory for scales", memory.size());
  const auto stride = static_cast<size_t>(round_up(static_cast<int64_t>(channels * sizeof(float)), kAlignment));
  auto* multiplier = reinterpret_cast<float*>(memory.data());
  auto* addend = reinterpret_cast<float*>(memory.data() + stride);
  auto* tolerance = reinterpret_cast<float*>(memory.data() + 2 * stride);
  auto* slope = reinterpret_cast<float*>(memory.data() + 3 * stride);
  auto* offset = reinterpret_cast<float*>(memory.data() + 4 * stride);
  auto* exception = reinterpret_cast<int32_t*>(memory.data() + 5 * stride);
  auto* exact = reinterpret_cast<ResultScale*>(memory.data() + 6 * stride);
  const IntegerRange range = quantized_range(s.y_type);
  const auto unit = static_cast<double>(s.y_scale);
  const int32_t lowest = static_cast<int32_t>(range.lowest) - s.y_zero, highest = static_cast<int32_t>(range.highest) - s.y_zero;
  const int32_t low = bound_of(s.lowest, unit, lowest, highest), high = bound_of(s.highest, unit, lowest, highest);
  const float largest = std::max(std::abs(static_cast<float>(lowest)), std::abs(static_cast<float>(highest))) + 1;
  for (size_t c = 0; c < channels; ++c) {
    ResultScale scale;
    scale.product = static_cast<double>(s.x_scale) * static_cast<double>(s.w_scales[s.w_scales.size() == 1 ? 0 : c]);
    scale.unit = unit;
    set_bias(s, c, scale);
    std::construct_at(exact + c, scale);
    multiplier[c] = static_cast<float>(scale.product / unit);
    addend[c] = static_cast<float>((scale.bias + scale.bias_rest) / unit);
    // Five roundings at most of numbers below largest + |addend|, each of 2^-24 of them: the sum, the multiplier, the product, the addend or the
    // result, whose bounds are a part each. Scales at the limits of f32: always exactly.
    // And those with which a sum could be farther than 2^30 from 0.
    const bool sound = std::isnormal(multiplier[c]) && std::abs(multiplier[c]) < 0.25f && std::abs(addend[c]) < 0x1p29f;
    tolerance[c] = sound ? (largest + std::abs(addend[c])) * 5.5f * 0x1p-24f : 1.0f;
    if (!s.with_floors) continue;
    const FloorLine line = find_floor_line(scale, low, high);
    slope[c] = line.slope, offset[c] = line.offset, exception[c] = line.exception;
  }
  return {.count = static_cast<int64_t>(channels),
          .multiplier = multiplier,
          .addend = addend,
          .tolerance = tolerance,
          .exact = exact,
          .low = low,
          .high = high,
          .zero = s.y_zero,
          .floors = s.with_floors ? FloorScales{slope, offset, exception} : FloorScales{}};
}

}  // namespace tandem
