// Ops that move elements: each result is written out, or follows from positions.
#include <numeric>
#include <utility>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

// 0, 1, 2, ... as f32.
Tensor counted(const Shape& shape) {
  Tensor tensor(DType::kF32, shape);
  auto values = tensor.as<float>();
  std::iota(values.begin(), values.end(), 0.0f);
  return tensor;
}
Reference reshaped(Shape shape) {
  return [=](const std::vector<Tensor>& in) { return std::vector{in[0].reshaped(shape)}; };
}
// Output element i is input element from(i).
Reference taken(Shape shape, std::function<int64_t(int64_t)> from) {
  return [=](const std::vector<Tensor>& in) {
    const std::vector<double> x = numbers(in[0]);
    std::vector<double> y;
    for (int64_t i = 0; i < shape.elements(); ++i) y.push_back(x[static_cast<size_t>(from(i))]);
    return std::vector{f64(shape, y)};
  };
}
Attributes ints(std::string name, std::vector<int64_t> values) { return {{std::move(name), std::move(values)}}; }
Attributes axis(int64_t value) { return {{"axis", value}}; }

void add_reshapes(Cases& cases) {
  const Tensor x = uniform({2, 3, 4});
  cases.push_back({.op = "Reshape", .inputs = {x, i64({4, -1})}, .constants = {1}, .reference = reshaped({4, 6})});
  cases.push_back({.op = "Reshape",
                   .what = "zero copies",
                   .inputs = {x, i64({0, 0, 2, 2})},
                   .constants = {1},
                   .reference = reshaped({2, 3, 2, 2})});
  cases.push_back({.op = "Reshape",
                   .what = "allowzero",
                   .inputs = {Tensor(DType::kF32, {0, 3}), i64({3, 0})},
                   .attributes = {{"allowzero", int64_t{1}}},
                   .constants = {1},
                   .reference = reshaped({3, 0}),
                   .gradient = false});
  cases.push_back({.op = "Reshape",
                   .what = "strings",
                   .inputs = {strings({2}, {"a", "b"}), i64({2, 1})},
                   .constants = {1},
                   .reference = reshaped({2, 1})});
  cases.push_back({.op = "Reshape",
                   .what = "by attribute",
                   .inputs = {x},
                   .attributes = ints("shape", {-1, 4}),
                   .opset = 1,
                   .reference = reshaped({6, 4}),
                   .round_trip = false});
  cases.push_back({.op = "Flatten", .inputs = {x}, .reference = reshaped({2, 12})});
  cases.push_back({.op = "Flatten", .what = "axis 0", .inputs = {x}, .attributes = axis(0), .reference = reshaped({1, 24})});
  cases.push_back({.op = "Flatten", .what = "axis rank", .inputs = {x}, .attributes = axis(3), .reference = reshaped({24, 1})});
  const Tensor thin = uniform({1, 3, 1, 2});
  cases.push_back({.op = "Squeeze", .inputs = {thin}, .reference = reshaped({3, 2})});
  cases.push_back(
      {.op = "Squeeze", .what = "axes", .inputs = {thin, i64({-2})}, .constants = {1}, .reference = reshaped({1, 3, 2})});
  cases.push_back({.op = "Squeeze",
                   .what = "by attribute",
                   .inputs = {thin},
                   .attributes = ints("axes", {0}),
                   .opset = 11,
                   .reference = reshaped({3, 1, 2})});
  cases.push_back(
      {.op = "Unsqueeze", .inputs = {uniform({3, 2}), i64({0, -1})}, .constants = {1}, .reference = reshaped({1, 3, 2, 1})});
  cases.push_back({.op = "Unsqueeze",
                   .what = "by attribute",
                   .inputs = {uniform({3, 2})},
                   .attributes = ints("axes", {1}),
                   .opset = 11,
                   .reference = reshaped({3, 1, 2})});
}

