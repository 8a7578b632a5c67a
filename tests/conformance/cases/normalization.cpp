// Batch, layer and RMS normalization; their gradients against differences of the loops.
#include <cmath>

#include "tests/conformance/cases/cases.h"
#include "tests/conformance/cases/differences.h"

namespace tandem::conformance {
namespace {

constexpr float kEpsilon = 1e-3f, kMomentum = 0.75f;

struct Moments {
  double mean = 0, var = 0;
};

// Of the channel c of x [batch, channels, ...].
Moments channel_moments(const Shape& shape, const std::vector<double>& x, int64_t c) {
  const int64_t inner = shape.product(2, shape.rank());
  Moments of;
  double count = 0;
  const auto each_element = [&](auto&& f) {
    for (size_t i = 0; i < x.size(); ++i)
      if (static_cast<int64_t>(i) / inner % shape[1] == c) f(x[i]);
  };
  each_element([&](double v) { of.mean += v, count += 1; });
  of.mean /= count;
  each_element([&](double v) { of.var += (v - of.mean) * (v - of.mean); });
  of.var /= count;
  return of;
}

// (x, scale, bias, mean, var) -> y, new mean, new var.
Reference batch_norm(bool training) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& shape = in[0].shape();
    const int64_t inner = shape.product(2, shape.rank());
    const std::vector<double> x = numbers(in[0]), scale = numbers(in[1]), bias = numbers(in[2]);
    std::vector<double> mean = numbers(in[3]), var = numbers(in[4]), y(x.size());
    for (int64_t c = 0; c < shape[1]; ++c) {
      const auto at = static_cast<size_t>(c);
      const Moments of = training ? channel_moments(shape, x, c) : Moments{mean[at], var[at]};
      for (size_t i = 0; i < x.size(); ++i)
        if (static_cast<int64_t>(i) / inner % shape[1] == c)
          y[i] = (x[i] - of.mean) / std::sqrt(of.var + static_cast<double>(kEpsilon)) * scale[at] + bias[at];
      mean[at] = kMomentum * mean[at] + (1 - kMomentum) * of.mean;
      var[at] = kMomentum * var[at] + (1 - kMomentum) * of.var;
    }
    std::vector<Tensor> all = {f64(shape, y)};
    if (training) all.insert(all.end(), {f64(in[3].shape(), mean), f64(in[4].shape(), var)});
    return all;
  };
}

void add_batch_norm(Cases& cases) {
  for (const Shape& shape : {Shape{3, 4, 2, 3}, Shape{5, 3}, Shape{2, 2, 6}}) {
    const Shape channels{shape[1]};
    const std::vector<Tensor> inputs = {uniform(shape), uniform(channels, 0.5, 2, 3), uniform(channels, -1, 1, 4),
                                        uniform(channels, -1, 1, 5), uniform(channels, 0.5, 2, 6)};
    Attributes attributes = {{"epsilon", kEpsilon}, {"momentum", kMomentum}};
    cases.push_back({.op = "BatchNormalization",
                     .what = to_string(shape),
                     .inputs = inputs,
                     .attributes = attributes,
                     .constants = {3, 4},
                     .reference = batch_norm(false),
                     .no_gradient_for = {3, 4}});
    attributes["training_mode"] = int64_t{1};
    // The running statistics are no way for a gradient: it is checked with the output alone.
    cases.push_back({.op = "BatchNormalization",
                     .what = "training",
                     .inputs = inputs,
                     .attributes = attributes,
                     .outputs = 3,
                     .reference = batch_norm(true),
                     .gradient = false});
    cases.push_back({.op = "BatchNormalization",
                     .what = "training",
                     .inputs = inputs,
                     .attributes = attributes,
                     .reference = [](const std::vector<Tensor>& in) { return std::vector{batch_norm(true)(in)[0]}; },
                     .no_gradient_for = {3, 4}});
    for (bool training : {false, true}) {
      const Tensor dy = uniform(shape, -1, 1, 8);
      std::vector<Tensor> grad_inputs = {dy, inputs[0], inputs[1]};
      if (!training) grad_inputs.insert(grad_inputs.end(), {inputs[3], inputs[4]});
      const auto reference = [inputs, training](const std::vector<Tensor>& in) {
        std::vector<Tensor> forward = inputs, grads;
        for (size_t i = 0; i < 3; ++i) grads.push_back(differences(batch_norm(training), forward, i, in[0]));
        return grads;
      };
      cases.push_back({.op = "tandem.BatchNormalizationGrad",
                       .what = training ? "training" : "inference",
                       .inputs = grad_inputs,
                       .attributes = {{"epsilon", kEpsilon}},
                       .outputs = 3,
                       .reference = reference,
                       .rtol = 1e-4,
                       .atol = 1e-5});
    }
  }
}

