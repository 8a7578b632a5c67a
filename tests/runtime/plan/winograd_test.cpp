#include "runtime/plan/winograd.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/api/conv_winograd_planes.h"
#include "kernels/api/rounded_conv.h"
#include "runtime/plan/constant_release.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;
using List = std::vector<int64_t>;

struct ConvOptions {
  int64_t kernel = 3, stride = 1, groups = 1;
};
ValueId conv(Graph& graph, ValueId x, int64_t from, int64_t to, const ConvOptions& options = {}) {
  const int64_t k = options.kernel, pad = k / 2;
  const std::string name = "w" + std::to_string(graph.values.size());
  const ValueId w = graph.add_constant(name, random_tensor({to, from / options.groups, k, k}, static_cast<unsigned>(graph.values.size())));
  return add(graph, "Conv", {x, w},
             {{"pads", List{pad, pad, pad, pad}}, {"strides", List{options.stride, options.stride}}, {"group", options.groups}});
}

// Two 3 x 3 in the form, and three that are not: one at stride 2, one of groups, one 1 x 1. Sizes are open.
Graph network() {
  Graph graph;
  ValueId v = graph.add_input("x", DType::kF32, {"batch", 32, "height", "width"});
  v = add(graph, "Relu", {conv(graph, v, 32, 32)});
  v = conv(graph, v, 32, 32, {.stride = 2});
  v = conv(graph, v, 32, 32, {.groups = 2});
  v = conv(graph, v, 32, 64, {.kernel = 1});
  graph.outputs = {conv(graph, v, 64, 32)};
  return graph;
}

PlanOptions bounds(int64_t batch, int64_t side, bool fast = true) {
  return {.bounds = {{"batch", batch}, {"height", side}, {"width", side}}, .fast_math = fast};
}

int64_t count(const Plan& plan, std::string_view op) {
  return std::ranges::count_if(plan.graph.nodes, [&](const Node& node) { return node.def->name == op; });
}

Tensor run(const std::shared_ptr<const Plan>& plan, const Tensor& x) {
  Executor executor(plan);
  const ConstTensorView inputs[] = {x.view()};
  return Tensor::copy_of(executor.run(inputs)[0]);
}

double relative_l2(const Tensor& actual, const Tensor& expected) {
  EXPECT_EQ(actual.shape(), expected.shape());
  double error = 0, size = 0;
  for (size_t i = 0; i < static_cast<size_t>(expected.elements()); ++i) {
    const double e = double(expected.as<float>()[i]), a = double(actual.as<float>()[i]);
    error += (a - e) * (a - e), size += e * e;
  }
  return std::sqrt(error / size);
}

TEST(ChooseWinograd, OnlyWithFastMathAndOnlyWhatHasTheForm) {
  const auto strict = make_plan(network(), bounds(1, 40, false)), fast = make_plan(network(), bounds(1, 40));
  EXPECT_EQ(count(*strict, "WinogradConv"), 0);
  EXPECT_EQ(count(*fast, "WinogradConv"), 2);
  EXPECT_EQ(count(*fast, "ChannelsLastConv"), 3);
  const Tensor x = random_tensor({1, 32, 40, 40}, 3);
  const double error = relative_l2(run(fast, x), run(strict, x));
  EXPECT_LE(error, 5e-6);
  EXPECT_GT(error, 0);
}

TEST(ChooseWinograd, FewPixelsStayDirect) { EXPECT_EQ(count(*make_plan(network(), bounds(1, 1)), "WinogradConv"), 0); }

// The weights are gone by then: a plan at other bounds keeps to what was packed, either way.
TEST(ChooseWinograd, PlansOfOneGraphChooseAlike) {
  Graph graph = network();
  const auto large = make_plan(graph, bounds(2, 40));
  take_constants(graph, *large);
  PlanOptions small = bounds(1, 1);
  small.packs = large->packs;
  const auto again = make_plan(graph, small);
  EXPECT_EQ(count(*again, "WinogradConv"), 2);
  const Tensor x = random_tensor({1, 32, 1, 1}, 3);
  EXPECT_TRUE(identical(run(again, x), run(large, x)));
}