void add_transposes(Cases& cases) {
  cases.push_back(
      {.op = "Transpose", .inputs = {uniform({3, 5})}, .reference = taken({5, 3}, [](int64_t i) { return i % 3 * 5 + i / 3; })});
  cases.push_back({.op = "Transpose",
                   .what = "blocks",
                   .inputs = {uniform({70, 45})},
                   .reference = taken({45, 70}, [](int64_t i) { return i % 70 * 45 + i / 70; }),
                   .gradient = false});
  cases.push_back({.op = "Transpose",
                   .what = "large",
                   .inputs = {uniform({3, 130, 110})},
                   .attributes = ints("perm", {0, 2, 1}),
                   .reference = taken({3, 110, 130}, [](int64_t i) { return i / 14300 * 14300 + i % 130 * 110 + i / 130 % 110; }),
                   .gradient = false});
  cases.push_back({.op = "Transpose",
                   .what = "three planes",
                   .inputs = {uniform({2, 3, 43, 25})},
                   .attributes = ints("perm", {0, 2, 3, 1}),
                   .reference = taken({2, 43, 25, 3}, [](int64_t i) { return i / 3225 * 3225 + i % 3 * 1075 + i / 3 % 1075; }),
                   .gradient = false});
  const auto rotated = [](int64_t i) { return i % 2 * 12 + i / 2; };  // [2, 3, 4] -> [3, 4, 2]
  cases.push_back({.op = "Transpose",
                   .what = "perm",
                   .inputs = {uniform({2, 3, 4})},
                   .attributes = ints("perm", {1, 2, 0}),
                   .reference = taken({3, 4, 2}, rotated)});
  for (DType type : {DType::kU8, DType::kI64, DType::kF64})
    cases.push_back({.op = "Transpose",
                     .what = std::string(name(type)),
                     .inputs = {as(type, counted({2, 3, 4}))},
                     .attributes = ints("perm", {1, 2, 0}),
                     .reference = taken({3, 4, 2}, rotated),
                     .gradient = false});
  cases.push_back({.op = "Transpose",
                   .what = "strings",
                   .inputs = {strings({2, 2}, {"a", "b", "c", "d"})},
                   .reference = fixed(strings({2, 2}, {"a", "c", "b", "d"}))});
}

void add_joins_and_cuts(Cases& cases) {
  cases.push_back({.op = "Concat",
                   .inputs = {counted({2, 1}), uniform({2, 3}), uniform({2, 2}, 1, 2, 3)},
                   .attributes = axis(1),
                   .reference = [](const std::vector<Tensor>& in) {
                     const auto a = numbers(in[0]), b = numbers(in[1]), c = numbers(in[2]);
                     return std::vector{f64({2, 6}, {a[0], b[0], b[1], b[2], c[0], c[1], a[1], b[3], b[4], b[5], c[2], c[3]})};
                   }});
  cases.push_back({.op = "Concat",
                   .what = "strings",
                   .inputs = {strings({1}, {"a"}), strings({2}, {"b", "c"})},
                   .attributes = axis(-1),
                   .reference = fixed(strings({3}, {"a", "b", "c"}))});
  const auto cut = [](std::vector<int64_t> sizes) {  // along the last axis of [2, n]
    return [=](const std::vector<Tensor>& in) {
      std::vector<Tensor> parts;
      int64_t start = 0;
      for (int64_t n : sizes) {
        const int64_t row = in[0].shape()[1], first = std::exchange(start, start + n);
        parts.push_back(taken({2, n}, [=](int64_t i) { return i / n * row + first + i % n; })(in)[0]);
      }
      return parts;
    };
  };
  const Tensor x = uniform({2, 7});
  cases.push_back({.op = "Split",
                   .inputs = {x, i64({1, 4, 2})},
                   .attributes = axis(-1),
                   .outputs = 3,
                   .constants = {1},
                   .reference = cut({1, 4, 2})});
  cases.push_back({.op = "Split",
                   .what = "num_outputs",
                   .inputs = {x},
                   .attributes = {{"axis", int64_t{1}}, {"num_outputs", int64_t{3}}},
                   .outputs = 3,
                   .reference = cut({3, 3, 1})});
  cases.push_back({.op = "Split",
                   .what = "equal parts",
                   .inputs = {uniform({2, 6})},
                   .attributes = axis(1),
                   .outputs = 2,
                   .opset = 13,
                   .reference = cut({3, 3})});
  cases.push_back({.op = "Split",
                   .what = "by attribute",
                   .inputs = {x},
                   .attributes = {{"axis", int64_t{1}}, {"split", std::vector<int64_t>{5, 2}}},
                   .outputs = 2,
                   .opset = 11,
                   .reference = cut({5, 2})});
}

