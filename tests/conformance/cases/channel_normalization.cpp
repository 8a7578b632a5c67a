// Group, instance and local response normalization; their gradients against differences of the loops.
#include <algorithm>
#include <cmath>

#include "tests/conformance/cases/cases.h"
#include "tests/conformance/cases/differences.h"

namespace tandem::conformance {
namespace {

constexpr float kEpsilon = 1e-3f;

// (x, scale, bias) -> y; scale and bias have one value a channel or one a group.
Reference group_norm(int64_t groups) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& shape = in[0].shape();
    const int64_t inner = shape.product(2, shape.rank()), size = shape[1] / groups * inner;
    const std::vector<double> x = numbers(in[0]), scale = numbers(in[1]), bias = numbers(in[2]);
    std::vector<double> y(x.size());
    for (int64_t start = 0; start < shape.elements(); start += size) {
      double mean = 0, var = 0;
      for (int64_t i = start; i < start + size; ++i) mean += x[static_cast<size_t>(i)] / static_cast<double>(size);
      for (int64_t i = start; i < start + size; ++i)
        var += std::pow(x[static_cast<size_t>(i)] - mean, 2) / static_cast<double>(size);
      for (int64_t i = start; i < start + size; ++i) {
        const auto at = static_cast<size_t>(i);
        const auto s = static_cast<size_t>(i / inner % shape[1] * static_cast<int64_t>(scale.size()) / shape[1]);
        y[at] = (x[at] - mean) / std::sqrt(var + static_cast<double>(kEpsilon)) * scale[s] + bias[s];
      }
    }
    return std::vector{f64(shape, y)};
  };
}

void add_group_norm_grad(Cases& cases, const std::vector<Tensor>& inputs, int64_t groups, Attributes attributes) {
  const auto reference = [inputs, groups](const std::vector<Tensor>& in) {
    std::vector<Tensor> grads;
    for (size_t i = 0; i < 3; ++i) grads.push_back(differences(group_norm(groups), inputs, i, in[0]));
    return grads;
  };
  cases.push_back({.op = "tandem.GroupNormalizationGrad",
                   .inputs = {uniform(inputs[0].shape(), -1, 1, 8), inputs[0], inputs[1]},
                   .attributes = attributes,
                   .outputs = 3,
                   .reference = reference,
                   .rtol = 1e-4,
                   .atol = 1e-5});
}

void add_group_norm(Cases& cases) {
  for (const Shape& shape : {Shape{3, 4, 2, 3}, Shape{2, 6, 5}, Shape{2, 4}, Shape{2, 8, 30, 40}}) {
    const bool small = shape.elements() < 1000;
    for (int64_t groups : {int64_t{2}, shape[1]}) {
      if (groups == shape[1] && shape.rank() == 2) continue;  // one element a group: y is the bias
      for (bool by_group : {true, false}) {
        const Shape vector{by_group ? groups : shape[1]};
        const std::vector<Tensor> inputs = {uniform(shape), uniform(vector, 0.5, 2, 3), uniform(vector, -1, 1, 4)};
        const Attributes attributes = {{"epsilon", kEpsilon}, {"num_groups", groups}};
        cases.push_back({.op = "GroupNormalization",
                         .what = to_string(shape),
                         .inputs = inputs,
                         .attributes = attributes,
                         .opset = by_group ? 18 : 21,
                         .reference = group_norm(groups),
                         .gradient = small});
        if (small) add_group_norm_grad(cases, inputs, groups, attributes);
        if (groups != shape[1] || by_group) continue;
        const Attributes epsilon = {{"epsilon", kEpsilon}};
        cases.push_back({.op = "InstanceNormalization",
                         .what = to_string(shape),
                         .inputs = inputs,
                         .attributes = epsilon,
                         .reference = group_norm(groups),
                         .gradient = small});
        if (small) add_group_norm_grad(cases, inputs, groups, epsilon);
      }
    }
  }
}

struct Response {
  int64_t size;
  float alpha = 0.3f, beta = 0.75f, bias = 1;
  Attributes attributes() const { return {{"size", size}, {"alpha", alpha}, {"beta", beta}, {"bias", bias}}; }
};

Reference response(const Response& r) {
  return [r](const std::vector<Tensor>& in) {
    const Shape& shape = in[0].shape();
    const int64_t inner = shape.product(2, shape.rank()), before = (r.size - 1) / 2, after = r.size / 2;
    const std::vector<double> x = numbers(in[0]);
    std::vector<double> y(x.size());
    for (int64_t i = 0; i < shape.elements(); ++i) {
      const int64_t c = i / inner % shape[1];
      double sum = 0;
      for (int64_t o = std::max<int64_t>(0, c - before); o <= std::min(shape[1] - 1, c + after); ++o)
        sum += std::pow(x[static_cast<size_t>(i + (o - c) * inner)], 2);
      const double s = static_cast<double>(r.bias) + static_cast<double>(r.alpha) / static_cast<double>(r.size) * sum;
      y[static_cast<size_t>(i)] = x[static_cast<size_t>(i)] / std::pow(s, static_cast<double>(r.beta));
    }
    return std::vector{f64(shape, y)};
  };
}

void add_response(Cases& cases) {
  for (const Response& r :
       {Response{.size = 3}, Response{.size = 4, .beta = 0.5f, .bias = 2}, Response{.size = 1}, Response{.size = 9}}) {
    for (const Shape& shape : {Shape{2, 5, 3, 2}, Shape{1, 4, 7}}) {
      cases.push_back({.op = "LRN",
                       .what = "of " + std::to_string(r.size),
                       .inputs = {uniform(shape)},
                       .attributes = r.attributes(),
                       .reference = response(r)});
      cases.push_back(
          {.op = "tandem.LRNGrad",
           .inputs = {uniform(shape, -1, 1, 8), uniform(shape)},
           .attributes = r.attributes(),
           .reference = [r](const std::vector<Tensor>& in) { return std::vector{differences(response(r), {in[1]}, 0, in[0])}; }});
    }
    cases.push_back({.op = "LRN",
                     .what = "large",
                     .inputs = {uniform({2, 7, 40, 41})},
                     .attributes = r.attributes(),
                     .reference = response(r),
                     .gradient = false});
  }
}

}  // namespace

void add_channel_normalization_cases(Cases& cases) {
  add_group_norm(cases);
  add_response(cases);
}

}  // namespace tandem::conformance
