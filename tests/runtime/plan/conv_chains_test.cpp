#include "runtime/plan/conv_chains.h"

#include <gtest/gtest.h>

#include "runtime/plan/constant_release.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;
using List = std::vector<int64_t>;

ValueId conv(Graph& graph, ValueId x, const Shape& w, const Attributes& attributes = {}) {
  const auto seed = static_cast<unsigned>(graph.values.size());
  return add(graph, "Conv",
             {x, graph.add_constant("w" + std::to_string(seed), random_tensor(w, seed)),
              graph.add_constant("b" + std::to_string(seed), random_tensor({w[0]}, seed + 1))},
             attributes);
}
ValueId depthwise(Graph& graph, ValueId x, int64_t channels, int64_t stride = 1) {
  return conv(graph, x, {channels, 1, 3, 3},
              {{"pads", List{1, 1, 1, 1}}, {"strides", List{stride, stride}}, {"group", channels}});
}

// Two inverted residuals, the second with its sum. Sizes are open. `all`: what lies in the first one is asked for, too.
Graph network(bool all = false) {
  Graph graph;
  ValueId v = graph.add_input("x", DType::kF32, {"batch", 16, "height", "width"});
  const ValueId expanded = add(graph, "Relu", {conv(graph, v, {48, 16, 1, 1})});
  const ValueId between = add(graph, "Relu", {depthwise(graph, expanded, 48, 2)});
  const ValueId shortcut = conv(graph, between, {24, 48, 1, 1});
  v = add(graph, "Relu", {conv(graph, shortcut, {72, 24, 1, 1})});
  v = add(graph, "Relu", {depthwise(graph, v, 72)});
  graph.outputs = {add(graph, "Add", {conv(graph, v, {24, 72, 1, 1}), shortcut})};
  if (all) graph.outputs.insert(graph.outputs.end(), {expanded, between});
  run_passes(graph);
  return graph;
}

PlanOptions bounds(int64_t side, bool chained = true, int64_t batch = 1) {
  PlanOptions options{.bounds = {{"batch", batch}, {"height", side}, {"width", side}}};
  if (!chained) options.disabled_passes = {"conv_chains"};
  return options;
}

int64_t count(const Plan& plan, std::string_view op) {
  return std::ranges::count_if(plan.graph.nodes, [&](const Node& node) { return node.def->name == op; });
}

std::vector<Tensor> run(const std::shared_ptr<const Plan>& plan, const Tensor& x) {
  Executor executor(plan);
  const ConstTensorView inputs[] = {x.view()};
  std::vector<Tensor> outputs;
  for (const ConstTensorView& y : executor.run(inputs)) outputs.push_back(Tensor::copy_of(y));
  return outputs;
}

TEST(ConvChains, JoinsWhatIsLargeWithTheSameBitsInLessMemory) {
  const auto chained = make_plan(network(), bounds(160)), single = make_plan(network(), bounds(160, false));
  EXPECT_EQ(count(*chained, "ChannelsLastConvChain"), 2);
  EXPECT_EQ(count(*chained, "ChannelsLastConv"), 0);
  EXPECT_EQ(count(*single, "ChannelsLastConv"), 6);
  EXPECT_LT(chained->host.arena, single->host.arena / 2);
  for (const int64_t side : {160, 37, 1}) {
    const Tensor x = random_tensor({1, 16, side, side}, 3);
    EXPECT_TRUE(identical(run(chained, x)[0], run(single, x)[0])) << side;
  }
}

TEST(ConvChains, SmallImagesStayAsTheyAre) { EXPECT_EQ(count(*make_plan(network(), bounds(14)), "ChannelsLastConvChain"), 0); }

// The first one has no chain then: what lies between its convolutions is wanted.
TEST(ConvChains, WhatOthersReadIsMade) {
  const auto chained = make_plan(network(true), bounds(160)), single = make_plan(network(true), bounds(160, false));
  EXPECT_EQ(count(*chained, "ChannelsLastConvChain"), 1);
  const Tensor x = random_tensor({1, 16, 160, 160}, 3);
  const std::vector<Tensor> a = run(chained, x), b = run(single, x);
  ASSERT_EQ(a.size(), 3u);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(identical(a[i], b[i])) << i;
}

TEST(ConvChains, HalvesOfAChain) {
  for (const bool expands : {false, true}) {
    Graph graph;
    ValueId v = graph.add_input("x", DType::kF32, {1, 32, 120, 120});
    if (expands) v = conv(graph, v, {32, 32, 1, 1});
    v = depthwise(graph, v, 32);
    if (!expands) v = conv(graph, v, {16, 32, 1, 1});
    graph.outputs = {v};
    const auto chained = make_plan(graph, {}), single = make_plan(graph, bounds(1, false));
    EXPECT_EQ(count(*chained, "ChannelsLastConvChain"), 1) << expands;
    const Tensor x = random_tensor({1, 32, 120, 120}, 4);
    EXPECT_TRUE(identical(run(chained, x)[0], run(single, x)[0])) << expands;
  }
}

// A pointwise convolution with strides, pads, groups or a residual is no part of a chain.
TEST(ConvChains, OnlyPlainPointwiseOnes) {
  for (const Attributes& attributes :
       {Attributes{{"strides", List{2, 2}}}, Attributes{{"pads", List{0, 1, 0, 1}}}, Attributes{{"group", int64_t{2}}}}) {
    Graph graph;
    const ValueId x = graph.add_input("x", DType::kF32, {1, 64, 120, 120});
    const int64_t groups = attributes.contains("group") ? 2 : 1;
    graph.outputs = {depthwise(graph, conv(graph, x, {64, 64 / groups, 1, 1}, attributes), 64)};
    EXPECT_EQ(count(*make_plan(graph, {}), "ChannelsLastConvChain"), 0);
  }
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1, 64, 120, 120});
  graph.outputs = {depthwise(graph, add(graph, "Add", {conv(graph, x, {64, 64, 1, 1}), x}), 64)};
  EXPECT_EQ(count(*make_plan(graph, {}), "ChannelsLastConvChain"), 0);
}

// The weights are gone by then: one that chains otherwise finds them as they were packed.
TEST(ConvChains, PlansOfOneGraphShareWeights) {
  Graph graph = network();
  const auto large = make_plan(graph, bounds(160));
  take_constants(graph, *large);
  PlanOptions small = bounds(14);
  small.packs = large->packs;
  const auto again = make_plan(graph, small);
  EXPECT_EQ(count(*again, "ChannelsLastConvChain"), 0);
  const Tensor x = random_tensor({1, 16, 14, 14}, 3);
  EXPECT_TRUE(identical(run(again, x)[0], run(large, x)[0]));
}

TEST(ConvChains, SizesThatOnlyTheRunKnowsStayAsTheyAre) {
  const auto plan = make_plan(network(), {.open_symbols = true});
  EXPECT_EQ(count(*plan, "ChannelsLastConvChain"), 0);
}

}  // namespace
}  // namespace tandem
