// Reductions over every kind of axis set, ArgMax and ArgMin, CumSum.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

using Fold = double (*)(const std::vector<double>&);

double sum(const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0); }
double squares(const std::vector<double>& v) { return std::inner_product(v.begin(), v.end(), v.begin(), 0.0); }

struct Function {
  std::string op;
  Fold fold;
  int old_opset = 13;  // one in which axes are an attribute
  double low = -2, high = 2;
};

const Function kFunctions[] = {
    {"ReduceSum", sum, 11},
    {"ReduceMean", [](const std::vector<double>& v) { return sum(v) / static_cast<double>(v.size()); }},
    {"ReduceMax", [](const std::vector<double>& v) { return *std::ranges::max_element(v); }},
    {"ReduceMin", [](const std::vector<double>& v) { return *std::ranges::min_element(v); }},
    {"ReduceProd", [](const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 1.0, std::multiplies<>{}); }, 13,
     0.5, 1.5},
    {"ReduceL1",
     [](const std::vector<double>& v) {
       return std::accumulate(v.begin(), v.end(), 0.0, [](double s, double x) { return s + std::fabs(x); });
     }},
    {"ReduceL2", [](const std::vector<double>& v) { return std::sqrt(squares(v)); }},
    {"ReduceSumSquare", squares},
    {"ReduceLogSum", [](const std::vector<double>& v) { return std::log(sum(v)); }, 13, 0.1, 2},
    {"ReduceLogSumExp",
     [](const std::vector<double>& v) {
       double s = 0;
       for (double x : v) s += std::exp(x);
       return std::log(s);
     }},
};

// Collects the elements of each output and folds them.
Reference reduced(Fold fold, std::vector<int64_t> axes, bool keep) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& shape = in[0].shape();
    const auto is_reduced = [&](int axis) {
      return std::ranges::find(axes, axis) != axes.end() || std::ranges::find(axes, axis - shape.rank()) != axes.end();
    };
    Shape out;
    std::vector<int64_t> out_stride(static_cast<size_t>(shape.rank()));
    int64_t count = 1;
    for (int a = shape.rank() - 1; a >= 0; --a)
      if (!is_reduced(a)) out_stride[static_cast<size_t>(a)] = std::exchange(count, count * shape[a]);
    for (int a = 0; a < shape.rank(); ++a)
      if (!is_reduced(a) || keep) out.push_back(is_reduced(a) ? 1 : shape[a]);
    std::vector<std::vector<double>> parts(static_cast<size_t>(count));
    const std::vector<double> values = numbers(in[0]);
    for (size_t i = 0; i < values.size(); ++i) {
      int64_t rest = static_cast<int64_t>(i), at = 0;
      for (int a = shape.rank() - 1; a >= 0; rest /= shape[a], --a) at += rest % shape[a] * out_stride[static_cast<size_t>(a)];
      parts[static_cast<size_t>(at)].push_back(values[i]);
    }
    std::vector<double> results;
    for (const auto& part : parts) results.push_back(fold(part));
    return std::vector{f64(out, results)};
  };
}

void add_reductions(Cases& cases, const Function& one) {
  // Inner, outer, middle, both ends, neighbours, all.
  for (const std::vector<int64_t>& axes : std::vector<std::vector<int64_t>>{{-1}, {0}, {1}, {0, 2}, {1, 2}, {0, 1, 2}})
    cases.push_back({.op = one.op,
                     .what = "axes",
                     .inputs = {uniform({2, 3, 5}, one.low, one.high), i64(axes)},
                     .constants = {1},
                     .reference = reduced(one.fold, axes, true)});
  cases.push_back({.op = one.op,
                   .what = "without kept axes",
                   .inputs = {uniform({4, 3}, one.low, one.high), i64({1})},
                   .attributes = {{"keepdims", int64_t{0}}},
                   .constants = {1},
                   .reference = reduced(one.fold, {1}, false)});
  cases.push_back({.op = one.op,
                   .what = "all by default",
                   .inputs = {uniform({4, 3}, one.low, one.high)},
                   .attributes = {{"keepdims", int64_t{0}}},
                   .reference = reduced(one.fold, {0, 1}, false)});
  cases.push_back({.op = one.op,
                   .what = "by attribute",
                   .inputs = {uniform({4, 3}, one.low, one.high)},
                   .attributes = {{"axes", std::vector<int64_t>{-2}}},
                   .opset = one.old_opset,
                   .reference = reduced(one.fold, {0}, true)});
  const bool sums = one.op != "ReduceProd";
  cases.push_back({.op = one.op,
                   .what = "long rows",
                   .inputs = {uniform({5, sums ? 7001 : 30}, one.low, one.high), i64({1})},
                   .constants = {1},
                   .reference = reduced(one.fold, {1}, true),
                   .atol = 1e-4,
                   .gradient = false});
  cases.push_back({.op = one.op,
                   .what = "long columns",
                   .inputs = {uniform({sums ? 901 : 30, 130}, one.low, one.high), i64({0})},
                   .constants = {1},
                   .reference = reduced(one.fold, {0}, true),
                   .atol = 1e-4,
                   .gradient = false});
}