TEST(ChooseWinograd, SizesThatOnlyTheRunKnowsStayDirect) {
  const auto plan = make_plan(network(), {.open_symbols = true, .fast_math = true});
  EXPECT_EQ(count(*plan, "WinogradConv"), 0);
  const Tensor x = random_tensor({2, 32, 20, 20}, 3);
  EXPECT_LE(relative_l2(run(plan, x), run(make_plan(network(), bounds(2, 20, false)), x)), 1e-6);
}

// A convolution whose weights are an input, and its gradients: outputs y, dx and dw.
Graph of_changing_weights(const Attributes& attributes, bool residual = false, int64_t height = 12, int64_t width = 12) {
  Graph graph;
  const std::vector<ValueId> in = {graph.add_input("x", DType::kF32, {"batch", 24, 12, 12}), graph.add_input("w", DType::kF32, {32, 24, 3, 3}),
                                   graph.add_input("dy", DType::kF32, {"batch", 32, height, width})};
  std::vector<ValueId> operands = {in[0], in[1]};
  if (residual) operands.insert(operands.end(), {kNoValue, in[2]});
  graph.outputs = {add(graph, "FusedConv", operands, attributes, "tandem"), add(graph, "ConvGradInput", {in[2], in[1], in[0]}, attributes, "tandem"),
                   add(graph, "ConvGradWeight", {in[2], in[0], in[1]}, attributes, "tandem")};
  return graph;
}

std::vector<Tensor> run_changing(const Graph& graph, bool fast, int threads = 1) {
  Executor executor(make_plan(graph, {.threads = threads, .bounds = {{"batch", 5}}, .fast_math = fast}));
  const Tensor x = random_tensor({5, 24, 12, 12}, 1), w = random_tensor({32, 24, 3, 3}, 2), dy = random_tensor({5, 32, 12, 12}, 3);
  const ConstTensorView inputs[] = {x.view(), w.view(), dy.view()};
  std::vector<Tensor> outputs;
  for (const ConstTensorView& output : executor.run(inputs)) outputs.push_back(Tensor::copy_of(output));
  return outputs;
}

constexpr std::string_view kPlanes[] = {"WinogradPlanesConv", "WinogradPlanesGradInput", "WinogradPlanesGradWeight"};

TEST(ChooseWinograd, OfWeightsThatChangeWithBothGradients) {
  const Graph graph = of_changing_weights({{"pads", List{1, 1, 1, 1}}});
  const auto strict = make_plan(graph, {.bounds = {{"batch", 5}}}), fast = make_plan(graph, {.bounds = {{"batch", 5}}, .fast_math = true});
  for (const std::string_view op : kPlanes) {
    EXPECT_EQ(count(*strict, op), 0);
    EXPECT_EQ(count(*fast, op), 1);
  }
  const auto direct = run_changing(graph, false), tiles = run_changing(graph, true), threads = run_changing(graph, true, 2);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_LE(relative_l2(tiles[i], direct[i]), 5e-6) << i;
    EXPECT_FALSE(identical(tiles[i], direct[i])) << i;
    EXPECT_TRUE(identical(tiles[i], threads[i])) << i;
  }
}

TEST(ChooseWinograd, WhatPlanesHaveNoKernelForStaysDirect) {
  const auto counts = [](const Graph& graph) {
    const auto plan = make_plan(graph, {.bounds = {{"batch", 5}}, .fast_math = true});
    return List{count(*plan, kPlanes[0]), count(*plan, kPlanes[1]), count(*plan, kPlanes[2])};
  };
  EXPECT_EQ(counts(of_changing_weights({{"pads", List{1, 1, 1, 1}}}, true)), (List{0, 1, 1}));  // a residual
  EXPECT_EQ(counts(of_changing_weights({{"pads", List{3, 0, 0, 0}}}, false, 13, 10)), (List{1, 0, 1}));  // turned, its pads are negative
}

