// Resize, Upsample and their gradient, against a filter that is evaluated at every pixel, axis by axis.
#include <algorithm>
#include <cmath>

#include "tests/conformance/cases/cases.h"
#include "tests/conformance/cases/differences.h"

namespace tandem::conformance {
namespace {

using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;

struct Problem {
  std::string what;
  Shape x;
  Floats scales = {};  // one an axis, or
  Ints sizes = {};     // likewise, or both where the sizes are rounded
  std::string mode = "nearest", coordinates = "half_pixel", rounding = "round_prefer_floor";
  bool antialias = false, exclude_outside = false;
  Floats roi = {};
  float extrapolation = 0, a = -0.75f;

  Shape y() const {
    Shape shape = x;
    for (int i = 0; i < x.rank(); ++i) {
      const auto at = static_cast<size_t>(i);
      shape.set(i, sizes.empty() ? static_cast<int64_t>(std::floor(static_cast<float>(x[i]) * scales[at])) : sizes[at]);
    }
    return shape;
  }
  double scale(int axis) const {
    const auto at = static_cast<size_t>(axis);
    return scales.empty() ? static_cast<double>(sizes[at]) / static_cast<double>(x[axis]) : static_cast<double>(scales[at]);
  }
  Attributes attributes() const {
    Attributes all = {{"mode", mode}, {"coordinate_transformation_mode", coordinates}, {"nearest_mode", rounding}};
    if (antialias) all["antialias"] = int64_t{1};
    if (exclude_outside) all["exclude_outside"] = int64_t{1};
    if (extrapolation != 0) all["extrapolation_value"] = extrapolation;
    all["cubic_coeff_a"] = a;
    return all;
  }
};

double position(const Problem& p, int axis, int64_t index) {
  const double scale = p.scale(axis), in = static_cast<double>(p.x[axis]), o = static_cast<double>(index),
               out = static_cast<double>(p.y()[axis]);
  const double length = in * scale;
  if (p.coordinates == "asymmetric") return o / scale;
  if (p.coordinates == "align_corners") return length == 1 ? 0 : o * (in - 1) / (length - 1);
  if (p.coordinates == "tf_half_pixel_for_nn") return (o + 0.5) / scale;
  if (p.coordinates == "pytorch_half_pixel" && out == 1) return 0;
  if (p.coordinates == "tf_crop_and_resize") {
    const double begin = static_cast<double>(p.roi[static_cast<size_t>(axis)]),
                 end = static_cast<double>(p.roi[static_cast<size_t>(axis + p.x.rank())]);
    if (length == 1) return 0.5 * (begin + end) * (in - 1);
    return begin * (in - 1) + o * (end - begin) * (in - 1) / (length - 1);
  }
  const double half = (o + 0.5) / scale - 0.5;
  return p.coordinates == "half_pixel_symmetric" ? half + in / 2 * (1 - out / length) : half;
}

double filter(const Problem& p, double distance) {
  const double d = std::fabs(distance), a = static_cast<double>(p.a);
  if (p.mode == "linear") return std::max(0.0, 1 - d);
  if (d <= 1) return (a + 2) * d * d * d - (a + 3) * d * d + 1;
  return d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
}

int64_t rounded(const std::string& rounding, double at) {
  const double below = std::floor(at), rest = at - below;
  const bool up = rounding == "ceil"                ? rest > 0
                  : rounding == "floor"             ? false
                  : rounding == "round_prefer_ceil" ? rest >= 0.5
                                                    : rest > 0.5;
  return static_cast<int64_t>(below) + up;
}

// Weights of all pixels of an axis for one position of y.
std::vector<double> weights(const Problem& p, int axis, int64_t index) {
  const int64_t size = p.x[axis];
  std::vector<double> of(static_cast<size_t>(size), 0.0);
  const double at = position(p, axis, index), stretch = p.antialias ? std::min(1.0, p.scale(axis)) : 1;
  const auto clamped = [&](int64_t i) { return static_cast<size_t>(std::clamp<int64_t>(i, 0, size - 1)); };
  if (p.mode == "nearest") {
    of[clamped(rounded(p.rounding, at))] = 1;
    return of;
  }
  double total = 0;
  for (int64_t i = -40; i < size + 40; ++i) {
    if (p.exclude_outside && (i < 0 || i >= size)) continue;
    const double weight = filter(p, (static_cast<double>(i) - at) * stretch);
    of[clamped(i)] += weight;
    total += weight;
  }
  for (double& weight : of) weight /= total;
  return of;
}

Reference resized(const Problem& p) {
  return [p](const std::vector<Tensor>& in) {
    Shape shape = p.x;
    std::vector<double> values = numbers(in[0]);
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const int64_t size = p.y()[axis], inner = shape.product(axis + 1, shape.rank()), outer = shape.product(0, axis);
      std::vector<double> next(static_cast<size_t>(outer * size * inner), 0.0);
      for (int64_t o = 0; o < size; ++o) {
        const double at = position(p, axis, o);
        const bool outside = p.coordinates == "tf_crop_and_resize" && (at < 0 || at > static_cast<double>(p.x[axis] - 1));
        const std::vector<double> of = weights(p, axis, o);
        for (int64_t r = 0; r < outer * inner; ++r) {
          double& y = next[static_cast<size_t>((r / inner * size + o) * inner + r % inner)];
          for (int64_t i = 0; i < shape[axis]; ++i)
            y += of[static_cast<size_t>(i)] * values[static_cast<size_t>((r / inner * shape[axis] + i) * inner + r % inner)];
          if (outside) y = static_cast<double>(p.extrapolation);
        }
      }
      shape.set(axis, size);
      values = std::move(next);
    }
    if (!is_float(in[0].dtype()))
      for (double& v : values) v = std::trunc(v);
    return std::vector{f64(shape, values)};
  };
}

Tensor floats(const Floats& values) { return f32({static_cast<int64_t>(values.size())}, values); }

const Problem kProblems[] = {
    {.what = "nearest up", .x = {2, 3, 4, 5}, .scales = {1, 1, 2, 3}},
    {.what = "nearest, any axes", .x = {2, 3, 4}, .sizes = {5, 2, 4}, .coordinates = "asymmetric", .rounding = "floor"},
    {.what = "nearest down", .x = {1, 2, 7, 9}, .scales = {1, 1, 0.6f, 0.4f}, .coordinates = "align_corners", .rounding = "ceil"},
    {.what = "nearest half", .x = {1, 1, 4, 6}, .scales = {1, 1, 0.5f, 1.5f}, .rounding = "round_prefer_ceil"},
    {.what = "nearest of tf",
     .x = {1, 1, 4, 6},
     .sizes = {1, 1, 7, 3},
     .coordinates = "tf_half_pixel_for_nn",
     .rounding = "floor"},
    {.what = "linear up", .x = {2, 3, 4, 5}, .scales = {1, 1, 2, 2}, .mode = "linear"},
    {.what = "linear odd", .x = {1, 2, 5, 4}, .sizes = {1, 2, 8, 11}, .mode = "linear", .coordinates = "align_corners"},
    {.what = "linear down",
     .x = {1, 2, 7, 6},
     .scales = {1, 1, 0.6f, 0.5f},
     .mode = "linear",
     .coordinates = "pytorch_half_pixel"},
    {.what = "linear to one", .x = {1, 2, 7, 6}, .sizes = {1, 2, 1, 1}, .mode = "linear", .coordinates = "pytorch_half_pixel"},
    {.what = "linear, one and a half is one", .x = {1, 2, 3, 3}, .scales = {1, 1, 0.5f, 0.5f}, .mode = "linear", .coordinates = "pytorch_half_pixel"},
    {.what = "linear, symmetric",
     .x = {1, 1, 5, 6},
     .scales = {1, 1, 2.3f, 0.7f},
     .mode = "linear",
     .coordinates = "half_pixel_symmetric"},
    {.what = "linear volume", .x = {1, 2, 3, 4, 3}, .sizes = {1, 2, 5, 3, 6}, .mode = "linear", .coordinates = "asymmetric"},
    {.what = "linear line", .x = {2, 2, 7}, .sizes = {2, 2, 12}, .mode = "linear"},
    {.what = "linear, channels last", .x = {2, 4, 5, 3}, .sizes = {2, 7, 3, 3}, .mode = "linear"},
    {.what = "linear, channels too", .x = {2, 3, 4, 2}, .sizes = {3, 4, 4, 5}, .mode = "linear"},
    {.what = "linear, excluding", .x = {1, 1, 4, 4}, .sizes = {1, 1, 7, 3}, .mode = "linear", .exclude_outside = true},
    {.what = "linear antialias", .x = {1, 2, 9, 8}, .sizes = {1, 2, 4, 3}, .mode = "linear", .antialias = true},
    {.what = "cubic up", .x = {1, 2, 4, 5}, .scales = {1, 1, 2, 1.5f}, .mode = "cubic"},
    {.what = "cubic, excluding", .x = {1, 1, 5, 4}, .sizes = {1, 1, 3, 7}, .mode = "cubic", .exclude_outside = true, .a = -0.5f},
    {.what = "cubic antialias",
     .x = {1, 1, 9, 8},
     .scales = {1, 1, 0.4f, 0.7f},
     .mode = "cubic",
     .antialias = true,
     .exclude_outside = true},
    {.what = "crop",
     .x = {1, 2, 5, 6},
     .sizes = {1, 2, 4, 7},
     .mode = "linear",
     .coordinates = "tf_crop_and_resize",
     .roi = {0, 0, 0.2f, -0.1f, 1, 1, 0.7f, 1.2f},
     .extrapolation = 3.5f},
    {.what = "crop, nearest",
     .x = {1, 2, 5, 6},
     .sizes = {1, 2, 4, 1},
     .coordinates = "tf_crop_and_resize",
     .roi = {0, 0, 0.6f, 0.4f, 1, 1, 1.2f, 0.6f},
     .extrapolation = -1},
    {.what = "same size", .x = {2, 3, 4}, .scales = {1, 1, 1}, .mode = "cubic"},
    {.what = "empty", .x = {0, 2, 3, 3}, .scales = {1, 1, 2, 2}, .mode = "linear"},
    {.what = "to nothing", .x = {1, 2, 3, 3}, .sizes = {1, 2, 0, 4}, .mode = "linear"},
    {.what = "large", .x = {2, 3, 40, 50}, .sizes = {2, 3, 77, 61}, .mode = "linear"},
    {.what = "large, nearest", .x = {2, 3, 40, 50}, .scales = {1, 1, 2, 2}, .coordinates = "asymmetric", .rounding = "floor"},
};

void add_problem(Cases& cases, const Problem& p) {
  const Tensor roi = p.roi.empty() ? Tensor() : floats(p.roi);
  const Tensor scales = p.sizes.empty() ? floats(p.scales) : Tensor(), sizes = p.sizes.empty() ? Tensor() : i64(p.sizes);
  const bool small = p.x.elements() < 1000 && p.y().elements() > 0;
  Case one = {.op = "Resize",
              .what = p.what,
              .inputs = {uniform(p.x), roi, scales},
              .attributes = p.attributes(),
              .constants = {1, 2, 3},
              .reference = resized(p),
              .atol = 2e-6,
              .gradient = small,
              .typed = {1, 2}};
  if (sizes) one.inputs.push_back(sizes);
  cases.push_back(one);
  if (!small) return;
  Tensor shape = i64(Ints(p.x.dims().begin(), p.x.dims().end()));
  one.op = "tandem.ResizeGrad";
  one.inputs = {uniform(p.y(), -1, 1, 8), shape, roi, scales};
  if (sizes) one.inputs.push_back(sizes);
  one.constants = {1, 2, 3, 4};
  one.reference = [p](const std::vector<Tensor>& in) { return std::vector{differences(resized(p), {uniform(p.x)}, 0, in[0])}; };
  cases.push_back(one);
}

void add_axes_and_policies(Cases& cases) {
  const auto add = [&](const Problem& p, const char* policy, Ints sizes) {
    Attributes attributes = p.attributes();
    attributes["axes"] = Ints{3, 1};
    attributes["keep_aspect_ratio_policy"] = std::string(policy);
    cases.push_back({.op = "Resize",
                     .what = policy,
                     .inputs = {uniform(p.x), Tensor(), Tensor(), i64(sizes)},
                     .attributes = attributes,
                     .constants = {3},
                     .reference = resized(p)});
  };
  add({.what = "", .x = {1, 4, 2, 6}, .sizes = {1, 5, 2, 3}, .mode = "linear"}, "stretch", {3, 5});
  add({.what = "", .x = {1, 4, 2, 6}, .scales = {1, 0.5f, 1, 0.5f}, .mode = "linear"}, "not_larger", {3, 5});
  add({.what = "", .x = {1, 4, 2, 6}, .scales = {1, 1.25f, 1, 1.25f}, .sizes = {1, 5, 2, 8}, .mode = "nearest"}, "not_smaller",
      {3, 5});
}

// Types, and the versions that read their lists elsewhere.
void add_versions(Cases& cases) {
  const Problem linear = {
      .what = "", .x = {1, 2, 3, 4}, .scales = {1, 1, 2, 1.5f}, .mode = "linear", .coordinates = "asymmetric"};
  const Problem nearest = {
      .what = "", .x = {1, 2, 3, 4}, .scales = {1, 1, 2, 1.5f}, .coordinates = "asymmetric", .rounding = "floor"};
  const Tensor x = uniform(linear.x), scales = floats(linear.scales);
  for (const Problem& p : {linear, nearest}) {
    const Attributes mode = {{"mode", p.mode}};
    cases.push_back({.op = "Resize",
                     .what = "of old",
                     .inputs = {x, scales},
                     .attributes = mode,
                     .opset = 10,
                     .constants = {1},
                     .reference = resized(p),
                     .typed = {1}});
    cases.push_back({.op = "Upsample",
                     .inputs = {x, scales},
                     .attributes = mode,
                     .opset = 9,
                     .constants = {1},
                     .reference = resized(p),
                     .typed = {1}});
    Attributes listed = mode, named = mode;
    listed["scales"] = p.scales;
    named["height_scale"] = 2.0f, named["width_scale"] = 1.5f;
    if (p.mode == "linear") named["mode"] = std::string("bilinear");
    cases.push_back({.op = "Upsample", .inputs = {x}, .attributes = listed, .opset = 7, .reference = resized(p)});
    cases.push_back(
        {.op = "Upsample", .inputs = {x}, .attributes = named, .opset = 6, .reference = resized(p), .round_trip = false});
    for (DType dtype : {DType::kU8, DType::kI32, DType::kI64})
      cases.push_back({.op = "Resize",
                       .what = "integers",
                       .inputs = {as(dtype, uniform(p.x, 0, 100)), Tensor(), scales},
                       .attributes = p.attributes(),
                       .constants = {2},
                       .reference = resized(p)});
  }
  cases.push_back({.op = "Resize",
                   .what = "bool",
                   .inputs = {booleans({1, 2}, {true, false}), Tensor(), floats({2, 2})},
                   .constants = {2},
                   .reference = fixed(f64({2, 4}, {1, 1, 0, 0, 1, 1, 0, 0}))});
}

}  // namespace

void add_resize_cases(Cases& cases) {
  for (const Problem& p : kProblems) add_problem(cases, p);
  add_axes_and_policies(cases);
  add_versions(cases);
}

}  // namespace tandem::conformance
