// Ops that read and write where an index tensor says, and TopK. References walk the tensors element by element, coordinates in
// full.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

using Coordinates = std::vector<int64_t>;

Coordinates coordinates(const Shape& shape, int64_t i) {
  Coordinates at(static_cast<size_t>(shape.rank()));
  for (int a = shape.rank() - 1; a >= 0; --a) at[static_cast<size_t>(a)] = i % shape[a], i /= shape[a];
  return at;
}
size_t position(const Shape& shape, const Coordinates& at) {
  int64_t i = 0;
  for (int a = 0; a < shape.rank(); ++a) i = i * shape[a] + at[static_cast<size_t>(a)];
  return static_cast<size_t>(i);
}
int64_t wrapped(double index, int64_t size) { return static_cast<int64_t>(index) + (index < 0 ? size : 0); }

double combined(const std::string& reduction, double a, double b) {
  if (reduction == "add") return a + b;
  if (reduction == "mul") return a * b;
  if (reduction == "min") return std::min(a, b);
  if (reduction == "max") return std::max(a, b);
  return b;
}

Reference scattered_elements(int axis, const std::string& reduction = "none") {
  return [=](const std::vector<Tensor>& in) {
    std::vector<double> y = numbers(in[0]);
    const std::vector<double> index = numbers(in[1]), update = numbers(in[2]);
    for (size_t i = 0; i < index.size(); ++i) {
      Coordinates at = coordinates(in[1].shape(), static_cast<int64_t>(i));
      at[static_cast<size_t>(axis)] = wrapped(index[i], in[0].shape()[axis]);
      double& element = y[position(in[0].shape(), at)];
      element = combined(reduction, element, update[i]);
    }
    return std::vector{f64(in[0].shape(), y)};
  };
}

// Where element i of a tensor of slices lies in the data.
size_t slice_position(const Shape& data, const Shape& indices, const std::vector<double>& index, const Shape& slices, int64_t i,
                      int batch_dims) {
  const Coordinates at = coordinates(slices, i);
  const int64_t width = indices[indices.rank() - 1];
  Coordinates tuple(at.begin(), at.begin() + indices.rank() - 1);
  Coordinates full(tuple.begin(), tuple.begin() + batch_dims);
  for (int64_t k = 0; k < width; ++k) {
    tuple.push_back(k);
    full.push_back(wrapped(index[position(indices, tuple)], data[batch_dims + static_cast<int>(k)]));
    tuple.pop_back();
  }
  full.insert(full.end(), at.begin() + indices.rank() - 1, at.end());
  return position(data, full);
}

Reference scattered_slices(const std::string& reduction = "none") {
  return [=](const std::vector<Tensor>& in) {
    std::vector<double> y = numbers(in[0]);
    const std::vector<double> index = numbers(in[1]), update = numbers(in[2]);
    for (size_t i = 0; i < update.size(); ++i) {
      double& element = y[slice_position(in[0].shape(), in[1].shape(), index, in[2].shape(), static_cast<int64_t>(i), 0)];
      element = combined(reduction, element, update[i]);
    }
    return std::vector{f64(in[0].shape(), y)};
  };
}

Reference gathered_slices(const Shape& shape, int batch_dims) {
  return [=](const std::vector<Tensor>& in) {
    const std::vector<double> x = numbers(in[0]), index = numbers(in[1]);
    std::vector<double> y;
    for (int64_t i = 0; i < shape.elements(); ++i)
      y.push_back(x[slice_position(in[0].shape(), in[1].shape(), index, shape, i, batch_dims)]);
    return std::vector{f64(shape, y)};
  };
}

Attributes reduced(const std::string& reduction) { return {{"reduction", reduction}}; }

