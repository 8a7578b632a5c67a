// The classical models of ai.onnx.ml on small examples: trees written as conditions, and scores in double.
#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/ops/all_ops.h"
#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

using Texts = std::vector<std::string>;
using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;
using Row = std::vector<double>;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Rows of the first input, each turned into rows of all outputs.
Reference by_row(std::function<std::vector<Row>(const Row&)> f) {
  return [=](const std::vector<Tensor>& in) {
    const std::vector<double> x = numbers(in[0]);
    const bool one = in[0].shape().rank() == 1;
    const int64_t rows = one ? 1 : in[0].shape()[0], columns = in[0].shape()[one ? 0 : 1];
    std::vector<Row> outputs;
    std::vector<int64_t> widths;
    for (int64_t r = 0; r < rows; ++r) {
      const std::vector<Row> made = f(Row(x.begin() + r * columns, x.begin() + (r + 1) * columns));
      outputs.resize(made.size());
      widths.clear();
      for (size_t o = 0; o < made.size(); ++o) {
        outputs[o].insert(outputs[o].end(), made[o].begin(), made[o].end());
        widths.push_back(static_cast<int64_t>(made[o].size()));
      }
    }
    std::vector<Tensor> tensors;
    for (size_t o = 0; o < outputs.size(); ++o)  // labels are a list
      tensors.push_back(f64(outputs.size() == 2 && o == 0 ? Shape{rows} : Shape{rows, widths[o]}, outputs[o]));
    return tensors;
  };
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }
Row softmax(Row scores) {
  double sum = 0;
  for (double& s : scores) sum += s = std::exp(s);
  for (double& s : scores) s /= sum;
  return scores;
}
size_t best(const Row& scores) { return static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin()); }

// x0 <= 0.5 ? (x1 < -1 ? leaf 0 : leaf 1) : leaf 2;   x1 > 0.25 ? leaf 3 : leaf 4;   leaf 5
int first_leaf(const Row& x) { return x[0] <= 0.5 ? (x[1] < -1 ? 0 : 1) : 2; }
int second_leaf(const Row& x) { return x[1] > 0.25 ? 3 : 4; }

Attributes listed_trees(const std::string& prefix, Ints targets, Floats weights) {
  return {{"nodes_treeids", Ints{4, 4, 4, 4, 4, 2, 2, 2, 9}},
          {"nodes_nodeids", Ints{0, 1, 2, 3, 4, 0, 1, 2, 0}},
          {"nodes_featureids", Ints{0, 1, 0, 0, 0, 1, 0, 0, 0}},
          {"nodes_modes", Texts{"BRANCH_LEQ", "BRANCH_LT", "LEAF", "LEAF", "LEAF", "BRANCH_GT", "LEAF", "LEAF", "LEAF"}},
          {"nodes_values", Floats{0.5f, -1, 0, 0, 0, 0.25f, 0, 0, 0}},
          {"nodes_truenodeids", Ints{1, 2, 0, 0, 0, 1, 0, 0, 0}},
          {"nodes_falsenodeids", Ints{4, 3, 0, 0, 0, 2, 0, 0, 0}},
          {prefix + "_treeids", Ints{4, 4, 4, 2, 2, 9}},
          {prefix + "_nodeids", Ints{2, 3, 4, 1, 2, 0}},
          {prefix + "_ids", std::move(targets)},
          {prefix + "_weights", std::move(weights)}};
}

const Row kWeights = {0.5, -0.25, 0.75, 1.5, 0.125, 0.0625};
Floats weights_f32() { return Floats(kWeights.begin(), kWeights.end()); }

Row leaf_weights(const Row& x) {
  return {kWeights[static_cast<size_t>(first_leaf(x))], kWeights[static_cast<size_t>(second_leaf(x))], kWeights[5]};
}

Tensor samples(int64_t rows) {
  Tensor x = uniform({rows, 2}, -2, 2, 5);
  x.as<float>()[0] = 0.5f;
  x.as<float>()[1] = -1;
  return x;
}

