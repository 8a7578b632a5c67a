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

// The optimizers of ai.onnx.preview.training on two tensors: X1 X2 G1 G2 and the states, R = 0.125, T = t.
void add_preview(Cases& cases, const std::string& op, int64_t t, Attributes attributes, int states,
                 std::vector<double> (*step)(double rate, double t, double x, double g, double v, double h)) {
  std::vector<Tensor> inputs = {f32({}, {kRate}), i64({}, {t})};
  for (uint64_t group = 0; group < static_cast<uint64_t>(2 + states); ++group)
    for (uint64_t k = 0; k < 2; ++k)
      inputs.push_back(uniform(k ? Shape{20001} : Shape{3, 5}, group < 2 ? -2 : 0.5, 2, 10 * group + k));
  const auto reference = [=](const std::vector<Tensor>& in) {
    std::vector<Tensor> out(static_cast<size_t>(2 * (1 + states)));
    for (size_t k = 0; k < 2; ++k) {
      const std::vector<double> x = numbers(in[2 + k]), g = numbers(in[4 + k]), v = numbers(in[6 + k]);
      const std::vector<double> h = states == 2 ? numbers(in[8 + k]) : std::vector<double>(x.size());
      std::vector<std::vector<double>> results(static_cast<size_t>(1 + states));
      for (size_t i = 0; i < x.size(); ++i) {
        const std::vector<double> next = step(kRate, static_cast<double>(t), x[i], g[i], v[i], h[i]);
        for (size_t r = 0; r < results.size(); ++r) results[r].push_back(next[r]);
      }
      for (size_t r = 0; r < results.size(); ++r) out[2 * r + k] = f64(in[2 + k].shape(), results[r]);
    }
    return out;
  };
  cases.push_back({.op = "ai.onnx.preview.training." + op,
                   .what = "T " + std::to_string(t),
                   .inputs = inputs,
                   .attributes = std::move(attributes),
                   .outputs = 2 * (1 + states),
                   .reference = reference});
}

void add_previews(Cases& cases) {
  for (int64_t t : {0, 3}) {
    add_preview(cases, "Adagrad", t, {{"decay_factor", 0.5f}, {"norm_coefficient", 0.25f}, {"epsilon", 0.125f}}, 1,
                [](double rate, double step, double x, double g, double h, double) {
                  const double slope = 0.25 * x + g, sum = h + slope * slope;
                  return std::vector{x - rate / (1 + step * 0.5) * slope / (std::sqrt(sum) + 0.125), sum};
                });
    const auto momentum = [](const std::string& mode) {
      return Attributes{{"alpha", 0.75f}, {"beta", 0.5f}, {"norm_coefficient", 0.25f}, {"mode", mode}};
    };
    add_preview(cases, "Momentum", t, momentum("standard"), 1, [](double rate, double step, double x, double g, double v, double) {
      const double next = 0.75 * v + (step > 0 ? 0.5 : 1) * (0.25 * x + g);
      return std::vector{x - rate * next, next};
    });
    add_preview(cases, "Momentum", t, momentum("nesterov"), 1, [](double rate, double step, double x, double g, double v, double) {
      const double slope = 0.25 * x + g, next = 0.75 * v + (step > 0 ? 0.5 : 1) * slope;
      return std::vector{x - rate * (slope + 0.75 * next), next};
    });
    const Attributes adam = {{"alpha", 0.75f}, {"beta", 0.5f}, {"epsilon", 0.125f}, {"norm_coefficient", 0.25f}, {"norm_coefficient_post", 0.0625f}};
    add_preview(cases, "Adam", t, adam, 2, [](double rate, double step, double x, double g, double v, double h) {
      const double slope = 0.25 * x + g, mean = 0.75 * v + 0.25 * slope, square = 0.5 * h + 0.5 * slope * slope;
      if (step > 0) rate *= std::sqrt(1 - std::pow(0.5, step)) / (1 - std::pow(0.75, step));
      return std::vector{(1 - 0.0625) * (x - rate * mean / (std::sqrt(square) + 0.125)), mean, square};
    });
  }
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
  add_previews(cases);
  cases.push_back({.op = "tandem.SumOfSquares", .what = "one", .inputs = {uniform({5})}, .reference = sum_of_squares()});
  cases.push_back({.op = "tandem.SumOfSquares",
                   .what = "several",
                   .inputs = {uniform({50000}), uniform({3}), uniform({0})},
                   .reference = sum_of_squares()});
}

}  // namespace tandem::conformance