void add_scatters(Cases& cases) {
  const Tensor x = uniform({3, 5, 2}), once = i64({2, 2, 2}, {0, -1, 3, 2, 4, -5, -4, 1}), updates = uniform({2, 2, 2}, -3, 3, 2);
  for (const auto& [op, opset] : {std::pair("Scatter", 9), {"Scatter", 10}, {"ScatterElements", 13}, {"ScatterElements", 0}})
    cases.push_back({.op = op,
                     .what = "axis 1",
                     .inputs = {x, once, updates},
                     .attributes = {{"axis", int64_t{-2}}},
                     .opset = opset,
                     .reference = scattered_elements(1)});
  cases.push_back({.op = "ScatterElements",
                   .what = "i32 indices",
                   .inputs = {uniform({7}), as(DType::kI32, i64({-7, 3})), uniform({2}, 1, 2, 2)},
                   .reference = scattered_elements(0)});
  const Tensor twice = i64({2, 3, 2}, {0, 1, 0, 1, 0, 2, 2, 2, 1, 0, -1, -3});
  for (const std::string reduction : {"add", "mul", "min", "max"})
    for (DType type : {DType::kF32, DType::kI32, DType::kU8})
      cases.push_back({.op = "ScatterElements",
                       .what = reduction + " " + std::string(name(type)),
                       .inputs = {as(type, uniform({3, 3, 2}, 1, 5)), twice, as(type, uniform({2, 3, 2}, 1, 5, 2))},
                       .attributes = reduced(reduction),
                       .reference = scattered_elements(0, reduction)});
  cases.push_back({.op = "ScatterElements",
                   .what = "mul with zeros",
                   .inputs = {f32({4}, {2, 3, 5, 0}), i64({0, 0, 1, 1, 2, 3}), f32({6}, {0, 7, 0, 0, 4, 6})},
                   .attributes = reduced("mul"),
                   .reference = fixed(f32({4}, {0, 0, 20, 0}))});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  cases.push_back({.op = "ScatterElements",
                   .what = "nan stays",
                   .inputs = {f32({3}, {nan, 1, 2}), i64({0, 1, 1}), f32({3}, {5, nan, 7})},
                   .attributes = reduced("max"),
                   .reference = fixed(f32({3}, {nan, nan, 2})),
                   .gradient = false});
  cases.push_back({.op = "ScatterElements",
                   .what = "nothing",
                   .inputs = {uniform({2, 3}), Tensor(DType::kI64, {2, 0}), Tensor(DType::kF32, {2, 0})},
                   .attributes = {{"axis", int64_t{1}}},
                   .reference = scattered_elements(1),
                   .gradient = false});
  Tensor many(DType::kI64, {300, 200});
  for (int64_t i = 0; int64_t & index : many.as<int64_t>()) index = (i++ * 7919) % 100;
  cases.push_back({.op = "ScatterElements",
                   .what = "large",
                   .inputs = {uniform({100, 200}), many, uniform({300, 200}, -1, 1, 3)},
                   .attributes = reduced("add"),
                   .reference = scattered_elements(0, "add"),
                   .rtol = 1e-4,
                   .atol = 1e-5,
                   .gradient = false});
  cases.push_back({.op = "ScatterElements",
                   .what = "text",
                   .inputs = {strings({3}, {"a", "b", "c"}), i64({2, 0}), strings({2}, {"x", "y"})},
                   .reference = fixed(strings({3}, {"y", "b", "x"}))});
}

