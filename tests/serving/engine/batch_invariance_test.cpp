// Models whose rows change one another are told from those whose rows do not, by running them.
#include "serving/engine/batch_invariance.h"

#include <gmock/gmock.h>

#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

using testing::HasSubstr;

Graph empty_graph() {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  return graph;
}

// y = softmax(x * w): every row for itself.
Graph dense() {
  Graph graph = empty_graph();
  const ValueId x = graph.add_input("x", DType::kF32, {"n", 7});
  Tensor w(DType::kF32, {7, 33});
  float next = 0.1f;
  for (float& value : w.as<float>()) value = next = 3.7f * next * (1 - next);
  const ValueId y = graph.add_node(newest_op("MatMul"), {x, graph.add_constant("w", std::move(w))}, 1)[0];
  graph.outputs = graph.add_node(newest_op("Softmax"), {y}, 1);
  return graph;
}

// The scale is that of the largest element of all rows.
Graph scaled_together() {
  Graph graph = empty_graph();
  const ValueId x = graph.add_input("x", DType::kF32, {"n", 7});
  const std::vector<ValueId> q = graph.add_node(newest_op("DynamicQuantizeLinear"), {x}, 3);
  graph.outputs = graph.add_node(newest_op("DequantizeLinear"), {q[0], q[1], q[2]}, 1);
  return graph;
}

Model made(Graph graph, std::map<std::string, std::string> parameters = {}) {
  ModelOptions options;
  options.config.parameters = std::move(parameters);
  return {"m", 1, std::move(graph), options};
}

TEST(BatchInvariance, RowsForThemselvesMayBeJoined) {
  Model model = made(dense());
  EXPECT_EQ(why_rows_stay_alone(model, 64), std::nullopt);
}

TEST(BatchInvariance, RowsThatChangeOneAnotherStayAlone) {
  Model model = made(scaled_together());
  EXPECT_THAT(why_rows_stay_alone(model, 64).value_or(""), HasSubstr("in a batch of 2"));
}

TEST(BatchInvariance, WhatCannotBeTriedStaysAlone) {
  Graph graph = empty_graph();
  const ValueId x = graph.add_input("x", DType::kF32, {"n", "columns"});
  graph.outputs = graph.add_node(newest_op("MatMul"), {x, graph.add_constant("w", Tensor(DType::kF32, {7, 3}))}, 1);
  Model model = made(std::move(graph));  // of its columns only 7 will do
  EXPECT_THAT(why_rows_stay_alone(model, 64).value_or(""), HasSubstr("could not be tried"));
}

TEST(BatchInvariance, BatchingEndsOnlyWhereItMust) {
  const auto rows_of_batch = [](Model model, bool by_server, std::string* reason = nullptr) {
    BatchingOptions batching{.max_batch_size = 32, .preferred_sizes = {8}};
    const std::string why = keep_bits(model, by_server, batching);
    EXPECT_EQ(why.empty(), batching.max_batch_size == 32);
    if (reason) *reason = why;
    return batching.max_batch_size;
  };
  std::string reason;
  EXPECT_EQ(rows_of_batch(made(dense()), true), 32);
  EXPECT_EQ(rows_of_batch(made(scaled_together()), true, &reason), 1);
  EXPECT_THAT(reason, HasSubstr("run alone"));
  EXPECT_EQ(rows_of_batch(made(scaled_together()), false), 32);
  EXPECT_EQ(rows_of_batch(made(scaled_together(), {{"batch_invariant", "true"}}), false), 1);
  EXPECT_EQ(rows_of_batch(made(scaled_together(), {{"batch_invariant", "false"}}), true), 32);
  EXPECT_THROW(rows_of_batch(made(dense(), {{"batch_invariant", "perhaps"}}), false), Error);
}

}  // namespace
}  // namespace tandem