void add_arg_cases(Cases& cases) {
  const Tensor ties = f32({2, 4}, {1, 3, 3, 0, -1, -5, -5, 2});
  cases.push_back(
      {.op = "ArgMax", .inputs = {ties}, .attributes = {{"axis", int64_t{1}}}, .reference = fixed(i64({2, 1}, {1, 3}))});
  cases.push_back({.op = "ArgMax",
                   .what = "last",
                   .inputs = {ties},
                   .attributes = {{"axis", int64_t{-1}}, {"keepdims", int64_t{0}}, {"select_last_index", int64_t{1}}},
                   .reference = fixed(i64({2, 3}))});
  cases.push_back({.op = "ArgMax", .what = "outer axis", .inputs = {ties}, .reference = fixed(i64({1, 4}, {0, 0, 0, 1}))});
  cases.push_back(
      {.op = "ArgMin", .inputs = {ties}, .attributes = {{"axis", int64_t{1}}}, .reference = fixed(i64({2, 1}, {3, 1}))});
  cases.push_back({.op = "ArgMin",
                   .what = "last",
                   .inputs = {ties},
                   .attributes = {{"axis", int64_t{1}}, {"select_last_index", int64_t{1}}},
                   .reference = fixed(i64({2, 1}, {3, 2}))});
}

void add_cumsum_cases(Cases& cases) {
  const Tensor x = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto flags = [](int64_t exclusive, int64_t reverse) {
    return Attributes{{"exclusive", exclusive}, {"reverse", reverse}};
  };
  const auto add = [&](std::string what, int64_t axis, Attributes attributes, std::vector<float> expected) {
    cases.push_back({.op = "CumSum",
                     .what = std::move(what),
                     .inputs = {x, i64({}, {axis})},
                     .attributes = std::move(attributes),
                     .constants = {1},
                     .reference = fixed(f32({2, 3}, std::move(expected)))});
  };
  add("", 1, {}, {1, 3, 6, 4, 9, 15});
  add("outer", 0, {}, {1, 2, 3, 5, 7, 9});
  add("exclusive", 1, flags(1, 0), {0, 1, 3, 0, 4, 9});
  add("reverse", -1, flags(0, 1), {6, 5, 3, 15, 11, 6});
  add("both", 1, flags(1, 1), {5, 3, 0, 11, 6, 0});
}

void add_cumprod_cases(Cases& cases) {
  const Tensor x = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto add = [&](std::string what, int64_t axis, int64_t exclusive, int64_t reverse, std::vector<float> expected) {
    for (DType type : {DType::kF32, DType::kF64, DType::kI32, DType::kI64})
      cases.push_back({.op = "CumProd",
                       .what = what + std::string(name(type)),
                       .inputs = {as(type, x), as(DType::kI32, i64({}, {axis}))},
                       .attributes = {{"exclusive", exclusive}, {"reverse", reverse}},
                       .opset = 26,
                       .constants = {1},
                       .reference = fixed(f32({2, 3}, expected))});
  };
  add("", 1, 0, 0, {1, 2, 6, 4, 20, 120});
  add("outer", -2, 0, 0, {1, 2, 3, 4, 10, 18});
  add("exclusive", 1, 1, 0, {1, 1, 2, 1, 4, 20});
  add("reverse", 1, 0, 1, {6, 6, 3, 120, 30, 6});
  add("both", 1, 1, 1, {6, 3, 1, 30, 6, 1});
  for (const auto& [exclusive, reverse] : {std::pair<int64_t, int64_t>{0, 0}, {0, 1}, {1, 0}, {1, 1}}) {
    const Attributes attributes = {{"exclusive", exclusive}, {"reverse", reverse}};
    const Reference products = [exclusive, reverse](const std::vector<Tensor>& in) {
      std::vector<double> y = numbers(in[0]);
      const auto length = static_cast<size_t>(in[0].shape()[1]);
      for (size_t row = 0; row < y.size(); row += length) {
        double product = 1;
        for (size_t i = 0; i < length; ++i) {
          double& at = y[row + (reverse ? length - 1 - i : i)];
          const double before = product;
          product *= at;
          at = exclusive ? before : product;
        }
      }
      return std::vector{f64(in[0].shape(), y)};
    };
    const Tensor with_zeros = f32({2, 4}, {2, 0, 3, 4, 0, 5, 0, 7});
    cases.push_back({.op = "CumProd",
                     .what = "zeros",
                     .inputs = {with_zeros, i64({}, {1})},
                     .attributes = attributes,
                     .constants = {1},
                     .reference = products});
    cases.push_back({.op = "tandem.CumProdGrad",
                     .inputs = {with_zeros, i64({}, {1}), uniform({2, 4}, -1, 1, 2)},
                     .attributes = attributes,
                     .constants = {1},
                     .reference = differences(products, 2, {0}, {0})});
  }
  cases.push_back({.op = "tandem.ProductOfOthers",
                   .what = "zeros",
                   .inputs = {f32({3, 3}, {1, 0, 3, 0, 0, 2, 2, 3, 4})},
                   .attributes = {{"axis", int64_t{1}}},
                   .reference = fixed(f32({3, 3}, {0, 3, 0, 0, 0, 0, 12, 8, 6}))});
  cases.push_back({.op = "tandem.ProductOfOthers",
                   .what = "outer",
                   .inputs = {f32({3, 2}, {1, 2, 3, 4, 5, 6})},
                   .reference = fixed(f32({3, 2}, {15, 24, 5, 12, 3, 8}))});
}