void add_slices(Cases& cases) {
  const Tensor x = uniform({3, 4, 5});
  const Tensor pairs = i64({2, 2, 2}, {0, 1, -1, 3, 2, 0, 1, -4});
  for (int opset : {11, 0})
    cases.push_back({.op = "ScatterND",
                     .what = "pairs",
                     .inputs = {x, pairs, uniform({2, 2, 5}, -3, 3, 2)},
                     .opset = opset,
                     .reference = scattered_slices()});
  const Tensor meeting = i64({4, 1}, {1, 1, -2, 0});
  for (const std::string reduction : {"add", "mul", "min", "max"})
    for (DType type : {DType::kF32, DType::kI64, DType::kI8})
      cases.push_back({.op = "ScatterND",
                       .what = reduction + " " + std::string(name(type)),
                       .inputs = {as(type, uniform({3, 2, 2}, -3, 3)), meeting, as(type, uniform({4, 2, 2}, -3, 3, 2))},
                       .attributes = reduced(reduction),
                       .reference = scattered_slices(reduction)});
  cases.push_back({.op = "ScatterND",
                   .what = "bool",
                   .inputs = {booleans({3}, {true, true, false}), i64({2, 1}, {0, 2}), booleans({2}, {false, true})},
                   .reference = fixed(booleans({3}, {false, true, true}))});
  Tensor rows(DType::kI64, {500, 1});
  for (int64_t i = 0; int64_t & index : rows.as<int64_t>()) index = (i++ * 31) % 50;
  cases.push_back({.op = "ScatterND",
                   .what = "large",
                   .inputs = {uniform({50, 130}), rows, uniform({500, 130}, -1, 1, 3)},
                   .attributes = reduced("add"),
                   .reference = scattered_slices("add"),
                   .rtol = 1e-4,
                   .atol = 1e-5,
                   .gradient = false});
  cases.push_back({.op = "GatherND", .inputs = {x, pairs}, .reference = gathered_slices({2, 2, 5}, 0)});
  cases.push_back({.op = "GatherND",
                   .what = "elements",
                   .inputs = {x, i64({3, 3}, {0, 1, 2, -1, -1, -1, 0, 1, 2})},
                   .reference = gathered_slices({3}, 0)});
  cases.push_back({.op = "GatherND",
                   .what = "batch",
                   .inputs = {x, i64({3, 2, 1}, {0, 3, -1, 1, 2, 2})},
                   .attributes = {{"batch_dims", int64_t{1}}},
                   .reference = gathered_slices({3, 2, 5}, 1)});
  cases.push_back({.op = "GatherND",
                   .what = "two batch axes",
                   .inputs = {uniform({2, 3, 4}), i64({2, 3, 1}, {0, 3, -1, 1, 2, 2})},
                   .attributes = {{"batch_dims", int64_t{2}}},
                   .reference = gathered_slices({2, 3}, 2)});
  cases.push_back({.op = "GatherND",
                   .what = "text",
                   .inputs = {strings({2, 2}, {"a", "b", "c", "d"}), i64({2, 2}, {0, 1, 1, 0})},
                   .reference = fixed(strings({2}, {"b", "c"}))});
  cases.push_back({.op = "GatherND",
                   .what = "nothing",
                   .inputs = {uniform({2, 3}), Tensor(DType::kI64, {0, 1})},
                   .reference = gathered_slices({0, 3}, 0),
                   .gradient = false});
  cases.push_back({.op = "tandem.GatherNDGrad",
                   .inputs = {uniform({4, 2}), i64({4, 1}, {1, -1, 1, 0}), i64({3, 2})},
                   .constants = {2},
                   .reference = [](const std::vector<Tensor>& in) {
                     const Tensor zeros(DType::kF64, {3, 2});
                     return scattered_slices("add")({zeros, in[1], in[0]});
                   }});
}

// By full sort of each line.
Reference top_k(int axis, int64_t k, bool largest) {
  return [=](const std::vector<Tensor>& in) {
    const std::vector<double> x = numbers(in[0]);
    const AxisView view(in[0].shape(), axis);
    Shape shape = in[0].shape();
    shape.set(axis, k);
    std::vector<double> values(static_cast<size_t>(shape.elements())), indices(values.size());
    for (int64_t l = 0; l < view.outer * view.inner; ++l) {
      const auto at = [&](int64_t i, int64_t length) {
        return static_cast<size_t>((l / view.inner * length + i) * view.inner + l % view.inner);
      };
      std::vector<int64_t> order(static_cast<size_t>(view.length));
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, [&](int64_t a, int64_t b) {
        const double u = x[at(a, view.length)], v = x[at(b, view.length)];
        if (std::isnan(u) || std::isnan(v)) return largest ? std::isnan(u) && !std::isnan(v) : !std::isnan(u) && std::isnan(v);
        return largest ? u > v : u < v;
      });
      for (int64_t i = 0; i < k; ++i) {
        values[at(i, k)] = x[at(order[static_cast<size_t>(i)], view.length)];
        indices[at(i, k)] = static_cast<double>(order[static_cast<size_t>(i)]);
      }
    }
    return std::vector{f64(shape, values), f64(shape, indices)};
  };
}

