// Tensors out of a few numbers (EyeLike, windows) and out of none: random numbers, Dropout where it drops.
#include <bit>
#include <cmath>

#include "kernels/base/philox.h"
#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

Attributes type_attribute(std::string_view name, DType type) { return {{std::string(name), static_cast<int64_t>(type)}}; }

void add_eyes(Cases& cases) {
  const auto eye = [](int64_t rows, int64_t columns, int64_t k) {
    std::vector<double> y(static_cast<size_t>(rows * columns));
    for (int64_t r = 0; r < rows; ++r)
      if (r + k >= 0 && r + k < columns) y[static_cast<size_t>(r * columns + r + k)] = 1;
    return fixed(f64({rows, columns}, y));
  };
  for (int64_t k : {0, 1, -2, 4, -3, 100, -100})
    cases.push_back({.op = "EyeLike",
                     .what = "k " + std::to_string(k),
                     .inputs = {uniform({3, 4})},
                     .attributes = {{"k", k}},
                     .reference = eye(3, 4, k)});
  for (DType type : {DType::kF64, DType::kI32, DType::kU8, DType::kU16, DType::kU64, DType::kBool})
    cases.push_back({.op = "EyeLike",
                     .what = std::string(name(type)),
                     .inputs = {i64({130, 140}, std::vector<int64_t>(130 * 140))},
                     .attributes = type_attribute("dtype", type),
                     .reference = eye(130, 140, 0)});
  cases.push_back({.op = "EyeLike", .what = "empty", .inputs = {Tensor(DType::kF32, {0, 3})}, .reference = eye(0, 3, 0)});
}

void add_windows(Cases& cases) {
  struct Window {
    std::string op;
    double (*at)(double turn);
  };
  const Window windows[] = {
      {"HannWindow", [](double t) { return std::pow(std::sin(t / 2), 2); }},
      {"HammingWindow", [](double t) { return 25.0 / 46 - 21.0 / 46 * std::cos(t); }},
      {"BlackmanWindow", [](double t) { return 0.42 - 0.5 * std::cos(t) + 0.08 * std::cos(2 * t); }},
  };
  for (const Window& one : windows) {
    const auto add = [&](const std::string& what, Tensor size, int64_t periodic, DType type, double factor) {
      const auto n = static_cast<int64_t>(numbers(size)[0]);
      std::vector<double> y;
      for (int64_t i = 0; i < n; ++i) {
        const double value = one.at(2 * M_PI * static_cast<double>(i) / static_cast<double>(periodic ? n : n - 1));
        y.push_back(is_float(type) ? value : std::trunc(value * factor));
      }
      Attributes attributes = type_attribute("output_datatype", type);
      attributes["periodic"] = periodic;
      cases.push_back({.op = one.op,
                       .what = what,
                       .inputs = {size},
                       .attributes = attributes,
                       .constants = {0},
                       .reference = fixed(f64({n}, y))});
    };
    add("periodic", i64({}, {10}), 1, DType::kF32, 1);
    add("symmetric", i64({}, {11}), 0, DType::kF64, 1);
    add("large", as(DType::kI32, i64({}, {40001})), 1, DType::kF32, 1);
    add("empty", i64({}, {0}), 1, DType::kF32, 1);
    add("integers", i64({}, {9}), 1, DType::kI32, 1);
  }
}

// The words of element i in the first run of a node with this seed.
std::array<uint32_t, 4> words_of(uint64_t key, size_t i) { return philox(key, i / 4, 0); }
uint64_t key_of(float seed) { return std::bit_cast<uint32_t>(seed); }

Tensor filled(const Shape& shape, double (*element)(uint64_t key, size_t i), uint64_t key) {
  std::vector<double> y(static_cast<size_t>(shape.elements()));
  for (size_t i = 0; i < y.size(); ++i) y[i] = element(key, i);
  return f64(shape, y);
}
double uniform_element(uint64_t key, size_t i) { return static_cast<double>(unit_float(words_of(key, i)[i % 4])); }
double normal_element(uint64_t key, size_t i) {
  const auto words = words_of(key, i);
  const double radius = std::sqrt(-2 * std::log((words[i % 4 / 2 * 2] + 0.5) / 4294967296.0));
  const double angle = 2 * M_PI * words[i % 4 / 2 * 2 + 1] / 4294967296.0;
  return radius * (i % 2 ? std::sin(angle) : std::cos(angle));
}

