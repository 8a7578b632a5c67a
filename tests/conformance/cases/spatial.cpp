// Ops that rearrange pixels: depth and space, centered crops.
#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

using Ints = std::vector<int64_t>;

// y[n, c, h * b + i, w * b + j] = x[n, channel of (c, i, j), h, w]
Reference depth_to_space(int64_t block, bool outer) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& s = in[0].shape();
    const std::vector<double> x = numbers(in[0]);
    const Shape shape{s[0], s[1] / (block * block), s[2] * block, s[3] * block};
    std::vector<double> y;
    for (int64_t n = 0; n < shape[0]; ++n)
      for (int64_t c = 0; c < shape[1]; ++c)
        for (int64_t h = 0; h < shape[2]; ++h)
          for (int64_t w = 0; w < shape[3]; ++w) {
            const int64_t part = h % block * block + w % block;
            const int64_t channel = outer ? part * shape[1] + c : c * block * block + part;
            y.push_back(x[static_cast<size_t>(((n * s[1] + channel) * s[2] + h / block) * s[3] + w / block)]);
          }
    return std::vector{f64(shape, y)};
  };
}

// The inverse, found by sending every position through the reference above.
Reference space_to_depth(int64_t block, bool outer) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& s = in[0].shape();
    const Shape shape{s[0], s[1] * block * block, s[2] / block, s[3] / block};
    std::vector<double> positions(static_cast<size_t>(shape.elements())), y(positions.size());
    for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<double>(i);
    const std::vector<double> from = numbers(depth_to_space(block, outer)({f64(shape, positions)})[0]), x = numbers(in[0]);
    for (size_t i = 0; i < x.size(); ++i) y[static_cast<size_t>(from[i])] = x[i];
    return std::vector{f64(shape, y)};
  };
}

void add_depth_and_space(Cases& cases) {
  for (bool outer : {true, false}) {
    const Attributes attributes = {{"blocksize", int64_t{2}}, {"mode", std::string(outer ? "DCR" : "CRD")}};
    for (const Shape& shape : {Shape{2, 12, 2, 3}, Shape{1, 4, 3, 1}, Shape{0, 8, 2, 2}, Shape{2, 8, 40, 30}}) {
      const bool small = shape.elements() < 1000;
      cases.push_back({.op = "DepthToSpace",
                       .what = to_string(shape),
                       .inputs = {uniform(shape)},
                       .attributes = attributes,
                       .reference = depth_to_space(2, outer),
                       .gradient = small});
      const Shape spread{shape[0], shape[1] / 4, shape[2] * 2, shape[3] * 2};
      cases.push_back({.op = "tandem.DepthToSpaceGrad",
                       .what = to_string(shape),
                       .inputs = {uniform(spread)},
                       .attributes = attributes,
                       .reference = space_to_depth(2, outer)});
    }
  }
  for (int64_t block : {1, 3})
    cases.push_back({.op = "SpaceToDepth",
                     .inputs = {uniform({2, 2, 3, 6})},
                     .attributes = {{"blocksize", block}},
                     .reference = space_to_depth(block, true)});
  cases.push_back({.op = "SpaceToDepth",
                   .what = "i64",
                   .inputs = {as(DType::kI64, uniform({1, 3, 4, 2}, -50, 50))},
                   .attributes = {{"blocksize", int64_t{2}}},
                   .reference = space_to_depth(2, true)});
}

// y of the given shape; the positions of both start at half the difference, rounded toward zero.
Reference centered(const Shape& shape) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& s = in[0].shape();
    const std::vector<double> x = numbers(in[0]);
    std::vector<double> y;
    for (int64_t i = 0; i < shape.elements(); ++i) {
      int64_t rest = i, from = 0, scale = 1;
      bool inside = true;
      for (int a = s.rank() - 1; a >= 0; --a) {
        const int64_t at = rest % shape[a] + (s[a] - shape[a]) / 2;
        inside = inside && at >= 0 && at < s[a];
        from += at * scale;
        scale *= s[a], rest /= shape[a];
      }
      y.push_back(inside ? x[static_cast<size_t>(from)] : 0);
    }
    return std::vector{f64(shape, y)};
  };
}

void add_center_crop_pad(Cases& cases) {
  const auto add = [&](const Shape& x, Ints sizes, Attributes attributes, const Shape& y) {
    cases.push_back({.op = "CenterCropPad",
                     .what = to_string(x),
                     .inputs = {uniform(x), i64(sizes)},
                     .attributes = attributes,
                     .constants = {1},
                     .reference = centered(y)});
  };
  add({5, 4, 3}, {2, 4, 2}, {}, {2, 4, 2});
  add({5, 4, 3}, {8, 7, 3}, {}, {8, 7, 3});
  add({5, 4, 3}, {2, 9}, {{"axes", Ints{-1, 0}}}, {9, 4, 2});
  add({5, 4}, {0, 3}, {}, {0, 3});
  cases.push_back({.op = "CenterCropPad",
                   .what = "i32 sizes, bool",
                   .inputs = {booleans({3}, {true, false, true}), as(DType::kI32, i64({6}))},
                   .constants = {1},
                   .reference = fixed(f64({6}, {0, 1, 0, 1, 0, 0}))});
}

}  // namespace

void add_spatial_cases(Cases& cases) {
  add_depth_and_space(cases);
  add_center_crop_pad(cases);
}

}  // namespace tandem::conformance
