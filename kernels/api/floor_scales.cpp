#include "kernels/api/floor_scales.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/base/checked.h"

namespace tandem {
namespace {

constexpr size_t kMostSteps = 256, kLanes = 8;  // of vectors, for the compiler
// With these bounds every number below is a double without error: the slope's last bit is worth 2^-43 at least, products stay below 2^10.
constexpr double kLeastSlope = 0x1p-20, kLargestSlope = 0.25, kLargestOffset = 512;
constexpr double kLargestSum = 0x1p24;    // that floats hold, as all before it
constexpr double kLargestShift = 0x1p30;  // of ties by a bias, in sums
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kUncertain = 0x1p-16;    // more than the error of a tie in doubles

// The steps of a function: the least sum that has each of its results but the lowest. In whole lanes: the last step stands there more than once.
struct Steps {
  size_t count = 0;
  alignas(64) std::array<double, kMostSteps> results, sums;
};

// False: some lie beyond kLargestSum.
bool find_steps(const ResultScale& scale, int32_t low, int32_t high, Steps& steps) {
  constexpr double kRounding = 0x1.8p52;  // plus and minus this: the nearest whole number
  const double step = scale.unit / scale.product, shift = (scale.bias + scale.bias_rest) / scale.product;
  if (!(std::abs(shift) < kLargestShift) || !(std::abs((low + 0.5) * step - shift) < kLargestSum - 2) ||
      !(std::abs((high - 0.5) * step - shift) < kLargestSum - 2))
    return false;
  steps.count = static_cast<size_t>(round_up(high - low, kLanes));
  std::array<double, kLanes> nearest_ties;
  nearest_ties.fill(1);
  for (size_t i = 0; i < steps.count; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const double result = std::min(low + 1 + static_cast<double>(static_cast<int32_t>(i + lane)), static_cast<double>(high));
      const double tie = (result - 0.5) * step - shift, nearest = (tie + kRounding) - kRounding;
      steps.results[i + lane] = result;
      steps.sums[i + lane] = nearest + (nearest < tie ? 1.0 : 0.0);
      nearest_ties[lane] = std::min(nearest_ties[lane], std::abs(tie - nearest));
    }
  if (!(*std::ranges::min_element(nearest_ties) < kUncertain)) return true;
  for (size_t i = 0; i < steps.count; ++i) {
    const double tie = (steps.results[i] - 0.5) * step - shift, nearest = (tie + kRounding) - kRounding;
    if (std::abs(tie - nearest) < kUncertain)
      steps.sums[i] = nearest + (requantized(static_cast<int32_t>(nearest), scale, low, high) < steps.results[i] ? 1 : 0);
  }
  return true;
}

// What steps leave to the offset of a slope: from `least` on and below `limit`, which the steps at these sums say.
struct Bounds {
  double least = -kInfinity, limit = kInfinity;
  double least_at = 0, limit_at = 0;
};
Bounds bounds_of(const Steps& steps, double slope) {
  std::array<double, kLanes> least, limit;
  least.fill(-kInfinity), limit.fill(kInfinity);
  for (size_t i = 0; i < steps.count; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const double at_step = steps.results[i + lane] - slope * steps.sums[i + lane];
      least[lane] = std::max(least[lane], at_step), limit[lane] = std::min(limit[lane], at_step + slope);
    }
  return {.least = *std::ranges::max_element(least), .limit = *std::ranges::min_element(limit)};
}
// The same, and where these are, without the steps at the sums `but`.
Bounds bounds_without(const Steps& steps, double slope, const Bounds& but) {
  Bounds bounds;
  for (size_t i = 0; i < steps.count; ++i) {
    const double at_step = steps.results[i] - slope * steps.sums[i];
    if (at_step > bounds.least && steps.sums[i] != but.least_at) bounds.least = at_step, bounds.least_at = steps.sums[i];
    if (at_step + slope < bounds.limit && steps.sums[i] != but.limit_at) bounds.limit = at_step + slope, bounds.limit_at = steps.sums[i];
  }
  return bounds;
}

// Whether a float lies in [least, limit).
bool find_between(double least, double limit, float& offset) {
  offset = static_cast<float>((least + limit) / 2);
  return std::abs(offset) <= kLargestOffset && least <= offset && offset < limit;
}

}  // namespace

FloorLine find_floor_line(const ResultScale& scale, int32_t low, int32_t high) {
  const double quotient = scale.product / scale.unit;
  Steps steps;
  if (!(scale.unit > 0) || !(quotient > kLeastSlope) || !(quotient < kLargestSlope) || low >= high || high - low > 255 ||
      !find_steps(scale, low, high, steps))
    return {};
  const auto slope_beside = [&](int ulps) { return std::bit_cast<float>(std::bit_cast<int32_t>(static_cast<float>(quotient)) + ulps); };
  float offset;
  for (const int beside : {0, 1, -1}) {
    const float slope = slope_beside(beside);
    const Bounds bounds = bounds_of(steps, slope);
    if (find_between(bounds.least, bounds.limit, offset)) return {slope, offset, kNoException};
  }
  // A step may come one sum late, or one early.
  for (const int beside : {0, 1, -1}) {
    const float slope = slope_beside(beside);
    const Bounds first = bounds_without(steps, slope, {.least_at = kInfinity, .limit_at = kInfinity}), second = bounds_without(steps, slope, first);
    if (find_between(std::max(second.least, first.least - slope), first.limit, offset)) return {slope, offset, static_cast<int32_t>(first.least_at)};
    if (find_between(first.least, std::min(second.limit, first.limit + slope), offset))
      return {slope, offset, static_cast<int32_t>(first.limit_at) - 1};
  }
  return {};
}

}  // namespace tandem