void add_random(Cases& cases) {
  const Tensor like = i64({5, 7}, std::vector<int64_t>(35));
  const auto scaled = [](Tensor y, double from, double span) { return each([=](double u) { return from + span * u; })({y})[0]; };
  const Attributes range = {{"low", -1.0f}, {"high", 3.0f}, {"seed", 7.5f}},
                   bell = {{"mean", 2.0f}, {"scale", 0.5f}, {"seed", 7.5f}};
  const auto with_shape = [](Attributes attributes, const Shape& shape) {
    attributes["shape"] = std::vector<int64_t>(shape.dims().begin(), shape.dims().end());
    return attributes;
  };
  for (const Shape& shape : {Shape{5, 7}, Shape{3, 9001}, Shape{0}, Shape{}}) {
    cases.push_back({.op = "RandomUniform",
                     .what = to_string(shape),
                     .inputs = {},
                     .attributes = with_shape(range, shape),
                     .reference = fixed(scaled(filled(shape, uniform_element, key_of(7.5f)), -1, 4))});
    cases.push_back({.op = "RandomNormal",
                     .what = to_string(shape),
                     .inputs = {},
                     .attributes = with_shape(bell, shape),
                     .reference = fixed(scaled(filled(shape, normal_element, key_of(7.5f)), 2, 0.5))});
  }
  cases.push_back({.op = "RandomUniformLike",
                   .inputs = {like},
                   .attributes = range,
                   .reference = fixed(scaled(filled({5, 7}, uniform_element, key_of(7.5f)), -1, 4))});
  Attributes wide = bell;
  wide.merge(type_attribute("dtype", DType::kF64));
  cases.push_back({.op = "RandomNormalLike",
                   .inputs = {like},
                   .attributes = wide,
                   .reference = fixed(scaled(filled({5, 7}, normal_element, key_of(7.5f)), 2, 0.5)),
                   .rtol = 1e-14});
  const Tensor p = uniform({5, 7}, 0, 1);
  std::vector<double> heads = numbers(p);
  for (size_t i = 0; i < heads.size(); ++i) heads[i] = uniform_element(key_of(1.0f), i) < heads[i];
  for (DType type : {DType::kF32, DType::kI32, DType::kI16, DType::kBool}) {
    Attributes attributes = type_attribute("dtype", type);
    attributes["seed"] = 1.0f;
    cases.push_back({.op = "Bernoulli",
                     .what = std::string(name(type)),
                     .inputs = {p},
                     .attributes = attributes,
                     .reference = fixed(f64({5, 7}, heads))});
  }
  cases.push_back(
      {.op = "Bernoulli", .what = "sure", .inputs = {f32({4}, {0, 1, 0, 1})}, .reference = fixed(f64({4}, {0, 1, 0, 1}))});
  const Tensor sure = f32({2, 3}, {-INFINITY, 2, -INFINITY, -INFINITY, -INFINITY, -90});
  for (DType type : {DType::kI32, DType::kI64}) {
    Attributes attributes = type_attribute("dtype", type);
    attributes["sample_size"] = int64_t{4};
    cases.push_back({.op = "Multinomial",
                     .what = "sure",
                     .inputs = {sure},
                     .attributes = attributes,
                     .reference = fixed(i64({2, 4}, {1, 1, 1, 1, 2, 2, 2, 2}))});
  }
}

// Dropout where it drops: output and mask.
void add_drops(Cases& cases) {
  const auto dropped = [](uint64_t key, double ratio) {
    return [=](const std::vector<Tensor>& in) {
      std::vector<double> y = numbers(in[0]), mask(y.size());
      for (size_t i = 0; i < y.size(); ++i) {
        mask[i] = uniform_element(key, i) >= ratio;
        y[i] *= mask[i] / (1 - ratio);
      }
      return std::vector{f64(in[0].shape(), y), f64(in[0].shape(), mask)};
    };
  };
  for (const Shape& shape : {Shape{3, 7}, Shape{5, 9001}})
    cases.push_back({.op = "Dropout",
                     .what = "drops " + to_string(shape),
                     .inputs = {uniform(shape), f32({}, {0.25f}), booleans({}, {true})},
                     .attributes = {{"seed", int64_t{42}}},
                     .outputs = 2,
                     .constants = {1, 2},
                     .reference = dropped(42, 0.25),
                     .gradient = shape.elements() < 100,
                     .no_gradient_for = {1}});
  cases.push_back({.op = "Dropout",
                   .what = "drops by default, told in the run",
                   .inputs = {uniform({21}), Tensor(), booleans({}, {true})},
                   .attributes = {{"seed", int64_t{1}}},
                   .outputs = 2,
                   .reference = dropped(1, 0.5)});
  cases.push_back({.op = "Dropout",
                   .what = "a test",
                   .inputs = {uniform({21})},
                   .attributes = {{"is_test", int64_t{1}}, {"ratio", 0.25f}},
                   .outputs = 1,
                   .opset = 6,
                   .reference = [](const std::vector<Tensor>& in) { return in; }});
}

}  // namespace

void add_generate_cases(Cases& cases) {
  add_eyes(cases);
  add_windows(cases);
  add_random(cases);
  add_drops(cases);
}

}  // namespace tandem::conformance