void add_slices(Cases& cases) {
  const Tensor x = uniform({4, 6});
  cases.push_back(
      {.op = "Slice", .inputs = {x, i64({1, 2}), i64({3, 5})}, .constants = {1, 2}, .reference = taken({2, 3}, [](int64_t i) {
                                                                                      return (1 + i / 3) * 6 + 2 + i % 3;
                                                                                    })});
  cases.push_back({.op = "Slice",
                   .what = "steps",
                   .inputs = {x, i64({0}), i64({6}), i64({1}), i64({2})},
                   .constants = {1, 2, 3, 4},
                   .reference = taken({4, 3}, [](int64_t i) { return i / 3 * 6 + i % 3 * 2; })});
  cases.push_back({.op = "Slice",
                   .what = "backwards",
                   .inputs = {x, i64({-1}), i64({std::numeric_limits<int64_t>::min()}), i64({-1}), i64({-2})},
                   .constants = {1, 2, 3, 4},
                   .reference = taken({4, 3}, [](int64_t i) { return i / 3 * 6 + 5 - i % 3 * 2; })});
  cases.push_back({.op = "Slice",
                   .what = "beyond the end",
                   .inputs = {x, i64({2}), i64({std::numeric_limits<int64_t>::max()}), i64({0})},
                   .constants = {1, 2, 3},
                   .reference = taken({2, 6}, [](int64_t i) { return i + 12; })});
  cases.push_back({.op = "Slice",
                   .what = "nothing",
                   .inputs = {x, i64({3}), i64({1}), i64({0})},
                   .constants = {1, 2, 3},
                   .reference = taken({0, 6}, nullptr),
                   .gradient = false});
  cases.push_back(
      {.op = "Slice",
       .what = "by attribute",
       .inputs = {x},
       .attributes = {{"starts", std::vector<int64_t>{1}}, {"ends", std::vector<int64_t>{-1}}, {"axes", std::vector<int64_t>{1}}},
       .opset = 9,
       .reference = taken({4, 4}, [](int64_t i) { return i / 4 * 6 + 1 + i % 4; })});
  cases.push_back({.op = "tandem.SliceGrad",
                   .inputs = {f32({2}, {7, 8}), i64({5}), i64({4}), i64({0}), i64({0}), i64({-3})},
                   .constants = {1, 2, 3, 4, 5},
                   .reference = fixed(f32({5}, {0, 8, 0, 0, 7}))});
}

void add_gathers(Cases& cases) {
  const Tensor x = uniform({3, 4});
  cases.push_back({.op = "Gather",
                   .inputs = {x, i64({2, 2}, {0, 2, -1, 0})},
                   .reference = taken({2, 2, 4}, [](int64_t i) {
                     return std::vector{0, 2, 2, 0}[static_cast<size_t>(i / 4)] * 4 + i % 4;
                   })});
  cases.push_back({.op = "Gather",
                   .what = "inner axis",
                   .inputs = {x, as(DType::kI32, i64({3, 3, 1}))},
                   .attributes = axis(1),
                   .reference = taken({3, 3}, [](int64_t i) {
                     return i / 3 * 4 + std::vector{3, 3, 1}[static_cast<size_t>(i % 3)];
                   })});
  cases.push_back({.op = "Gather",
                   .what = "scalar index of strings",
                   .inputs = {strings({2}, {"a", "b"}), i64({}, {1})},
                   .reference = fixed(strings({}, {"b"}))});
  cases.push_back(
      {.op = "GatherElements",
       .inputs = {x, i64({2, 3}, {1, 0, 3, -1, 2, 2})},
       .attributes = axis(1),
       .reference = taken({2, 3}, [](int64_t i) { return i / 3 * 4 + std::vector{1, 0, 3, 3, 2, 2}[static_cast<size_t>(i)]; })});
  cases.push_back({.op = "GatherElements",
                   .what = "outer axis",
                   .inputs = {x, i64({1, 4}, {2, 0, 1, 2})},
                   .reference = taken({1, 4}, [](int64_t i) {
                     return std::vector{2, 0, 1, 2}[static_cast<size_t>(i)] * 4 + i;
                   })});
  cases.push_back({.op = "tandem.GatherGrad",
                   .inputs = {f32({3, 2}, {1, 2, 3, 4, 5, 6}), i64({1, 1, -3}), i64({3, 2})},
                   .constants = {2},
                   .reference = fixed(f32({3, 2}, {5, 6, 4, 6, 0, 0}))});
  cases.push_back({.op = "tandem.GatherElementsGrad",
                   .inputs = {f32({1, 3}, {1, 2, 3}), i64({1, 3}, {0, 0, 1}), i64({1, 2})},
                   .attributes = axis(1),
                   .constants = {2},
                   .reference = fixed(f32({1, 2}, {3, 3}))});
}