void add_regressors(Cases& cases) {
  const auto add = [&](const std::string& what, const std::string& aggregate, const Tensor& x,
                       std::function<double(const Row&)> fold) {
    Attributes attributes = listed_trees("target", Ints(6, 0), weights_f32());
    attributes["aggregate_function"] = aggregate;
    attributes["base_values"] = Floats{0.25f};
    cases.push_back({.op = "ai.onnx.ml.TreeEnsembleRegressor",
                     .what = aggregate + " " + what,
                     .inputs = {x},
                     .attributes = attributes,
                     .reference = by_row([=](const Row& row) { return std::vector<Row>{{fold(leaf_weights(row)) + 0.25}}; })});
  };
  const auto sum = [](const Row& w) { return w[0] + w[1] + w[2]; };
  for (DType type : {DType::kF32, DType::kF64, DType::kI64, DType::kI32})
    add(std::string(name(type)), "SUM", as(type, samples(9)), sum);
  add("large", "SUM", samples(20000), sum);
  add("nothing", "SUM", Tensor(DType::kF32, {0, 2}), sum);
  add("a row", "SUM", f32({2}, {0.25f, 3}), sum);
  add("", "AVERAGE", samples(9), [=](const Row& w) { return sum(w) / 3; });
  add("", "MIN", samples(9), [](const Row& w) { return *std::min_element(w.begin(), w.end()); });
  add("", "MAX", samples(9), [](const Row& w) { return *std::max_element(w.begin(), w.end()); });
  Attributes two = listed_trees("target", Ints{0, 1, 0, 1, 0, 1}, weights_f32());
  two["n_targets"] = int64_t{2};
  two["post_transform"] = std::string("LOGISTIC");
  cases.push_back({.op = "ai.onnx.ml.TreeEnsembleRegressor",
                   .what = "two targets",
                   .inputs = {samples(7)},
                   .attributes = two,
                   .reference = by_row([](const Row& row) {
                     Row scores = {0, 0};
                     for (int leaf : {first_leaf(row), second_leaf(row), 5})
                       scores[static_cast<size_t>(leaf % 2)] += kWeights[static_cast<size_t>(leaf)];
                     return std::vector<Row>{{logistic(scores[0]), logistic(scores[1])}};
                   })});
}

// Every comparison, and where NaN goes.
void add_modes(Cases& cases) {
  const Tensor x = f64({6, 1}, {0, 1, 2, -1, kNan, 1.5});
  const std::pair<std::string, std::function<bool(double)>> modes[] = {
      {"BRANCH_LEQ", [](double v) { return v <= 1; }}, {"BRANCH_LT", [](double v) { return v < 1; }},
      {"BRANCH_GTE", [](double v) { return v >= 1; }}, {"BRANCH_GT", [](double v) { return v > 1; }},
      {"BRANCH_EQ", [](double v) { return v == 1; }},  {"BRANCH_NEQ", [](double v) { return v != 1; }}};
  for (const auto& [mode, holds] : modes)
    for (int64_t tracks : {0, 1}) {
      const Attributes attributes = {{"nodes_treeids", Ints{0, 0, 0}},
                                     {"nodes_nodeids", Ints{0, 1, 2}},
                                     {"nodes_featureids", Ints{0, 0, 0}},
                                     {"nodes_modes", Texts{mode, "LEAF", "LEAF"}},
                                     {"nodes_values_as_tensor", f64({3}, {1, 0, 0})},
                                     {"nodes_truenodeids", Ints{1, 0, 0}},
                                     {"nodes_falsenodeids", Ints{2, 0, 0}},
                                     {"nodes_missing_value_tracks_true", Ints{tracks, 0, 0}},
                                     {"target_treeids", Ints{0, 0}},
                                     {"target_nodeids", Ints{1, 2}},
                                     {"target_ids", Ints{0, 0}},
                                     {"target_weights_as_tensor", f64({2}, {1, -1})}};
      cases.push_back({.op = "ai.onnx.ml.TreeEnsembleRegressor",
                       .what = mode + (tracks ? " nan true" : " nan false"),
                       .inputs = {x},
                       .attributes = attributes,
                       .reference = by_row([=, holds = holds](const Row& row) {
                         return std::vector<Row>{{holds(row[0]) || (tracks && std::isnan(row[0])) ? 1.0 : -1.0}};
                       })});
    }
  // The leaves once a class, as skl2onnx writes decision paths: the first of each counts.
  cases.push_back({.op = "ai.onnx.ml.TreeEnsembleRegressor",
                   .what = "leaves listed twice",
                   .inputs = {x},
                   .attributes = {{"nodes_treeids", Ints{0, 0, 0}},
                                  {"nodes_nodeids", Ints{0, 1, 2}},
                                  {"nodes_featureids", Ints{0, 0, 0}},
                                  {"nodes_modes", Texts{"BRANCH_LEQ", "LEAF", "LEAF"}},
                                  {"nodes_values", Floats{1, 0, 0}},
                                  {"nodes_truenodeids", Ints{1, 0, 0}},
                                  {"nodes_falsenodeids", Ints{2, 0, 0}},
                                  {"target_treeids", Ints{0, 0, 0, 0}},
                                  {"target_nodeids", Ints{2, 1, 1, 2}},
                                  {"target_ids", Ints{0, 0, 0, 0}},
                                  {"target_weights", Floats{7, 3, 5, 9}}},
                   .reference = by_row([](const Row& row) { return std::vector<Row>{{row[0] <= 1 ? 3.0 : 7.0}}; })});
}