// By tiles nothing is rounded to bf16; direct sums of bf16 are half as dear, so they keep what would be by tiles in f32.
TEST(ChooseWinograd, WhatRoundsToBf16OnlyWhereTilesAreFasterThanThat) {
  const auto counts = [](int64_t batch, bool fast, const Attributes& precision) {
    Attributes attributes = {{"pads", List{1, 1, 1, 1}}};
    attributes.insert(precision.begin(), precision.end());
    const auto plan = make_plan(of_changing_weights(attributes), {.bounds = {{"batch", batch}}, .fast_math = fast});
    return List{count(*plan, kPlanes[0]), count(*plan, kPlanes[1]), count(*plan, kPlanes[2])};
  };
  const double price = cpu::rounded_conv_price();
  for (const int64_t batch : {5, 20, 500}) {
    const auto chosen = [&](const auto& fastest, int64_t channels, int64_t filters) {
      return int64_t{fastest(cpu::WinogradSizes{batch, 12, 12, channels, filters}, price).has_value()};
    };
    const List expected = {chosen(cpu::fastest_winograd_planes_tiles, 24, 32), chosen(cpu::fastest_winograd_planes_tiles, 32, 24),
                           chosen(cpu::fastest_winograd_weight_grad_tiles, 24, 32)};
    EXPECT_EQ(counts(batch, true, {{"precision", "bf16"}}), expected) << batch;
    EXPECT_EQ(counts(batch, false, {{"precision", "bf16"}}), (List{0, 0, 0})) << batch;
  }
  EXPECT_EQ(counts(500, true, {}), (List{1, 1, 1}));
}

TEST(ChooseWinograd, ByTilesNothingIsRoundedToBf16) {
  const auto run = [](const Attributes& attributes, bool fast) {
    Executor executor(make_plan(of_changing_weights(attributes), {.threads = 2, .bounds = {{"batch", 96}}, .fast_math = fast}));
    const Tensor x = random_tensor({96, 24, 12, 12}, 1), w = random_tensor({32, 24, 3, 3}, 2), dy = random_tensor({96, 32, 12, 12}, 3);
    const ConstTensorView inputs[] = {x.view(), w.view(), dy.view()};
    return Tensor::copy_of(executor.run(inputs)[0]);
  };
  const Attributes f32 = {{"pads", List{1, 1, 1, 1}}}, bf16 = {{"pads", List{1, 1, 1, 1}}, {"precision", "bf16"}};
  const Tensor strict = run(f32, false), fast = run(bf16, true);
  EXPECT_GT(relative_l2(run(bf16, false), strict), 5e-4);
  if (cpu::fastest_winograd_planes_tiles({96, 12, 12, 24, 32}, cpu::rounded_conv_price())) {
    EXPECT_LE(relative_l2(fast, strict), 5e-6);
    EXPECT_FALSE(identical(fast, strict));
  } else {  // a tier on which direct products of bf16 are faster
    EXPECT_TRUE(identical(fast, run(bf16, false)));
  }
}

// A workspace serves any plane, but no other channels than it was made for.
TEST(ChooseWinograd, PlanesOfOpenChannelsStayDirect) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", "channels", 12, 12}), w = graph.add_input("w", DType::kF32, {16, "channels", 3, 3});
  graph.outputs = {add(graph, "Conv", {x, w}, {{"pads", List{1, 1, 1, 1}}})};
  const auto plan = make_plan(graph, {.bounds = {{"batch", 5}, {"channels", 256}}, .fast_math = true});
  EXPECT_EQ(count(*plan, "WinogradPlanesConv"), 0);
  Executor executor(plan);
  const Tensor image = random_tensor({5, 224, 12, 12}, 1), weights = random_tensor({16, 224, 3, 3}, 2);
  const ConstTensorView inputs[] = {image.view(), weights.view()};
  EXPECT_NO_THROW(executor.run(inputs));
}

// As a server makes larger plans of a graph: a row keeps its bits.
TEST(ChooseWinograd, PlansOfOneGraphChooseAlikeForPlanes) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 64, 8, 8}), w = graph.add_input("w", DType::kF32, {64, 64, 3, 3});
  graph.outputs = {add(graph, "Conv", {x, w}, {{"pads", List{1, 1, 1, 1}}})};
  const auto plan_for = [&](int64_t batch, const std::shared_ptr<PackedConstants>& packs) {
    return make_plan(graph, {.bounds = {{"batch", batch}}, .fast_math = true, .packs = packs});
  };
  ASSERT_EQ(count(*plan_for(1, nullptr), "WinogradPlanesConv"), 0);
  ASSERT_EQ(count(*plan_for(8, nullptr), "WinogradPlanesConv"), 1);
  const auto packs = std::make_shared<PackedConstants>();
  EXPECT_EQ(count(*plan_for(1, packs), "WinogradPlanesConv"), 0);
  EXPECT_EQ(count(*plan_for(8, packs), "WinogradPlanesConv"), 0) << "the first plan has chosen";
}

}  // namespace
}  // namespace tandem