void add_repeats(Cases& cases) {
  cases.push_back({.op = "Expand",
                   .inputs = {uniform({3, 1}), i64({2, 1, 4})},
                   .constants = {1},
                   .reference = taken({2, 3, 4}, [](int64_t i) { return i / 4 % 3; })});
  cases.push_back({.op = "Expand",
                   .what = "shape is smaller",
                   .inputs = {uniform({2, 3}), i64({1})},
                   .constants = {1},
                   .reference = reshaped({2, 3})});
  cases.push_back(
      {.op = "Tile", .inputs = {uniform({2, 3}), i64({2, 2})}, .constants = {1}, .reference = taken({4, 6}, [](int64_t i) {
                                                                                   return i / 6 % 2 * 3 + i % 3;
                                                                                 })});
  cases.push_back({.op = "tandem.TileGrad",
                   .inputs = {counted({2, 4}), i64({1, 2})},
                   .constants = {1},
                   .reference = fixed(f32({1, 2}, {12, 16}))});
  const Tensor x = f32({4}, {1, 2, 3, 4});
  const auto pad = [&](std::string what, std::string mode, std::vector<int64_t> pads, std::vector<float> expected) {
    const auto n = static_cast<int64_t>(expected.size());
    cases.push_back({.op = "Pad",
                     .what = std::move(what),
                     .inputs = {x, i64(std::move(pads))},
                     .attributes = {{"mode", mode}},
                     .constants = {1},
                     .reference = fixed(f32({n}, std::move(expected)))});
  };
  pad("", "constant", {1, 2}, {0, 1, 2, 3, 4, 0, 0});
  pad("negative", "constant", {-1, 1}, {2, 3, 4, 0});
  pad("reflect", "reflect", {3, 2}, {4, 3, 2, 1, 2, 3, 4, 3, 2});
  pad("edge", "edge", {2, 1}, {1, 1, 1, 2, 3, 4, 4});
  pad("wrap", "wrap", {1, 2}, {4, 1, 2, 3, 4, 1, 2});
  cases.push_back({.op = "Pad",
                   .what = "axes and value",
                   .inputs = {f32({2, 2}, {1, 2, 3, 4}), i64({1, 0}), f32({}, {9}), i64({-1})},
                   .constants = {1, 2, 3},
                   .reference = fixed(f32({2, 3}, {9, 1, 2, 9, 3, 4})),
                   .no_gradient_for = {2}});
  cases.push_back({.op = "Pad",
                   .what = "by attribute",
                   .inputs = {x},
                   .attributes = {{"pads", std::vector<int64_t>{1, 0}}, {"value", 5.0f}},
                   .opset = 10,
                   .reference = fixed(f32({5}, {5, 1, 2, 3, 4}))});
  cases.push_back({.op = "tandem.PadGrad",
                   .inputs = {f32({5}, {1, 2, 3, 4, 5}), i64({3}), i64({1, 1})},
                   .attributes = {{"mode", std::string("edge")}},
                   .constants = {1, 2},
                   .reference = fixed(f32({3}, {3, 3, 9}))});
}

