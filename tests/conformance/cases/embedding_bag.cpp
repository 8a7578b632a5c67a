// tandem.EmbeddingBag and its gradients: rows of a table by loops over the indices.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

struct Bag {
  std::string what, mode;
  Shape indices;
  int64_t rows, width, axis;
  bool weighted = false, keeps = true;
  DType type = DType::kI64;
};

// (table, indices, weights?)
Reference bags(const Bag& bag) {
  return [bag](const std::vector<Tensor>& in) {
    const std::vector<double> table = numbers(in[0]), index = numbers(in[1]);
    const std::vector<double> weights = in.size() > 2 ? numbers(in[2]) : std::vector<double>(index.size(), 1.0);
    const int axis = static_cast<int>(bag.axis);
    const int64_t outer = bag.indices.product(0, axis), length = bag.indices[axis], inner = bag.indices.product(axis + 1, bag.indices.rank());
    Shape shape;
    for (int a = 0; a < bag.indices.rank(); ++a) {
      if (a != axis) shape.push_back(bag.indices[a]);
      else if (bag.keeps) shape.push_back(1);
    }
    shape.push_back(bag.width);
    std::vector<double> y;
    for (int64_t b = 0; b < outer * inner; ++b)
      for (int64_t c = 0; c < bag.width; ++c) {
        double sum = 0, largest = -std::numeric_limits<double>::infinity();
        for (int64_t i = 0; i < length; ++i) {
          const auto at = static_cast<size_t>((b / inner * length + i) * inner + b % inner);
          const int64_t row = static_cast<int64_t>(index[at]) + (index[at] < 0 ? bag.rows : 0);
          const double x = table[static_cast<size_t>(row * bag.width + c)];
          sum += weights[at] * x, largest = std::max(largest, x);
        }
        y.push_back(bag.mode == "max" ? largest : bag.mode == "mean" ? sum / static_cast<double>(length) : sum);
      }
    return std::vector{f64(shape, y)};
  };
}

// Each row often, from both ends.
Tensor indices_of(const Bag& bag) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < bag.indices.elements(); ++i) values.push_back((i * i + 3 * i) % bag.rows - (i % 3 == 0 ? bag.rows : 0));
  return as(bag.type, i64(bag.indices, std::move(values)));
}

std::vector<Tensor> inputs_of(const Bag& bag) {
  std::vector<Tensor> inputs = {uniform({bag.rows, bag.width}), indices_of(bag)};
  Shape weights = bag.indices;
  weights.push_back(1);
  if (bag.weighted) inputs.push_back(uniform(weights, -2, 2, 2));
  return inputs;
}

Attributes attributes_of(const Bag& bag) { return {{"mode", bag.mode}, {"axis", bag.axis}, {"keepdims", int64_t{bag.keeps}}}; }

Shape result_of(const Bag& bag) { return bags(bag)(inputs_of(bag))[0].shape(); }

}  // namespace

