// Softmax and its kin, the losses built on it, and dropout.
#include <cmath>

#include "kernels/api/dropout.h"
#include "kernels/base/philox.h"
#include "tests/conformance/cases/cases.h"
#include "tests/conformance/cases/differences.h"

namespace tandem::conformance {
namespace {

// Softmax, or its logarithm, of a tensor seen as [outer, length, inner].
Reference softmax(Shape view, bool log) {
  return [=](const std::vector<Tensor>& in) {
    const std::vector<double> x = numbers(in[0]);
    std::vector<double> y(x.size());
    for (int64_t r = 0; r < view[0] * view[2]; ++r) {
      const auto at = [&](int64_t i) { return static_cast<size_t>((r / view[2] * view[1] + i) * view[2] + r % view[2]); };
      double sum = 0;
      for (int64_t i = 0; i < view[1]; ++i) sum += std::exp(x[at(i)]);
      for (int64_t i = 0; i < view[1]; ++i) y[at(i)] = log ? x[at(i)] - std::log(sum) : std::exp(x[at(i)]) / sum;
    }
    return std::vector{f64(in[0].shape(), y)};
  };
}

// dx of (y, dy): the differences at log y, which softmax and log-softmax both map to y, up to a shift that they do not see.
Reference softmax_grad(Shape view, bool log) {
  return [=](const std::vector<Tensor>& in) {
    const Tensor x = log ? in[0] : each([](double y) { return std::log(y); })({in[0]})[0];
    return std::vector{differences(softmax(view, log), {x}, 0, in[1])};
  };
}

void add_softmax(Cases& cases) {
  struct Cut {
    Shape shape, view;
    int64_t axis;
    int opset;
  };
  const Cut cuts[] = {
      {{3, 10}, {3, 10, 1}, -1, 0},     {{2, 3, 5}, {2, 3, 5}, 1, 0}, {{4, 3, 2}, {1, 4, 6}, 0, 0},
      {{2, 3, 4, 5}, {6, 4, 5}, -2, 0}, {{3, 10}, {3, 10, 1}, 1, 11}, {{2, 3, 5}, {2, 15, 1}, 1, 11},
      {{2, 3, 5}, {1, 30, 1}, 0, 11},   {{2, 3}, {6, 1, 1}, 2, 11},
  };
  for (const Cut& cut : cuts) {
    const Tensor x = uniform(cut.shape, -3, 3), dy = uniform(cut.shape, -1, 1, 5);
    const Attributes attributes = {{"axis", cut.axis}};
    Attributes internal = attributes;
    internal["flatten"] = int64_t{cut.opset == 11};
    const std::string what = "axis " + std::to_string(cut.axis);
    cases.push_back({.op = "Softmax",
                     .what = what,
                     .inputs = {x},
                     .attributes = attributes,
                     .opset = cut.opset,
                     .reference = softmax(cut.view, false)});
    cases.push_back({.op = "LogSoftmax",
                     .what = what,
                     .inputs = {x},
                     .attributes = attributes,
                     .opset = cut.opset,
                     .reference = softmax(cut.view, true)});
    const Tensor y = as(DType::kF32, softmax(cut.view, false)({x})[0]), log_y = as(DType::kF32, softmax(cut.view, true)({x})[0]);
    cases.push_back({.op = "tandem.SoftmaxGrad",
                     .what = what,
                     .inputs = {y, dy},
                     .attributes = internal,
                     .reference = softmax_grad(cut.view, false)});
    cases.push_back({.op = "tandem.LogSoftmaxGrad",
                     .what = what,
                     .inputs = {log_y, dy},
                     .attributes = internal,
                     .reference = softmax_grad(cut.view, true)});
  }
  cases.push_back({.op = "Softmax",
                   .what = "large",
                   .inputs = {uniform({70, 1000}, -9, 9)},
                   .reference = softmax({70, 1000, 1}, false),
                   .gradient = false});
  cases.push_back(
      {.op = "LogSoftmax", .what = "by default", .inputs = {uniform({2, 3, 4})}, .reference = softmax({6, 4, 1}, true)});
  for (int opset : {11, 13})
    cases.push_back({.op = "Hardmax",
                     .what = "ties",
                     .inputs = {f32({2, 4}, {1, 5, 5, 0, -1, -3, -2, -9})},
                     .attributes = {{"axis", int64_t{1}}},
                     .opset = opset,
                     .reference = fixed(f32({2, 4}, {0, 1, 0, 0, 1, 0, 0, 0})),
                     .gradient = false});
}

// What a loss node is asked for.
struct Loss {
  Shape scores;
  std::string reduction;
  bool weighted, ignores;
  bool of_log_probabilities = false;  // NegativeLogLikelihoodLoss