void add_shapes_and_constants(Cases& cases) {
  const Tensor x = uniform({2, 3, 4});
  cases.push_back({.op = "Shape", .inputs = {x}, .reference = fixed(i64({2, 3, 4}))});
  cases.push_back({.op = "Shape",
                   .what = "part",
                   .inputs = {x},
                   .attributes = {{"start", int64_t{-2}}, {"end", int64_t{2}}},
                   .reference = fixed(i64({3}))});
  cases.push_back({.op = "Size", .inputs = {x}, .reference = fixed(i64({}, {24}))});
  cases.push_back(
      {.op = "Constant", .inputs = {}, .attributes = {{"value", f32({2}, {1, 2})}}, .reference = fixed(f32({2}, {1, 2}))});
  cases.push_back({.op = "Constant",
                   .what = "ints",
                   .inputs = {},
                   .attributes = ints("value_ints", {4, 5}),
                   .reference = fixed(i64({4, 5}))});
  cases.push_back({.op = "Constant",
                   .what = "string",
                   .inputs = {},
                   .attributes = {{"value_string", std::string("text")}},
                   .reference = fixed(strings({}, {"text"}))});
  cases.push_back({.op = "ConstantOfShape",
                   .inputs = {i64({2, 3})},
                   .attributes = {{"value", i64({7})}},
                   .constants = {0},
                   .reference = fixed(i64({2, 3}, {7, 7, 7, 7, 7, 7}))});
  cases.push_back(
      {.op = "ConstantOfShape", .what = "default", .inputs = {i64({2})}, .constants = {0}, .reference = fixed(f32({2}, {0, 0}))});
  cases.push_back({.op = "Range",
                   .inputs = {f32({}, {1}), f32({}, {2.1f}), f32({}, {0.5f})},
                   .constants = {0, 1, 2},
                   .reference = fixed(f32({3}, {1, 1.5f, 2}))});
  cases.push_back({.op = "Range",
                   .what = "down",
                   .inputs = {i64({}, {5}), i64({}, {-1}), i64({}, {-2})},
                   .constants = {0, 1, 2},
                   .reference = fixed(i64({5, 3, 1}))});
  const Tensor hot = f32({2}, {-1, 4});
  cases.push_back({.op = "OneHot",
                   .inputs = {i64({1, -1, 7}), i64({}, {3}), hot},
                   .constants = {1},
                   .reference = fixed(f32({3, 3}, {-1, 4, -1, -1, -1, 4, -1, -1, -1}))});
  cases.push_back({.op = "OneHot",
                   .what = "outer axis",
                   .inputs = {f32({2}, {0, 1}), i64({1}, {2}), strings({2}, {"off", "on"})},
                   .attributes = axis(0),
                   .constants = {1},
                   .reference = fixed(strings({2, 2}, {"on", "off", "off", "on"}))});
  for (DType type : {DType::kU8, DType::kI8, DType::kU16, DType::kI16, DType::kU32, DType::kU64, DType::kF64})
    cases.push_back({.op = "OneHot",
                     .what = std::string(name(type)),
                     .inputs = {as(type, i64({1, 0, 7, 127})), as(type, i64({}, {3})), hot},
                     .constants = {1},
                     .reference = fixed(f32({4, 3}, {-1, 4, -1, 4, -1, -1, -1, -1, -1, -1, -1, -1}))});
  const Tensor square = counted({3, 3});
  cases.push_back({.op = "Trilu", .inputs = {square}, .reference = fixed(f32({3, 3}, {0, 1, 2, 0, 4, 5, 0, 0, 8}))});
  cases.push_back({.op = "Trilu",
                   .what = "above",
                   .inputs = {square, i64({}, {1})},
                   .constants = {1},
                   .reference = fixed(f32({3, 3}, {0, 1, 2, 0, 0, 5, 0, 0, 0}))});
  cases.push_back({.op = "Trilu",
                   .what = "lower",
                   .inputs = {square, i64({}, {-1})},
                   .attributes = {{"upper", int64_t{0}}},
                   .constants = {1},
                   .reference = fixed(f32({3, 3}, {0, 0, 0, 3, 0, 0, 6, 7, 0}))});
}

}  // namespace

void add_movement_cases(Cases& cases) {
  add_reshapes(cases);
  add_transposes(cases);
  add_joins_and_cuts(cases);
  add_slices(cases);
  add_gathers(cases);
  add_repeats(cases);
  add_shapes_and_constants(cases);
}

}  // namespace tandem::conformance