void add_embedding_bag_cases(Cases& cases) {
  const Bag kBags[] = {
      {"sum", "sum", {3, 4}, 7, 5, 1, false, false},
      {"mean", "mean", {3, 4}, 7, 17, 1, false, true},
      {"maximum", "max", {3, 4}, 50, 6, 1, false, false},
      {"weighted", "sum", {3, 4}, 7, 5, 1, true, false},
      {"words before bags, i32", "sum", {4, 3}, 7, 33, 0, false, false, DType::kI32},
      {"weighted in the middle", "sum", {2, 3, 2}, 5, 4, 1, true, true, DType::kI32},
      {"one list", "mean", {6}, 5, 3, 0, false, false},
      {"single rows", "max", {5, 1}, 6, 4, 1, false, false},
  };
  for (const Bag& bag : kBags) {
    cases.push_back({.op = "tandem.EmbeddingBag", .what = bag.what, .inputs = inputs_of(bag), .attributes = attributes_of(bag), .reference = bags(bag)});
    std::vector<Tensor> inputs = inputs_of(bag);
    inputs.insert(inputs.begin(), uniform(result_of(bag), -2, 2, 3));
    const std::vector<int> forward = bag.weighted ? std::vector{1, 2, 3} : std::vector{1, 2};
    cases.push_back({.op = "tandem.EmbeddingBagGrad",
                     .what = bag.what,
                     .inputs = inputs,
                     .attributes = attributes_of(bag),
                     .reference = differences(bags(bag), 0, forward, {1}),
                     .rtol = 1e-4,
                     .atol = 1e-5,
                     .gradient = false});
    if (!bag.weighted) continue;
    const auto by_weights = [bag](const std::vector<Tensor>& in) {
      Shape shape = bag.indices;
      shape.push_back(1);
      return differences(bags(bag), 0, {1, 2, 3}, {3})({in[0], in[1], in[2], uniform(shape)});  // linear: wherever
    };
    cases.push_back({.op = "tandem.EmbeddingBagWeightsGrad",
                     .what = bag.what,
                     .inputs = {inputs[0], inputs[1], inputs[2]},
                     .attributes = attributes_of(bag),
                     .reference = by_weights,
                     .rtol = 1e-4,
                     .atol = 1e-5,
                     .gradient = false});
  }
  for (const std::string mode : {"sum", "mean", "max"})
    for (const auto& [length, width] : {std::pair<int64_t, int64_t>{100, 128}, {33, 200}, {64, 79}, {70, 1}}) {
      const Bag large = {"large", mode, {40, length}, 300, width, 1, false, false};
      cases.push_back({.op = "tandem.EmbeddingBag",
                       .what = mode + " of " + std::to_string(length) + " by " + std::to_string(width),
                       .inputs = inputs_of(large),
                       .attributes = attributes_of(large),
                       .reference = bags(large),
                       .atol = 1e-5,  // of partial sums of about 10
                       .gradient = false});
    }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::string mode : {"sum", "mean"}) {  // f32 alone would be 3e-5 off
    const Bag one = {"a long bag of one row", mode, {1, 100'000}, 1, 3, 1, false, false};
    cases.push_back({.op = "tandem.EmbeddingBag",
                     .what = one.what + ", " + mode,
                     .inputs = {f32({1, 3}, {0.1F, 0.7F, -1.3F}), i64({1, 100'000}, std::vector<int64_t>(100'000))},
                     .attributes = attributes_of(one),
                     .reference = bags(one),
                     .rtol = 1e-6,
                     .gradient = false});
  }
  for (const auto& [mode, of_none] : {std::pair<std::string, float>{"mean", nan}, {"max", -std::numeric_limits<float>::infinity()}})
    cases.push_back({.op = "tandem.EmbeddingBag",
                     .what = "empty bags, " + mode,
                     .inputs = {f32({2, 2}, {1, 2, 3, 4}), i64({1, 0}, {})},
                     .attributes = {{"mode", mode}, {"axis", int64_t{1}}, {"keepdims", int64_t{0}}},
                     .reference = fixed(f32({1, 2}, {of_none, of_none})),
                     .gradient = false});
  const Bag empty = {"empty bags", "sum", {3, 0}, 5, 4, 1, false, false}, none = {"no bags", "mean", {0, 3}, 5, 4, 1, false, false};
  for (const Bag& bag : {empty, none})
    cases.push_back({.op = "tandem.EmbeddingBag", .what = bag.what, .inputs = inputs_of(bag), .attributes = attributes_of(bag), .reference = bags(bag)});
  cases.push_back({.op = "tandem.EmbeddingBag",
                   .what = "NaN is the maximum",
                   .inputs = {f32({3, 2}, {1, nan, 2, 5, 3, 4}), i64({3, 2}, {0, 1, 1, 0, 1, 2})},
                   .attributes = {{"mode", std::string("max")}, {"axis", int64_t{1}}, {"keepdims", int64_t{0}}},
                   .reference = fixed(f32({3, 2}, {2, nan, 2, nan, 3, 5})),
                   .gradient = false});
  cases.push_back({.op = "tandem.EmbeddingBagGrad",
                   .what = "rows that hold the maximum share its slope",
                   .inputs = {f32({1, 2}, {6, 8}), f32({3, 2}, {5, 1, 5, 4, 2, 3}), i64({1, 4}, {0, 1, 2, 1})},
                   .attributes = {{"mode", std::string("max")}, {"axis", int64_t{1}}, {"keepdims", int64_t{0}}},
                   .reference = fixed(f32({3, 2}, {2, 0, 4, 8, 0, 0})),
                   .gradient = false});
}

}  // namespace tandem::conformance
