// Quantized sums behind channels-last convolutions: one node with the bits of two, and what must stay apart.
#include <gtest/gtest.h>

#include "tests/runtime/passes/run_both_ways.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

ValueId number(Graph& graph, float value) { return graph.add_constant("scale", Tensor::scalar<float>(value)); }
ValueId zero(Graph& graph, uint8_t value) { return graph.add_constant("zero", Tensor::scalar<uint8_t>(value)); }
ValueId quantize(Graph& graph, ValueId x, float scale, uint8_t at) {
  return add(graph, "QuantizeLinear", {x, number(graph, scale), zero(graph, at)});
}
ValueId through(Graph& graph, ValueId x, float scale, uint8_t at) {
  return add(graph, "DequantizeLinear", {quantize(graph, x, scale, at), number(graph, scale), zero(graph, at)});
}

// `channels` to as many, 3 x 3, of `groups`, quantized before and behind.
ValueId conv(Graph& graph, ValueId x, int64_t channels, int64_t groups) {
  Tensor weights(DType::kI8, {channels, channels / groups, 3, 3});
  std::mt19937 generator(3);
  for (int8_t& w : weights.as<int8_t>()) w = static_cast<int8_t>(generator());
  const ValueId w = add(graph, "DequantizeLinear", {graph.add_constant("w", weights), number(graph, 0.003f)});
  const ValueId y = add(graph, "Conv", {x, w}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"group", groups}});
  return through(graph, y, 0.021f, 120);
}

int64_t count(const Graph& graph, std::string_view op) {
  return std::ranges::count_if(graph.nodes, [&](const Node& node) { return node.def->name == op; });
}

// The graph as a plan has it but for the pass, which then makes as many changes as said.
void expect_changes(Graph graph, int changes, bool keeps_sums) {
  const std::vector<Tensor> inputs = random_inputs(graph);
  const auto run = [&](decltype(PlanOptions::disabled_passes) disabled) {
    return run_planned(graph, inputs, {.default_bound = 3, .disabled_passes = disabled});
  };
  for (const Pass* pass : {&qdq_product_fusion_pass, &qdq_elementwise_fusion_pass}) pass->apply(graph);
  const std::vector<Tensor> apart = run({"quantized_residual_fusion"}), together = run({});
  ASSERT_EQ(apart.size(), together.size());
  for (size_t i = 0; i < apart.size(); ++i) EXPECT_TRUE(identical(apart[i], together[i])) << i;
  layout_assignment_pass.apply(graph);
  EXPECT_EQ(run_pass(graph, quantized_residual_fusion_pass, true).changes, changes) << to_text(graph);
  EXPECT_EQ(count(graph, "QuantizedAdd") > 0, keeps_sums);
}

TEST(QuantizedResiduals, SumsBehindConvolutions) {
  for (const int64_t groups : {int64_t{1}, int64_t{2}, int64_t{20}})
    for (const bool swapped : {false, true}) {
      Graph graph;
      const ValueId x = through(graph, graph.add_input("x", DType::kF32, {"batch", 20, 9, 7}), 0.008f, 131);
      const ValueId y = conv(graph, conv(graph, x, 20, 1), 20, groups);
      const ValueId sum = add(graph, "Add", swapped ? std::vector<ValueId>{x, y} : std::vector<ValueId>{y, x});
      graph.outputs = {conv(graph, through(graph, add(graph, "Relu", {sum}), 0.017f, 0), 20, 1)};  // who reads it wants channels last
      expect_changes(graph, 1, false);
    }
}

TEST(QuantizedResiduals, OfTwoConvolutionsOneTakesTheSum) {
  Graph graph;
  const ValueId x = through(graph, graph.add_input("x", DType::kF32, {2, 16, 8, 8}), 0.008f, 131);
  const ValueId a = conv(graph, x, 16, 1), b = conv(graph, x, 16, 1);
  graph.outputs = {conv(graph, through(graph, add(graph, "Add", {a, b}), 0.017f, 77), 16, 1)};
  expect_changes(graph, 1, false);
}

TEST(QuantizedResiduals, WhatMustStayApart) {
  Graph read;  // the convolution's own result has another reader
  const ValueId x = through(read, read.add_input("x", DType::kF32, {2, 16, 8, 8}), 0.008f, 131), y = conv(read, x, 16, 1);
  read.outputs = {quantize(read, add(read, "Add", {y, x}), 0.017f, 77), quantize(read, add(read, "Neg", {y}), 0.02f, 77)};
  expect_changes(read, 0, true);
  Graph broadcast;
  const ValueId image = through(broadcast, broadcast.add_input("x", DType::kF32, {2, 16, 8, 8}), 0.008f, 131),
                row = through(broadcast, broadcast.add_input("r", DType::kF32, {1, 16, 1, 1}), 0.008f, 131);
  broadcast.outputs = {quantize(broadcast, add(broadcast, "Add", {conv(broadcast, image, 16, 1), row}), 0.017f, 77)};
  expect_changes(broadcast, 0, true);
}

}  // namespace
}  // namespace tandem