// (x, scale, bias?) -> y, mean, 1 / standard deviation, over the axes from `axis` on.
Reference layer_norm(int axis) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& shape = in[0].shape();
    const int64_t rows = shape.product(0, axis), length = shape.product(axis, shape.rank());
    const std::vector<double> x = numbers(in[0]), scale = numbers(in[1]);
    const std::vector<double> bias = in.size() > 2 ? numbers(in[2]) : std::vector<double>(scale.size(), 0.0);
    std::vector<double> y(x.size()), means, inverses;
    for (int64_t r = 0; r < rows; ++r) {
      double mean = 0, var = 0;
      const auto n = static_cast<double>(length);
      for (int64_t i = 0; i < length; ++i) mean += x[static_cast<size_t>(r * length + i)] / n;
      for (int64_t i = 0; i < length; ++i) var += std::pow(x[static_cast<size_t>(r * length + i)] - mean, 2) / n;
      means.push_back(mean);
      inverses.push_back(1 / std::sqrt(var + static_cast<double>(kEpsilon)));
      for (int64_t i = 0; i < length; ++i) {
        const auto at = static_cast<size_t>(r * length + i), c = static_cast<size_t>(i);
        y[at] = (x[at] - mean) * inverses.back() * scale[c] + bias[c];
      }
    }
    Shape kept = shape;
    for (int a = axis; a < shape.rank(); ++a) kept.set(a, 1);
    return std::vector{f64(shape, y), f64(kept, means), f64(kept, inverses)};
  };
}

void add_layer_norm(Cases& cases) {
  for (const auto& [shape, axis] :
       {std::pair{Shape{5, 9}, 1}, {Shape{2, 3, 4}, 2}, {Shape{2, 3, 4}, 1}, {Shape{2, 40, 200}, 2}}) {
    const Shape row(shape.dims().subspan(static_cast<size_t>(axis)));
    const Attributes attributes = {{"axis", int64_t{axis - shape.rank()}}, {"epsilon", kEpsilon}};
    const std::vector<Tensor> inputs = {uniform(shape), uniform(row, 0.5, 2, 3), uniform(row, -1, 1, 4)};
    const bool small = shape.elements() < 100;
    cases.push_back({.op = "LayerNormalization",
                     .what = to_string(shape),
                     .inputs = inputs,
                     .attributes = attributes,
                     .reference = [axis](const std::vector<Tensor>& in) { return std::vector{layer_norm(axis)(in)[0]}; },
                     .gradient = small});
    cases.push_back({.op = "LayerNormalization",
                     .what = "with statistics, without bias",
                     .inputs = {inputs[0], inputs[1]},
                     .attributes = attributes,
                     .outputs = 3,
                     .reference = layer_norm(axis),
                     .gradient = small});
    if (!small) continue;
    const auto reference = [inputs, axis](const std::vector<Tensor>& in) {
      std::vector<Tensor> grads;
      for (size_t i = 0; i < 3; ++i) grads.push_back(differences(layer_norm(axis), inputs, i, in[0]));
      return grads;
    };
    cases.push_back({.op = "tandem.LayerNormalizationGrad",
                     .what = to_string(shape),
                     .inputs = {uniform(shape, -1, 1, 8), inputs[0], inputs[1]},
                     .attributes = attributes,
                     .outputs = 3,
                     .reference = reference,
                     .rtol = 1e-4,
                     .atol = 1e-5});
  }
}

// (x, scale) -> y = x / sqrt(mean(x^2) + epsilon) * scale over the axes from `axis` on.
Reference rms_norm(int axis) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& shape = in[0].shape();
    const auto length = static_cast<size_t>(shape.product(axis, shape.rank()));
    const std::vector<double> scale = numbers(in[1]);
    std::vector<double> y = numbers(in[0]);
    for (size_t first = 0; first < y.size(); first += length) {
      double square = 0;
      for (size_t i = 0; i < length; ++i) square += y[first + i] * y[first + i] / static_cast<double>(length);
      for (size_t i = 0; i < length; ++i) y[first + i] *= scale[i] / std::sqrt(square + static_cast<double>(kEpsilon));
    }
    return std::vector{f64(shape, y)};
  };
}