void add_top_k(Cases& cases) {
  const Tensor x = uniform({3, 7, 2});
  for (bool largest : {true, false})
    for (int64_t k : {0, 1, 4, 7})
      cases.push_back({.op = "TopK",
                       .what = "k " + std::to_string(k),
                       .inputs = {x, i64({k})},
                       .attributes = {{"axis", int64_t{1}}, {"largest", int64_t{largest}}, {"sorted", int64_t{k != 4}}},
                       .outputs = 2,
                       .constants = {1},
                       .reference = top_k(1, k, largest),
                       .gradient = k > 0});
  cases.push_back({.op = "TopK",
                   .what = "attribute",
                   .inputs = {uniform({2, 5})},
                   .attributes = {{"k", int64_t{2}}},
                   .outputs = 2,
                   .opset = 1,
                   .reference = top_k(1, 2, true),
                   .round_trip = false});
  cases.push_back({.op = "TopK",
                   .what = "opset 10",
                   .inputs = {uniform({2, 5}), i64({2})},
                   .outputs = 2,
                   .opset = 10,
                   .constants = {1},
                   .reference = top_k(1, 2, true)});
  for (DType type : {DType::kF64, DType::kI64, DType::kI32, DType::kU8, DType::kI8})
    for (bool largest : {true, false})
      cases.push_back({.op = "TopK",
                       .what = "ties " + std::string(name(type)),
                       .inputs = {as(type, as(DType::kI64, uniform({4, 50}, 0, 6))), i64({5})},
                       .attributes = {{"largest", int64_t{largest}}},
                       .outputs = 2,
                       .constants = {1},
                       .reference = top_k(1, 5, largest),
                       .gradient = false});
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (bool largest : {true, false})
    cases.push_back({.op = "TopK",
                     .what = "nan and infinity",
                     .inputs = {f32({6}, {1, nan, inf, -inf, nan, 0}), i64({5})},
                     .attributes = {{"largest", int64_t{largest}}},
                     .outputs = 2,
                     .constants = {1},
                     .reference = top_k(0, 5, largest),
                     .gradient = false});
  for (int64_t k : {3, 900})
    cases.push_back({.op = "TopK",
                     .what = "large",
                     .inputs = {uniform({40, 1000}), i64({k})},
                     .outputs = 2,
                     .constants = {1},
                     .reference = top_k(1, k, true),
                     .gradient = false});
}

Reference reversed(int time_axis) {
  return [=](const std::vector<Tensor>& in) {
    const Shape& shape = in[0].shape();
    const std::vector<double> x = numbers(in[0]), lengths = numbers(in[1]);
    std::vector<double> y(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      Coordinates at = coordinates(shape, static_cast<int64_t>(i));
      int64_t& time = at[static_cast<size_t>(time_axis)];
      const auto length = static_cast<int64_t>(lengths[static_cast<size_t>(at[static_cast<size_t>(1 - time_axis)])]);
      if (time < length) time = length - 1 - time;
      y[i] = x[position(shape, at)];
    }
    return std::vector{f64(shape, y)};
  };
}

void add_reversals(Cases& cases) {
  cases.push_back({.op = "ReverseSequence", .inputs = {uniform({5, 3, 2}), i64({5, 0, 2})}, .reference = reversed(0)});
  cases.push_back({.op = "ReverseSequence",
                   .what = "batch first",
                   .inputs = {uniform({3, 4}), i64({1, 4, 3})},
                   .attributes = {{"batch_axis", int64_t{0}}, {"time_axis", int64_t{1}}},
                   .reference = reversed(1)});
  cases.push_back({.op = "ReverseSequence",
                   .what = "large",
                   .inputs = {as(DType::kI32, uniform({60, 40, 30}, -99, 99)), as(DType::kI64, uniform({40}, 0, 60, 2))},
                   .reference = reversed(0)});
}

}  // namespace

void add_indexing_cases(Cases& cases) {
  add_scatters(cases);
  add_slices(cases);
  add_top_k(cases);
  add_reversals(cases);
}

}  // namespace tandem::conformance