// Bool as 0 and 1; nothing at all gives what changes nothing.
void add_edges(Cases& cases) {
  for (const auto& [op, expected] : {std::pair("ReduceMax", true), std::pair("ReduceMin", false)}) {
    cases.push_back({.op = op,
                     .what = "bool",
                     .inputs = {booleans({2, 2}, {true, false, expected, expected}), i64({1})},
                     .constants = {1},
                     .reference = fixed(booleans({2, 1}, {expected, expected}))});
    cases.push_back({.op = op,
                     .what = "bool empty",
                     .inputs = {Tensor(DType::kBool, {2, 0}), i64({1})},
                     .constants = {1},
                     .reference = fixed(booleans({2, 1}, {!expected, !expected}))});
  }
  const std::pair<std::string, float> neutral[] = {
      {"ReduceMax", -INFINITY}, {"ReduceMin", INFINITY}, {"ReduceProd", 1},           {"ReduceL1", 0},
      {"ReduceL2", 0},          {"ReduceSumSquare", 0},  {"ReduceLogSum", -INFINITY}, {"ReduceLogSumExp", -INFINITY},
      {"ReduceMean", NAN}};
  for (const auto& [op, value] : neutral)
    cases.push_back({.op = op,
                     .what = "empty",
                     .inputs = {Tensor(DType::kF32, {2, 0}), i64({1})},
                     .constants = {1},
                     .reference = fixed(f32({2, 1}, {value, value})),
                     .gradient = false});
  for (const auto& [op, f] :
       std::vector<std::pair<std::string, double (*)(double)>>{{"ReduceL1", std::fabs},
                                                               {"ReduceL2", std::fabs},
                                                               {"ReduceSumSquare", [](double x) { return x * x; }},
                                                               {"ReduceMax", [](double x) { return x; }}})
    cases.push_back({.op = op,
                     .what = "of each alone",
                     .inputs = {uniform({2, 3})},
                     .attributes = {{"noop_with_empty_axes", int64_t{1}}},
                     .reference = each(f)});
  cases.push_back({.op = "ReduceProd",
                   .what = "zeros",
                   .inputs = {f32({2, 3}, {2, 0, 3, 4, 5, 0}), i64({0, 1})},
                   .constants = {1},
                   .reference = fixed(f32({1, 1}, {0}))});
}

}  // namespace

void add_reduce_cases(Cases& cases) {
  for (const Function& one : kFunctions) add_reductions(cases, one);
  cases.push_back({.op = "ReduceSum",
                   .what = "no axes is no reduction",
                   .inputs = {uniform({2, 3}), Tensor(DType::kI64, {0})},
                   .attributes = {{"noop_with_empty_axes", int64_t{1}}},
                   .constants = {1},
                   .reference = each([](double x) { return x; })});
  cases.push_back({.op = "ReduceSum",
                   .what = "empty",
                   .inputs = {Tensor(DType::kF32, {2, 0}), i64({1})},
                   .constants = {1},
                   .reference = fixed(f32({2, 1}, {0, 0})),
                   .gradient = false});
  cases.push_back({.op = "ReduceMax",
                   .what = "i32",
                   .inputs = {as(DType::kI32, i64({2, 2}, {1, 5, -3, -4})), i64({1})},
                   .constants = {1},
                   .reference = fixed(i64({2, 1}, {5, -3}))});
  cases.push_back({.op = "ReduceMean",
                   .what = "i64",
                   .inputs = {i64({1, 2, 4})},
                   .attributes = {{"keepdims", int64_t{0}}},
                   .reference = fixed(i64({}, {2}))});
  cases.push_back({.op = "ReduceLogSumExp",
                   .what = "does not overflow",
                   .inputs = {f32({3}, {1000, 1000, -1000})},
                   .reference = fixed(f32({1}, {1000.6931f})),
                   .gradient = false});
  for (const Shape& like : {Shape{3, 1, 5}, Shape{4, 5}, Shape{}, Shape{3, 4, 5}}) {
    std::vector<int64_t> axes;
    for (int a = 0; a < 3; ++a)
      if (const int own = a - (3 - like.rank()); own < 0 || like[own] == 1) axes.push_back(a);
    cases.push_back({.op = "tandem.ReduceToShape",
                     .what = to_string(like),
                     .inputs = {uniform({3, 4, 5}), Tensor(DType::kF32, like)},
                     .reference = [=](const std::vector<Tensor>& in) {
                       return std::vector{reduced(sum, axes, true)(in)[0].reshaped(like)};
                     }});
  }
  add_arg_cases(cases);
  add_cumsum_cases(cases);
  add_cumprod_cases(cases);
  add_edges(cases);
}

}  // namespace tandem::conformance