void add_classifiers(Cases& cases) {
  Attributes three = listed_trees("class", Ints{0, 1, 2, 2, 0, 1}, weights_f32());
  three["classlabels_int64s"] = Ints{10, 20, 30};
  three["base_values"] = Floats{0.5f, 0.25f, -0.5f};
  three["post_transform"] = std::string("SOFTMAX");
  cases.push_back({.op = "ai.onnx.ml.TreeEnsembleClassifier",
                   .what = "three classes",
                   .inputs = {samples(50)},
                   .attributes = three,
                   .outputs = 2,
                   .reference = by_row([](const Row& row) {
                     const size_t classes[] = {0, 1, 2, 2, 0, 1};
                     Row scores = {0.5, 0.25, -0.5};
                     for (int leaf : {first_leaf(row), second_leaf(row), 5})
                       scores[classes[leaf]] += kWeights[static_cast<size_t>(leaf)];
                     return std::vector<Row>{{10.0 * static_cast<double>(best(scores) + 1)}, softmax(scores)};
                   })});
  Attributes two = listed_trees("class", Ints(6, 0), weights_f32());
  two["classlabels_int64s"] = Ints{-1, 1};
  two["post_transform"] = std::string("LOGISTIC");
  two["base_values"] = Floats{-0.9f};
  const auto score = [](const Row& row) {
    const Row w = leaf_weights(row);
    return w[0] + w[1] + w[2];
  };
  cases.push_back({.op = "ai.onnx.ml.TreeEnsembleClassifier",
                   .what = "one column of any sign",
                   .inputs = {samples(50)},
                   .attributes = two,
                   .outputs = 2,
                   .reference = by_row([=](const Row& row) {
                     const double s = score(row) - 0.9;
                     return std::vector<Row>{{s > 0 ? 1.0 : -1.0}, {logistic(-s), logistic(s)}};
                   })});
  Attributes shares = listed_trees("class", Ints(6, 0), Floats{0.5f, 0.25f, 0, 0.25f, 0.125f, 0.0625f});
  shares["classlabels_strings"] = Texts{"no", "yes"};
  cases.push_back({.op = "ai.onnx.ml.TreeEnsembleClassifier",
                   .what = "one column of shares",
                   .inputs = {f32({3, 2}, {0, -2, 0, 3, 1, 0})},
                   .attributes = shares,
                   .outputs = 2,
                   .reference = [](const std::vector<Tensor>&) {
                     return std::vector{strings({3}, {"yes", "yes", "no"}),
                                        f64({3, 2}, {1 - 0.6875, 0.6875, 1 - 0.5625, 0.5625, 1 - 0.1875, 0.1875})};
                   }});
}

// TreeEnsemble-5: one tree with a set, one that is the same leaf on both sides.
void add_ensembles(Cases& cases) {
  for (DType type : {DType::kF32, DType::kF64}) {
    const Attributes attributes = {{"n_targets", int64_t{2}},
                                   {"tree_roots", Ints{0, 2}},
                                   {"nodes_modes", Tensor::of<uint8_t>({3}, {6, 0, 0})},
                                   {"nodes_splits", as(type, f32({3}, {0, 1.5f, 0}))},
                                   {"nodes_featureids", Ints{0, 1, 0}},
                                   {"nodes_truenodeids", Ints{0, 1, 3}},
                                   {"nodes_trueleafs", Ints{1, 1, 1}},
                                   {"nodes_falsenodeids", Ints{1, 2, 3}},
                                   {"nodes_falseleafs", Ints{0, 1, 1}},
                                   {"leaf_targetids", Ints{0, 1, 0, 1}},
                                   {"leaf_weights", as(type, f32({4}, {1, 2, 4, 8}))},
                                   {"membership_values", as(type, f64({4}, {3, 1, 2, kNan}))}};
    cases.push_back({.op = "ai.onnx.ml.TreeEnsemble",
                     .what = std::string(name(type)),
                     .inputs = {as(type, f64({5, 2}, {1, 9, 3, 9, 4, 1, 4, 2, kNan, 1}))},
                     .attributes = attributes,
                     .reference = by_row([](const Row& row) {
                       Row scores = {0, 8};
                       if (row[0] == 1 || row[0] == 2 || row[0] == 3)
                         scores[0] += 1;
                       else if (row[1] <= 1.5)
                         scores[1] += 2;
                       else
                         scores[0] += 4;
                       return std::vector<Row>{scores};
                     }),
                     .round_trip = false});
  }
}

