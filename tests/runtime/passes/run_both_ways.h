// Runs a graph with its regions and node by node: the bits must be the same.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "runtime/exec/executor.h"

namespace tandem::testing {

inline std::vector<Tensor> run_planned(const Graph& graph, const std::vector<Tensor>& inputs, PlanOptions options) {
  Executor executor(make_plan(graph, options));
  std::vector<ConstTensorView> views;
  for (const Tensor& input : inputs) views.push_back(input.view());
  std::vector<Tensor> outputs;
  for (int run = 0; run < 2; ++run) {  // the second one finds memory that was written
    outputs.clear();
    for (const ConstTensorView& view : executor.run(views)) outputs.push_back(Tensor::copy_of(view));
  }
  return outputs;
}

// `bound`: of the symbolic dimensions.
inline void expect_same_bits(const Graph& graph, const std::vector<Tensor>& inputs, int64_t bound = 64) {
  const std::vector<Tensor> expected = run_planned(graph, inputs, {.default_bound = bound, .disabled_passes = {"elementwise_regions"}});
  for (int threads : {1, 3}) {
    const std::vector<Tensor> actual = run_planned(graph, inputs, {.threads = threads, .default_bound = bound});
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_TRUE(identical(actual[i], expected[i])) << graph.value(graph.outputs[i]).name << ", " << threads << " threads";
  }
}

}  // namespace tandem::testing
