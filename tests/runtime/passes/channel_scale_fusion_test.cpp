// Images that are scaled by channel before a pointwise convolution of bf16: scaled as it reads them, with the same bits; and what is left alone.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/runtime/passes/run_both_ways.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

using List = std::vector<int64_t>;
constexpr int64_t kChannels = 40;

ValueId numbers(Graph& graph, const Shape& shape, unsigned seed) { return graph.add_constant("numbers", random_tensor(shape, seed)); }

struct Subject {
  Graph graph;
  ValueId image = kNoValue, gate = kNoValue;
};

// An image as a convolution makes it, and a gate a channel that hangs on it.
Subject subject() {
  Subject s;
  const ValueId x = s.graph.add_input("x", DType::kF32, {"batch", 16, 9, 7});
  s.image = add(s.graph, "Relu", {add(s.graph, "Conv", {x, numbers(s.graph, {kChannels, 16, 3, 3}, 1)}, {{"pads", List{1, 1, 1, 1}}})});
  s.gate = add(s.graph, "Sigmoid",
               {add(s.graph, "Conv", {add(s.graph, "GlobalAveragePool", {s.image}), numbers(s.graph, {kChannels, kChannels, 1, 1}, 2)})});
  return s;
}

Graph projected(Subject s, ValueId scaled, const Shape& weights, const Attributes& attributes = {}) {
  s.graph.outputs.push_back(add(s.graph, "Conv", {scaled, numbers(s.graph, weights, 3)}, attributes));
  run_passes(s.graph);
  return std::move(s.graph);
}

// Convolutions that scale what they read, in the plan.
int64_t scaling(const Graph& graph) {
  const auto plan = make_plan(graph, {.default_bound = 3, .precision = DType::kBF16});
  return std::ranges::count_if(plan->graph.nodes, [](const Node& node) { return node.def->name == "Bf16ChannelsLastConv" && node.inputs.size() == 5; });
}

void expect_same_bits(const Graph& graph) {
  const std::vector<Tensor> inputs = random_inputs(graph);
  for (const int threads : {1, 2}) {
    const auto run = [&](decltype(PlanOptions::disabled_passes) disabled) {
      return run_planned(graph, inputs, {.threads = threads, .default_bound = 3, .precision = DType::kBF16, .disabled_passes = disabled});
    };
    const std::vector<Tensor> fused = run({}), apart = run({"channel_scale_fusion"});
    ASSERT_EQ(fused.size(), apart.size());
    for (size_t i = 0; i < fused.size(); ++i) {
      ASSERT_EQ(fused[i].shape(), apart[i].shape());
      EXPECT_TRUE(std::ranges::equal(fused[i].as<float>(), apart[i].as<float>())) << i << ", threads " << threads;
    }
  }
}

TEST(ChannelScaleFusion, PointwiseConvolutionsScaleWhatTheyRead) {
  for (const bool gate_first : {false, true}) {
    Subject s = subject();
    const ValueId scaled = gate_first ? add(s.graph, "Mul", {s.gate, s.image}) : add(s.graph, "Mul", {s.image, s.gate});
    const Graph graph = projected(std::move(s), scaled, {24, kChannels, 1, 1});
    EXPECT_EQ(scaling(graph), 1) << gate_first;
    expect_same_bits(graph);
  }
}

TEST(ChannelScaleFusion, OneScaleMayServeAllImages) {
  Subject s = subject();
  const ValueId scaled = add(s.graph, "Mul", {s.image, numbers(s.graph, {1, kChannels, 1, 1}, 4)});
  const Graph graph = projected(std::move(s), scaled, {24, kChannels, 1, 1});
  EXPECT_EQ(scaling(graph), 1);
  expect_same_bits(graph);
}

TEST(ChannelScaleFusion, OtherScalesAndKernelsAreLeftAlone) {
  {
    Subject s = subject();
    const ValueId scaled = add(s.graph, "Mul", {s.image, s.gate});
    const Graph graph = projected(std::move(s), scaled, {24, kChannels, 3, 3}, {{"pads", List{1, 1, 1, 1}}});
    EXPECT_EQ(scaling(graph), 0) << "a wider kernel";
    expect_same_bits(graph);
  }
  {
    Subject s = subject();
    const ValueId scaled = add(s.graph, "Mul", {s.image, s.gate});
    EXPECT_EQ(scaling(projected(std::move(s), scaled, {24, kChannels, 1, 1}, {{"strides", List{2, 2}}})), 0) << "strides";
  }
  {
    Subject s = subject();
    const ValueId scaled = add(s.graph, "Mul", {s.image, numbers(s.graph, {1, kChannels, 9, 7}, 4)});
    EXPECT_EQ(scaling(projected(std::move(s), scaled, {24, kChannels, 1, 1})), 0) << "a factor a pixel";
  }
  {
    Subject s = subject();
    const ValueId scaled = add(s.graph, "Mul", {s.image, s.gate});
    s.graph.outputs.push_back(scaled);
    const Graph graph = projected(std::move(s), scaled, {24, kChannels, 1, 1});
    EXPECT_EQ(scaling(graph), 0) << "read elsewhere";
    expect_same_bits(graph);
  }
}

}  // namespace
}  // namespace tandem