Row products(const Row& x, const Floats& coefficients, const Floats& intercepts) {
  Row scores;
  for (size_t t = 0; t < intercepts.size(); ++t) {
    double sum = intercepts[t];
    for (size_t f = 0; f < x.size(); ++f) sum += x[f] * coefficients[t * x.size() + f];
    scores.push_back(sum);
  }
  return scores;
}

void add_linear(Cases& cases) {
  const Floats coefficients = {0.5f, -1, 2, 0.25f, 1, -0.75f, -1, 0.5f, 0}, intercepts = {0.1f, -0.2f, 0.3f};
  const Tensor x = uniform({11, 3});
  for (DType type : {DType::kF32, DType::kF64, DType::kI64, DType::kI32})
    cases.push_back(
        {.op = "ai.onnx.ml.LinearRegressor",
         .what = std::string(name(type)),
         .inputs = {as(type, x)},
         .attributes = {{"coefficients", coefficients}, {"intercepts", intercepts}, {"targets", int64_t{3}}},
         .reference = by_row([=](const Row& row) { return std::vector<Row>{products(row, coefficients, intercepts)}; })});
  Attributes classes = {{"coefficients", coefficients},
                        {"intercepts", intercepts},
                        {"classlabels_ints", Ints{5, 6, 7}},
                        {"post_transform", std::string("SOFTMAX")}};
  cases.push_back({.op = "ai.onnx.ml.LinearClassifier",
                   .what = "softmax",
                   .inputs = {x},
                   .attributes = classes,
                   .outputs = 2,
                   .reference = by_row([=](const Row& row) {
                     const Row scores = products(row, coefficients, intercepts);
                     return std::vector<Row>{{5.0 + static_cast<double>(best(scores))}, softmax(scores)};
                   })});
  const Floats one(coefficients.begin(), coefficients.begin() + 3);
  for (const std::string transform : {"NONE", "LOGISTIC"})
    cases.push_back({.op = "ai.onnx.ml.LinearClassifier",
                     .what = "one row " + transform,
                     .inputs = {x},
                     .attributes = {{"coefficients", one},
                                    {"intercepts", Floats{0.1f}},
                                    {"classlabels_ints", Ints{0, 1}},
                                    {"post_transform", transform}},
                     .outputs = 2,
                     .reference = by_row([=](const Row& row) {
                       const double s = products(row, one, {0.1f})[0];
                       const bool raw = transform == "NONE";
                       return std::vector<Row>{{s > 0 ? 1.0 : 0.0}, {raw ? -s : logistic(-s), raw ? s : logistic(s)}};
                     })});
}

double kernel_value(const std::string& kind, const Row& x, const float* vector) {
  double dot = 0, distance = 0;
  for (size_t f = 0; f < x.size(); ++f) dot += x[f] * vector[f], distance += (x[f] - vector[f]) * (x[f] - vector[f]);
  if (kind == "RBF") return std::exp(-0.5 * distance);
  if (kind == "POLY") return std::pow(0.5 * dot + 0.25, 3);
  return kind == "SIGMOID" ? std::tanh(0.5 * dot + 0.25) : dot;
}

