// Runs a graph on random inputs: a pass must not change what comes out.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "runtime/exec/executor.h"
#include "runtime/passes/pass_manager.h"

namespace tandem::testing {

// Values in [-1, 1) (f32 inputs only); a symbolic dimension becomes 3.
inline std::vector<Tensor> random_inputs(const Graph& graph, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<Tensor> inputs;
  for (ValueId id : graph.inputs) {
    Shape shape;
    for (const Dim& dim : *graph.value(id).type.dims) shape.push_back(dim.known() ? dim.size : 3);
    Tensor tensor(graph.value(id).type.dtype, shape);
    for (float& x : tensor.as<float>()) x = uniform(generator);
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

inline std::vector<Tensor> run_graph(const Graph& graph, const std::vector<Tensor>& inputs) {
  Executor executor(make_plan(graph, {}));
  std::vector<ConstTensorView> views;
  for (const Tensor& input : inputs) views.push_back(input.view());
  std::vector<Tensor> outputs;
  for (const ConstTensorView& view : executor.run(views)) outputs.push_back(Tensor::copy_of(view));
  return outputs;
}

// Applies one pass, verifies, and compares outputs before and after (f32, to `tolerance` relative to 1 + |expected|; other types
// exactly). Returns the number of changes.
inline int apply_and_compare(const Pass& pass, Graph& graph, float tolerance = 0) {
  const std::vector<Tensor> inputs = random_inputs(graph), expected = run_graph(graph, inputs);
  std::vector<std::string> names;
  for (ValueId id : graph.outputs) names.push_back(graph.value(id).name);
  const Pass* const passes[] = {&pass};
  const int changes = run_passes(graph, {.disabled = {}, .verify_each = true}, passes).at(0).changes;
  const std::vector<Tensor> actual = run_graph(graph, inputs);
  EXPECT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(graph.value(graph.outputs[i]).name, names[i]);
    if (tolerance == 0 || expected[i].dtype() != DType::kF32) {
      EXPECT_TRUE(identical(actual[i], expected[i])) << names[i];
      continue;
    }
    EXPECT_EQ(actual[i].shape(), expected[i].shape());
    for (int64_t e = 0; e < expected[i].elements(); ++e) {
      const float want = expected[i].as<float>()[static_cast<size_t>(e)], got = actual[i].as<float>()[static_cast<size_t>(e)];
      EXPECT_NEAR(got, want, tolerance * (1 + std::abs(want))) << names[i] << '[' << e << ']';
    }
  }
  return changes;
}

inline Tensor random_tensor(const Shape& shape, unsigned seed, float low = -1, float high = 1) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  Tensor tensor(DType::kF32, shape);
  for (float& x : tensor.as<float>()) x = uniform(generator);
  return tensor;
}

}  // namespace tandem::testing