void add_rms_norm(Cases& cases) {
  for (const auto& [shape, axis] : {std::pair{Shape{5, 9}, 1}, {Shape{2, 3, 4}, 1}, {Shape{2, 40, 300}, 2}}) {
    const Shape row(shape.dims().subspan(static_cast<size_t>(axis)));
    const Attributes attributes = {{"axis", int64_t{axis - shape.rank()}}, {"epsilon", kEpsilon}};
    const std::vector<Tensor> inputs = {uniform(shape), uniform(row, 0.5, 2, 3)};
    const bool small = shape.elements() < 100;
    cases.push_back({.op = "RMSNormalization",
                     .what = to_string(shape),
                     .inputs = inputs,
                     .attributes = attributes,
                     .reference = rms_norm(axis),
                     .gradient = small});
    if (!small) continue;
    const auto reference = [inputs, axis](const std::vector<Tensor>& in) {
      std::vector<Tensor> grads;
      for (size_t i = 0; i < 2; ++i) grads.push_back(differences(rms_norm(axis), inputs, i, in[0]));
      return grads;
    };
    cases.push_back({.op = "tandem.RMSNormalizationGrad",
                     .what = to_string(shape),
                     .inputs = {uniform(shape, -1, 1, 8), inputs[0], inputs[1]},
                     .attributes = attributes,
                     .outputs = 2,
                     .reference = reference,
                     .rtol = 1e-4,
                     .atol = 1e-5});
  }
}

// LpNormalization along one axis of a tensor seen as [outer, length, inner].
Reference lp_normalized(Shape view, bool euclidean) {
  return [=](const std::vector<Tensor>& in) {
    std::vector<double> x = numbers(in[0]);
    for (int64_t r = 0; r < view[0] * view[2]; ++r) {
      const auto at = [&](int64_t i) { return static_cast<size_t>((r / view[2] * view[1] + i) * view[2] + r % view[2]); };
      double norm = 0;
      for (int64_t i = 0; i < view[1]; ++i) norm += euclidean ? x[at(i)] * x[at(i)] : std::fabs(x[at(i)]);
      if (euclidean) norm = std::sqrt(norm);
      for (int64_t i = 0; i < view[1]; ++i) x[at(i)] = norm == 0 ? 0 : x[at(i)] / norm;
    }
    return std::vector{f64(in[0].shape(), x)};
  };
}

void add_axis_normalization(Cases& cases) {
  for (int64_t p : {1, 2}) {
    for (const auto& [axis, view] : {std::pair(int64_t{-1}, Shape{6, 5, 1}), std::pair(int64_t{1}, Shape{2, 3, 5}), std::pair(int64_t{0}, Shape{1, 2, 15})})
      cases.push_back({.op = "LpNormalization",
                       .what = "axis " + std::to_string(axis),
                       .inputs = {uniform({2, 3, 5}, 0.25, 2)},
                       .attributes = {{"axis", axis}, {"p", p}},
                       .reference = lp_normalized(view, p == 2)});
    cases.push_back({.op = "LpNormalization",
                     .what = "of zeros",
                     .inputs = {f32({2, 3}, {0, 0, 0, -1, 2, 2})},
                     .attributes = {{"p", p}},
                     .reference = lp_normalized({2, 3, 1}, p == 2),
                     .gradient = false});
  }
  // One mean and deviation a channel by default; a tensor [1, rows, 1] has the same over axes 0 and 2.
  const auto standard = [](const std::vector<Tensor>& in) {
    const Shape& shape = in[0].shape();
    std::vector<double> x = numbers(in[0]);
    const int64_t inner = shape.product(2, shape.rank());
    for (int64_t c = 0; c < shape[1]; ++c) {
      const Moments of = channel_moments(shape, x, c);
      for (size_t i = 0; i < x.size(); ++i)
        if (static_cast<int64_t>(i) / inner % shape[1] == c) x[i] = (x[i] - of.mean) / (std::sqrt(of.var) + 1e-9);
    }
    return std::vector{f64(shape, x)};
  };
  for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{3, 2, 70, 90}})
    cases.push_back({.op = "MeanVarianceNormalization", .what = to_string(shape), .inputs = {uniform(shape)}, .reference = standard, .gradient = shape.elements() < 1000});
  cases.push_back({.op = "MeanVarianceNormalization",
                   .what = "axes",
                   .inputs = {uniform({4, 3, 7})},
                   .attributes = {{"axes", std::vector<int64_t>{0, -1}}},
                   .reference = standard});
}

}  // namespace

void add_normalization_cases(Cases& cases) {
  add_batch_norm(cases);
  add_layer_norm(cases);
  add_rms_norm(cases);
  add_axis_normalization(cases);
}

}  // namespace tandem::conformance