void add_machines(Cases& cases) {
  const Floats vectors = {0.5f, 1, -1, 0.25f, 2, -0.5f, 1, 1, -0.75f, 0}, weights = {0.5f, -1, 0.75f, 0.25f, -0.5f};
  const Tensor x = uniform({140, 2});
  for (const std::string kind : {"LINEAR", "POLY", "RBF", "SIGMOID"}) {
    const auto value = [=](const Row& row, size_t v) { return kernel_value(kind, row, vectors.data() + 2 * v); };
    const Attributes common = {{"kernel_type", kind}, {"kernel_params", Floats{0.5f, 0.25f, 3}}, {"support_vectors", vectors}};
    Attributes regression = common;
    regression.insert({{"n_supports", int64_t{5}}, {"coefficients", weights}, {"rho", Floats{0.125f}}});
    cases.push_back({.op = "ai.onnx.ml.SVMRegressor",
                     .what = kind,
                     .inputs = {x},
                     .attributes = regression,
                     .reference = by_row([=](const Row& row) {
                       double sum = 0.125;
                       for (size_t v = 0; v < 5; ++v) sum += weights[v] * value(row, v);
                       return std::vector<Row>{{sum}};
                     })});
    Attributes classes = common;
    classes.insert({{"vectors_per_class", Ints{2, 1, 2}},
                    {"classlabels_ints", Ints{0, 1, 2}},
                    {"rho", Floats{0.1f, -0.1f, 0.2f}},
                    {"coefficients", Floats{0.5f, 1, -1, 0.5f, -0.25f, 0.75f, -1, 0.5f, 0.25f, 1}}});
    cases.push_back({.op = "ai.onnx.ml.SVMClassifier",
                     .what = kind,
                     .inputs = {x},
                     .attributes = classes,
                     .outputs = 2,
                     .reference = by_row([=](const Row& row) {
                       const double a = 0.5 * value(row, 0) + value(row, 1) - value(row, 2) + double{0.1f};
                       const double b =
                           0.75 * value(row, 0) - value(row, 1) + 0.5 * value(row, 3) - 0.25 * value(row, 4) - double{0.1f};
                       const double c = 0.5 * value(row, 2) + 0.25 * value(row, 3) + value(row, 4) + double{0.2f};
                       const Row votes = {(a > 0) + (b > 0) + 0.0, (a <= 0) + (c > 0) + 0.0, (b <= 0) + (c <= 0) + 0.0};
                       return std::vector<Row>{{static_cast<double>(best(votes))}, {a, b, c}};
                     }),
                     .rtol = 1e-4,
                     .atol = 1e-5});
  }
  // With two classes the coupling gives the pair's own probability.
  cases.push_back({.op = "ai.onnx.ml.SVMClassifier",
                   .what = "probabilities",
                   .inputs = {uniform({9, 2})},
                   .attributes = {{"kernel_type", std::string("RBF")},
                                  {"kernel_params", Floats{0.5f, 0, 0}},
                                  {"support_vectors", vectors},
                                  {"vectors_per_class", Ints{2, 3}},
                                  {"classlabels_strings", Texts{"a", "b"}},
                                  {"coefficients", weights},
                                  {"rho", Floats{0.125f}},
                                  {"prob_a", Floats{-2}},
                                  {"prob_b", Floats{0.25f}}},
                   .outputs = 2,
                   .reference =
                       [=](const std::vector<Tensor>& in) {
                         const std::vector<double> rows = numbers(in[0]);
                         Texts labels;
                         Row scores;
                         for (size_t r = 0; r < 9; ++r) {
                           double sum = 0.125;
                           for (size_t v = 0; v < 5; ++v)
                             sum += weights[v] * kernel_value("RBF", {rows[2 * r], rows[2 * r + 1]}, vectors.data() + 2 * v);
                           labels.push_back(sum > 0 ? "a" : "b");
                           const double p = logistic(2 * sum - 0.25);
                           scores.insert(scores.end(), {p, 1 - p});
                         }
                         return std::vector{strings({9}, labels), f64({9, 2}, scores)};
                       },
                   .atol = 2e-3});
  cases.push_back({.op = "ai.onnx.ml.SVMClassifier",
                   .what = "linear without vectors",
                   .inputs = {uniform({9, 2})},
                   .attributes = {{"coefficients", Floats{1, -0.5f, 0.25f, 1, -1, 0.5f}},
                                  {"classlabels_ints", Ints{3, 4, 5}},
                                  {"rho", Floats{0.125f}}},
                   .outputs = 2,
                   .reference = by_row([](const Row& row) {
                     const Row scores = products(row, {1, -0.5f, 0.25f, 1, -1, 0.5f}, Floats(3, 0.125f));
                     return std::vector<Row>{{3.0 + static_cast<double>(best(scores))}, scores};
                   })});
  cases.push_back(
      {.op = "ai.onnx.ml.SVMRegressor",
       .what = "one class",
       .inputs = {uniform({9, 2})},
       .attributes = {{"coefficients", Floats{1, -0.5f}}, {"rho", Floats{0.125f}}, {"one_class", int64_t{1}}},
       .reference = by_row([](const Row& row) { return std::vector<Row>{{row[0] - 0.5 * row[1] + 0.125 > 0 ? 1.0 : -1.0}}; })});
}

}  // namespace

void add_classical_cases(Cases& cases) {
  add_regressors(cases);
  add_modes(cases);
  add_classifiers(cases);
  add_ensembles(cases);
  add_linear(cases);
  add_machines(cases);
  cases.push_back({.op = "ai.onnx.ml.ZipMap",
                   .inputs = {f32({2, 2}, {0.25f, 0.75f, 1, 0})},
                   .attributes = {{"classlabels_int64s", Ints{4, 7}}},
                   .reference = fixed(f32({2, 2}, {0.25f, 0.75f, 1, 0}))});
}

}  // namespace tandem::conformance
