// Coordinates and filters as the specification of ONNX Resize-19 has them.
#include "kernels/cpu/resize_table.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/checked.h"

namespace tandem::cpu {
namespace {

// The position of x that position `o` of y stands for.
double source_position(double o, double in, double out, const ResizeAxis& axis, ResizeCoordinates coordinates) {
  const double wanted = axis.scale * in;  // the size of y before rounding
  const double half = (o + 0.5) / axis.scale - 0.5;
  switch (coordinates) {
    case ResizeCoordinates::kHalfPixel: return half;
    case ResizeCoordinates::kHalfPixelSymmetric: return in / 2 * (1 - out / wanted) + half;
    case ResizeCoordinates::kPytorchHalfPixel: return out > 1 ? half : 0;  // as onnxruntime reads length_resized
    case ResizeCoordinates::kAlignCorners: return wanted == 1 ? 0 : o * (in - 1) / (wanted - 1);
    case ResizeCoordinates::kAsymmetric: return o / axis.scale;
    case ResizeCoordinates::kTfHalfPixelForNn: return (o + 0.5) / axis.scale;
    case ResizeCoordinates::kTfCropAndResize: break;
  }
  const double region = (axis.region_end - axis.region_begin) * (in - 1);
  return axis.region_begin * (in - 1) + (wanted == 1 ? region / 2 : o * region / (wanted - 1));
}

// The same in float, where it is a quotient: what lies next to a tie falls to the side where it falls in other runtimes, and files made for them
// rely on it. 17 / 1.7f is 10 in float and less in double.
double float_position(double o, double in, double out, const ResizeAxis& axis, ResizeCoordinates coordinates) {
  const auto at = static_cast<float>(o), scale = static_cast<float>(axis.scale);
  switch (coordinates) {
    case ResizeCoordinates::kPytorchHalfPixel:
      if (!(out > 1)) return 0;
      [[fallthrough]];
    case ResizeCoordinates::kHalfPixel: return (at + 0.5f) / scale - 0.5f;
    case ResizeCoordinates::kAsymmetric: return at / scale;
    case ResizeCoordinates::kTfHalfPixelForNn: return (at + 0.5f) / scale;
    default: return source_position(o, in, out, axis, coordinates);
  }
}

double nearest(double position, ResizeRounding rounding) {
  switch (rounding) {
    case ResizeRounding::kPreferFloor: return std::ceil(position - 0.5);
    case ResizeRounding::kPreferCeil: return std::floor(position + 0.5);
    case ResizeRounding::kFloor: return std::floor(position);
    case ResizeRounding::kCeil: break;
  }
  return std::ceil(position);
}

double cubic(double distance, double a) {
  const double d = std::fabs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

// How far the filter reaches on either side, in positions of x, when it is stretched by `stretch` <= 1.
double reach_of(ResizeMode mode, double stretch) { return (mode == ResizeMode::kLinear ? 1 : 2) / stretch; }

double stretch_of(const ResizeAxis& axis, const ResizeOptions& options) {
  return options.antialias ? std::min(axis.scale, 1.0) : 1.0;
}

// Taps first, first + 1, ... of one position, whose weights are made to add up to 1.
void fill_filter(double position, int64_t in, double stretch, int64_t taps, const ResizeOptions& options, int32_t* index,
                 double* weight) {
  const double base = std::floor(position);
  double total = 0;
  for (int64_t t = 0; t < taps; ++t) {
    const double at = base + static_cast<double>(t - taps / 2 + 1), distance = (at - position) * stretch;
    weight[t] = options.mode == ResizeMode::kLinear ? std::max(0.0, 1 - std::fabs(distance)) : cubic(distance, options.cubic_a);
    if (options.exclude_outside && (at < 0 || at >= static_cast<double>(in))) weight[t] = 0;
    index[t] = static_cast<int32_t>(std::clamp(at, 0.0, static_cast<double>(in - 1)));
    total += weight[t];
  }
  if (total != 0)
    for (int64_t t = 0; t < taps; ++t) weight[t] /= total;
}

}  // namespace

int64_t most_resize_taps(int64_t in, int64_t out, const ResizeOptions& options) {
  if (options.mode == ResizeMode::kNearest) return out;
  const int64_t plain = checked_mul(out, 6, "taps of a resized axis");
  // A stretched filter has up to 4 / scale + 2 taps, and the scale is at least out / (2 * in).
  return options.antialias ? checked_add(plain, checked_mul(in, 8, "taps of a resized axis"), "taps of a resized axis") : plain;
}

ResizeTable make_resize_table(int64_t in, int64_t out, const ResizeAxis& axis, const ResizeOptions& options,
                              std::span<int32_t> index, std::span<double> weight) {
  const bool crops = options.coordinates == ResizeCoordinates::kTfCropAndResize;
  ResizeTable table{.in = in, .out = out};
  table.identity = in == out && axis.scale == 1 && (!crops || (axis.region_begin == 0 && axis.region_end == 1));
  if (table.identity || out == 0) return table;
  require(in > 0 && in <= INT32_MAX, "an axis of this size cannot be resized", in, out);
  const double stretch = stretch_of(axis, options);
  if (options.mode != ResizeMode::kNearest) table.taps = 2 * static_cast<int64_t>(std::ceil(reach_of(options.mode, stretch)));
  ensure(checked_mul(out, table.taps) <= static_cast<int64_t>(index.size()) && index.size() == weight.size(),
         "table of a resized axis is too small", out, table.taps);
  for (int64_t o = 0; o < out; ++o) {
    int32_t* own_index = index.data() + o * table.taps;
    double* own_weight = weight.data() + o * table.taps;
    const auto position_of = options.mode == ResizeMode::kNearest ? float_position : source_position;
    const double position =
        position_of(static_cast<double>(o), static_cast<double>(in), static_cast<double>(out), axis, options.coordinates);
    if (crops && !(position >= 0 && position <= static_cast<double>(in - 1))) {
      std::fill_n(own_index, table.taps, -1);
      std::fill_n(own_weight, table.taps, 0.0);
    } else if (options.mode == ResizeMode::kNearest) {
      *own_index = static_cast<int32_t>(std::clamp(nearest(position, options.rounding), 0.0, static_cast<double>(in - 1)));
      *own_weight = 1;
    } else {
      fill_filter(position, in, stretch, table.taps, options, own_index, own_weight);
    }
  }
  table.index = index.data();
  table.weight = weight.data();
  return table;
}

}  // namespace tandem::cpu
