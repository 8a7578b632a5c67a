#include "tests/conformance/gradient_check.h"

#include <algorithm>
#include <cmath>

#include "runtime/autodiff/autodiff.h"
#include "runtime/ops/all_ops.h"
#include "tests/conformance/run_case.h"

namespace tandem::conformance {
namespace {

constexpr double kRelative = 1e-5, kAbsolute = 1e-6, kStep = 1e-5;

bool listed(const std::vector<int>& list, size_t i) { return std::ranges::find(list, static_cast<int>(i)) != list.end(); }

// The case in f64, with every input that has a gradient fed (none is a constant or a state).
Case in_double(const Case& one) {
  Case wide = one;
  wide.constants.clear();
  for (size_t i = 0; i < wide.inputs.size(); ++i) {
    Tensor& input = wide.inputs[i];
    if (input.dtype() == DType::kF32 && !listed(one.typed, i))
      input = as(DType::kF64, input);
    else if (listed(one.constants, i))
      wide.constants.push_back(static_cast<int>(i));
  }
  return wide;
}

// Appends sum over the floating outputs of ReduceSum(output * weights); returns the scalar.
ValueId append_loss(Graph& graph) {
  ValueId loss = kNoValue;
  for (size_t o = 0; o < graph.outputs.size(); ++o) {
    const TensorType& type = graph.value(graph.outputs[o]).type;
    if (type.dtype != DType::kF64) continue;
    const Tensor weights = as(DType::kF64, uniform(*fixed_shape(*type.dims), 0.5, 1.5, 77 + o));
    const ValueId product = graph.add_node(newest_op("Mul"), {graph.outputs[o], graph.add_constant("weights", weights)}, 1)[0];
    const ValueId sum = graph.add_node(newest_op("ReduceSum"), {product}, 1, {{"keepdims", int64_t{0}}})[0];
    loss = loss == kNoValue ? sum : graph.add_node(newest_op("Add"), {loss, sum}, 1)[0];
  }
  return loss;
}

std::string describe(size_t input, int64_t element, double symbolic, double numeric) {
  return "input " + std::to_string(input) + ", element " + std::to_string(element) + ": gradient " + std::to_string(symbolic) +
         ", finite difference " + std::to_string(numeric);
}

}  // namespace

bool has_gradient_check(const Case& one) {
  if (!one.gradient || definition(one).gradient == nullptr) return false;
  bool input = false, output = false;
  for (size_t i = 0; i < one.inputs.size(); ++i)
    input = input || (one.inputs[i].dtype() == DType::kF32 && !listed(one.no_gradient_for, i));
  const Graph graph = graph_of(one);
  for (ValueId id : graph.outputs) output = output || is_float(graph.value(id).type.dtype);
  return input && output;
}

std::string check_gradient(const Case& original) {
  const Case one = in_double(original);
  Graph graph = graph_of(one);
  const ValueId loss = append_loss(graph);
  graph.outputs = {loss};
  std::vector<Tensor> inputs = fed_inputs(one);
  std::vector<size_t> checked;  // indices into graph.inputs
  std::vector<ValueId> targets;
  for (size_t i = 0, fed = 0; i < one.inputs.size(); ++i) {
    if (!one.inputs[i] || listed(one.constants, i)) continue;
    if (one.inputs[i].dtype() == DType::kF64 && !listed(one.no_gradient_for, i)) {
      checked.push_back(fed);
      targets.push_back(graph.inputs[fed]);
    }
    ++fed;
  }
  Graph with_gradients = graph;
  const std::vector<ValueId> gradients = append_gradients(with_gradients, loss, targets);
  for (size_t k = 0; k < gradients.size(); ++k)
    if (gradients[k] == kNoValue) return "no gradient reaches graph input " + std::to_string(checked[k]);
  with_gradients.outputs = gradients;
  verify(with_gradients);
  const std::vector<Tensor> symbolic = run(with_gradients, inputs);
  for (size_t k = 0; k < checked.size(); ++k) {
    const std::vector<double> expected = numbers(symbolic[k]);
    if (!(symbolic[k].shape() == inputs[checked[k]].shape())) return "the gradient's shape is " + to_string(symbolic[k].shape());
    for (size_t e = 0; e < expected.size(); ++e) {
      double losses[2];
      const Tensor kept = inputs[checked[k]];
      for (int side = 0; side < 2; ++side) {
        inputs[checked[k]] = kept.clone();
        inputs[checked[k]].as<double>()[e] += side ? kStep : -kStep;
        losses[side] = run(graph, inputs)[0].as<double>()[0];
      }
      inputs[checked[k]] = kept;
      const double numeric = (losses[1] - losses[0]) / (2 * kStep);
      if (!(std::fabs(numeric - expected[e]) <= kAbsolute + kRelative * std::fabs(numeric)))
        return describe(checked[k], static_cast<int64_t>(e), expected[e], numeric);
    }
  }
  return "";
}

}  // namespace tandem::conformance