  int64_t inner() const { return scores.product(2, scores.rank()); }
  Shape labels_shape() const {
    Shape labels{scores[0]};
    for (int a = 2; a < scores.rank(); ++a) labels.push_back(scores[a]);
    return labels;
  }
  Tensor labels() const {
    std::vector<int64_t> values;
    for (int64_t s = 0; s < labels_shape().elements(); ++s) values.push_back(ignores && s % 3 == 1 ? -100 : s * 7 % scores[1]);
    return i64(labels_shape(), values);
  }
  Attributes attributes() const {
    Attributes all = {{"reduction", reduction}};
    if (ignores) all["ignore_index"] = int64_t{-100};
    return all;
  }
  std::vector<Tensor> inputs() const {
    std::vector<Tensor> all = {uniform(scores, -3, 3), labels()};
    if (weighted) all.push_back(uniform({scores[1]}, 0.5, 2, 6));
    return all;
  }
};

Reference loss(const Loss& of) {
  return [of](const std::vector<Tensor>& in) {
    const Tensor log_p =
        of.of_log_probabilities ? as(DType::kF64, in[0]) : softmax({of.scores[0], of.scores[1], of.inner()}, true)(in)[0];
    const std::vector<double> log_ps = numbers(log_p), labels = numbers(in[1]);
    const std::vector<double> weights =
        of.weighted ? numbers(in[2]) : std::vector<double>(static_cast<size_t>(of.scores[1]), 1.0);
    std::vector<double> each;
    double sum = 0, total = 0;
    for (int64_t s = 0; s < static_cast<int64_t>(labels.size()); ++s) {
      const auto label = static_cast<int64_t>(labels[static_cast<size_t>(s)]);
      const double weight = label == -100 ? 0 : weights[static_cast<size_t>(label)];
      const auto at =
          static_cast<size_t>((s / of.inner() * of.scores[1] + std::max<int64_t>(label, 0)) * of.inner() + s % of.inner());
      each.push_back(-weight * log_ps[at]);
      sum += each.back();
      total += weight;
    }
    const Tensor result =
        of.reduction == "none" ? f64(of.labels_shape(), each) : f64({}, {of.reduction == "mean" ? sum / total : sum});
    return std::vector{result, log_p};
  };
}

// dx of (scores, labels, dloss, weights?).
Reference loss_grad(const Loss& of) {
  return [of](const std::vector<Tensor>& in) {
    std::vector<Tensor> forward = {in[0], in[1]};
    if (of.weighted) forward.push_back(in[3]);
    return std::vector{differences(loss(of), forward, 0, in[2])};
  };
}

void add_losses(Cases& cases) {
  for (const Shape& scores : {Shape{6, 5}, Shape{3, 4, 5}, Shape{2, 3, 2, 2}})
    for (const std::string reduction : {"none", "mean", "sum"})
      for (bool weighted : {false, true})
        for (bool ignores : {false, true}) {
          Loss of = {scores, reduction, weighted, ignores};
          cases.push_back({.op = "SoftmaxCrossEntropyLoss",
                           .what = reduction,
                           .inputs = of.inputs(),
                           .attributes = of.attributes(),
                           .outputs = 2,
                           .reference = loss(of),
                           .no_gradient_for = {2}});
          const Tensor dloss = uniform(reduction == "none" ? of.labels_shape() : Shape{}, 0.5, 1.5, 9);
          std::vector<Tensor> grad_inputs = of.inputs();
          grad_inputs.insert(grad_inputs.begin() + 2, dloss);
          cases.push_back({.op = "tandem.SoftmaxCrossEntropyLossGrad",
                           .what = reduction,
                           .inputs = grad_inputs,
                           .attributes = of.attributes(),
                           .reference = loss_grad(of)});
          of.of_log_probabilities = true;
          cases.push_back({.op = "NegativeLogLikelihoodLoss",
                           .what = reduction,
                           .inputs = of.inputs(),
                           .attributes = of.attributes(),
                           .reference = [of](const std::vector<Tensor>& in) { return std::vector{loss(of)(in)[0]}; },
                           .no_gradient_for = {2}});
          cases.push_back({.op = "tandem.NegativeLogLikelihoodLossGrad",
                           .what = reduction,
                           .inputs = grad_inputs,
                           .attributes = of.attributes(),
                           .reference = loss_grad(of)});
        }
  const Loss plain = {{9, 10}, "mean", false, false};
  cases.push_back({.op = "SoftmaxCrossEntropyLoss",
                   .what = "loss alone, i32 labels",
                   .inputs = {uniform({9, 10}), as(DType::kI32, plain.labels())},
                   .reference = [plain](const std::vector<Tensor>& in) { return std::vector{loss(plain)(in)[0]}; }});
  const Loss large = {{3000, 10}, "mean", false, false};
  cases.push_back({.op = "SoftmaxCrossEntropyLoss",
                   .what = "large",
                   .inputs = large.inputs(),
                   .outputs = 2,
                   .reference = loss(large),
                   .gradient = false});
}

void add_dropout(Cases& cases) {
  const Tensor x = uniform({3, 7}), ones = f32({3, 7}, std::vector<float>(21, 1.0f));
  const auto same = [ones](const std::vector<Tensor>& in) { return std::vector{in[0], ones}; };
  const auto same_alone = [](const std::vector<Tensor>& in) { return std::vector{in[0]}; };
  for (int opset : {7, 10}) {
    cases.push_back({.op = "Dropout",
                     .what = "for inference",
                     .inputs = {x},
                     .attributes = {{"ratio", 0.3f}},
                     .opset = opset,
                     .reference = same_alone});
    cases.push_back({.op = "Dropout",
                     .what = "with a mask",
                     .inputs = {x},
                     .outputs = 2,
                     .opset = opset,
                     .reference = same,
                     .gradient = false});
  }
  cases.push_back({.op = "Dropout", .what = "for inference", .inputs = {x}, .reference = same_alone});
  cases.push_back({.op = "Dropout",
                   .what = "with a mask",
                   .inputs = {x, f32({}, {0.5f}), booleans({}, {false})},
                   .outputs = 2,
                   .constants = {1, 2},
                   .reference = same,
                   .gradient = false});
  for (const Shape& shape : {Shape{3, 7}, Shape{40000}}) {
    const bool small = shape.elements() < 100;
    const Attributes attributes = {{"ratio", 0.25f}, {"seed", int64_t{42}}, {"site", int64_t{3}}};
    const auto masked = [](const std::vector<Tensor>& in) {
      std::vector<double> y = numbers(in[0]);
      const auto counter = static_cast<uint64_t>(numbers(in[1])[0]);
      for (size_t i = 0; i < y.size(); ++i)
        y[i] = unit_float(philox(dropout_key(42, 3), i / 4, counter)[i % 4]) < 0.25f ? 0 : y[i] / 0.75;
      return std::vector{f64(in[0].shape(), y)};
    };
    cases.push_back({.op = "tandem.RandomDropout",
                     .what = to_string(shape),
                     .inputs = {uniform(shape), i64({}, {11})},
                     .attributes = attributes,
                     .reference = masked,
                     .gradient = small});
  }
}

}  // namespace

void add_loss_cases(Cases& cases) {
  add_softmax(cases);
  add_losses(cases);
  add_dropout(cases);
}

}  // namespace tandem::conformance
