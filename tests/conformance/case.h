// One conformance case: an op, inputs, attributes, and (if the op is not checked otherwise) an independent reference in double.
//
// A case is a few lines in cases/<family>.cpp:
//
//     cases.push_back({.op = "Softplus", .inputs = {uniform({2, 7}, -9, 9)}, .reference = each([](double x) { return
//     std::log1p(std::exp(x)); })});
//
// docs/adding-an-op.md tells what is checked with it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"

namespace tandem::conformance {

// Expected outputs for the inputs. Floating and integer types are compared as numbers, so an f64 tensor may stand for an f32 one.
using Reference = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)>;

struct Case {
  std::string op;              // "Relu", "tandem.ReluGrad", "ai.onnx.ml.Scaler"
  std::string what = "";       // in the name of the test
  std::vector<Tensor> inputs;  // Tensor(): an optional input that is absent
  Attributes attributes = {};
  int outputs = 1;
  int opset = 0;                    // whose definition is meant; 0: the newest
  std::vector<int> constants = {};  // inputs that are constants of the graph, as axes and weights mostly are; others are fed
  Reference reference = nullptr;
  double rtol = 1e-5, atol = 1e-6;
  bool gradient = true;                   // false at kinks and ties, where finite differences mean nothing
  std::vector<int> no_gradient_for = {};  // inputs that the gradient does not reach by definition (targets, running statistics)
  std::vector<int> typed = {};  // f32 inputs that are f32 by definition (scales): the gradient check, in f64, leaves them
  bool round_trip = true;                 // through ONNX; internal ops never are
};

// The definition that the case is about.
const OpDef& definition(const Case& one);

using Cases = std::vector<Case>;
// All cases of cases/*.cpp.
const Cases& all_cases();

// Pseudo-random values in [low, high), the same on every machine; another `seed`, other values.
Tensor uniform(const Shape& shape, double low = -2, double high = 2, uint64_t seed = 1);
Tensor f32(const Shape& shape, std::vector<float> values);
Tensor i64(const Shape& shape, std::vector<int64_t> values);
inline Tensor i64(std::vector<int64_t> values) {
  const auto n = static_cast<int64_t>(values.size());
  return i64(Shape{n}, std::move(values));
}
Tensor booleans(const Shape& shape, const std::vector<bool>& values);
Tensor strings(const Shape& shape, std::vector<std::string> values);
// The same numbers in another type.
Tensor as(DType dtype, const Tensor& tensor);
// Any number or bool as double.
std::vector<double> numbers(const Tensor& tensor);
Tensor f64(const Shape& shape, const std::vector<double>& values);

// References. each: y = f(x); pairs: y = f(a, b) with broadcasting; fixed: what is given.
Reference each(std::function<double(double)> f);
Reference pairs(std::function<double(double, double)> f);
Reference fixed(Tensor expected);
// For an op that is a gradient: sum(dy * forward(x...)) by each x that `by` names, by central differences. All numbers are indices of the
// case's inputs; `inputs` are those that `forward` takes, -1 an absent one. Inputs must be small, and their values away from kinks.
Reference differences(Reference forward, int dy, std::vector<int> inputs, std::vector<int> by);

}  // namespace tandem::conformance
