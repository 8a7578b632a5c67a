// One step of each optimizer against torch's formulas, and the gradient norm. Ten steps in a row:
// tests/kernels/optimizer_test.cpp.
#include <cmath>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

constexpr double kRate = 0.125, kScale = 0.5;  // exact in f32

void add_sgd(Cases& cases, const Shape& shape, double momentum, bool nesterov, double decay) {
  const auto step = [=](const std::vector<Tensor>& in) {
    std::vector<double> p = numbers(in[0]), m = numbers(in[1]);
    const std::vector<double> gradient = numbers(in[2]);
    for (size_t i = 0; i < p.size(); ++i) {
      const double g = gradient[i] * (in.size() > 4 ? kScale : 1) + decay * p[i];
      m[i] = momentum * m[i] + g;
      p[i] -= kRate * (nesterov ? g + momentum * m[i] : m[i]);
    }
    return std::vector{f64(shape, p), f64(shape, m)};
  };
  std::vector<Tensor> inputs = {uniform(shape), uniform(shape, -1, 1, 3), uniform(shape, -1, 1, 4), f32({}, {kRate}),
                                f32({}, {kScale})};
  const Attributes attributes = {
      {"momentum", static_cast<float>(momentum)}, {"nesterov", int64_t{nesterov}}, {"weight_decay", static_cast<float>(decay)}};
  cases.push_back({.op = "tandem.Sgd",
                   .what = to_string(shape),
                   .inputs = inputs,
                   .attributes = attributes,
                   .outputs = 2,
                   .reference = step});
  inputs.pop_back();
  cases.push_back(
      {.op = "tandem.Sgd", .what = "unscaled", .inputs = inputs, .attributes = attributes, .outputs = 2, .reference = step});
}

void add_adam(Cases& cases, const Shape& shape, int64_t t, double decay, bool decoupled) {
  constexpr double kBeta1 = 0.8, kBeta2 = 0.99, kEpsilon = 1e-6;
  const auto step = [=](const std::vector<Tensor>& in) {
    std::vector<double> p = numbers(in[0]), m = numbers(in[1]), v = numbers(in[2]);
    const std::vector<double> gradient = numbers(in[3]);
    for (size_t i = 0; i < p.size(); ++i) {
      const double g = gradient[i] * kScale + (decoupled ? 0 : decay * p[i]);
      if (decoupled) p[i] *= 1 - kRate * decay;
      m[i] = kBeta1 * m[i] + (1 - kBeta1) * g;
      v[i] = kBeta2 * v[i] + (1 - kBeta2) * g * g;
      const double time = static_cast<double>(t);
      p[i] -= kRate * (m[i] / (1 - std::pow(kBeta1, time))) / (std::sqrt(v[i] / (1 - std::pow(kBeta2, time))) + kEpsilon);
    }
    return std::vector{f64(shape, p), f64(shape, m), f64(shape, v)};
  };
  cases.push_back({.op = "tandem.Adam",
                   .what = "step " + std::to_string(t),
                   .inputs = {uniform(shape), uniform(shape, -1, 1, 3), uniform(shape, 0.1, 1, 4), uniform(shape, -1, 1, 5),
                              f32({}, {kRate}), i64({}, {t}), f32({}, {kScale})},
                   .attributes = {{"beta1", 0.8f},
                                  {"beta2", 0.99f},
                                  {"epsilon", 1e-6f},
                                  {"weight_decay", static_cast<float>(decay)},
                                  {"decoupled", int64_t{decoupled}}},
                   .outputs = 3,
                   .reference = step});
}

// A step that is skipped, or is not.
void add_applied(Cases& cases, bool apply) {
  const Shape shape{301};
  const Attributes momentum = {{"momentum", 0.75f}};
  cases.push_back({.op = "tandem.Sgd",
                   .what = apply ? "applied" : "skipped",
                   .inputs = {uniform(shape), uniform(shape, -1, 1, 3), uniform(shape, -1, 1, 4), f32({}, {kRate}), Tensor(),
                              booleans({}, {apply})},
                   .attributes = momentum,
                   .outputs = 2,
                   .reference = [=](const std::vector<Tensor>& in) {
                     std::vector<double> p = numbers(in[0]), m = numbers(in[1]);
                     const std::vector<double> gradient = numbers(in[2]);
                     for (size_t i = 0; i < p.size() && apply; ++i) {
                       m[i] = 0.75 * m[i] + gradient[i];
                       p[i] -= kRate * m[i];
                     }
                     return std::vector{f64(shape, p), f64(shape, m)};
                   }});
  if (apply) return;
  cases.push_back({.op = "tandem.Adam",
                   .what = "skipped",
                   .inputs = {uniform(shape), uniform(shape, -1, 1, 3), uniform(shape, 0.1, 1, 4), uniform(shape, -1, 1, 5),
                              f32({}, {kRate}), i64({}, {4}), f32({}, {kScale}), booleans({}, {apply})},
                   .outputs = 3,
                   .reference = [=](const std::vector<Tensor>& in) {
                     return std::vector{f64(shape, numbers(in[0])), f64(shape, numbers(in[1])), f64(shape, numbers(in[2]))};
                   }});
}

Reference sum_of_squares() {
  return [](const std::vector<Tensor>& in) {
    double sum = 0;
    for (const Tensor& x : in)
      for (double v : numbers(x)) sum += v * v;
    return std::vector{f64({}, {sum})};
  };
}

}  // namespace

void add_optimizer_cases(Cases& cases) {
  for (const Shape& shape : {Shape{7}, Shape{40001}}) {
    add_sgd(cases, shape, 0, false, 0);
    add_sgd(cases, shape, 0.75, false, 0.25);
    add_sgd(cases, shape, 0.75, true, 0.25);
    for (int64_t t : {1, 1000}) {
      add_adam(cases, shape, t, 0, false);
      add_adam(cases, shape, t, 0.25, false);
      add_adam(cases, shape, t, 0.25, true);
    }
  }
  for (bool apply : {false, true}) add_applied(cases, apply);
  cases.push_back({.op = "tandem.SumOfSquares", .what = "one", .inputs = {uniform({5})}, .reference = sum_of_squares()});
  cases.push_back({.op = "tandem.SumOfSquares",
                   .what = "several",
                   .inputs = {uniform({50000}), uniform({3}), uniform({0})},
                   .reference = sum_of_squares()});
}

}  // namespace tandem::conformance
