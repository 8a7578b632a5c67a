#include <gtest/gtest.h>

#include <cmath>

#include "tests/runtime/passes/run_both_ways.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

using List = std::vector<int64_t>;

ValueId numbers(Graph& graph, const Shape& shape, unsigned seed) {
  return graph.add_constant("numbers", random_tensor(shape, seed));
}

const Node* find_op(const Graph& graph, std::string_view op) {
  const auto found = std::ranges::find_if(graph.nodes, [&](const Node& node) { return node.def->name == op; });
  return found == graph.nodes.end() ? nullptr : &*found;
}
int64_t count(const Graph& graph, std::string_view op) {
  return std::ranges::count_if(graph.nodes, [&](const Node& node) { return node.def->name == op; });
}
DType type_of(const Graph& graph, ValueId id) { return graph.value(id).type.dtype; }

// Relative L2 distance of each output computed in bf16 from that in f32.
void expect_near_f32(const Graph& graph, double most) {
  const std::vector<Tensor> inputs = random_inputs(graph);
  const std::vector<Tensor> wide = run_planned(graph, inputs, {.default_bound = 3});
  for (int threads : {1, 2}) {
    const std::vector<Tensor> narrow =
        run_planned(graph, inputs, {.threads = threads, .default_bound = 3, .precision = DType::kBF16});
    ASSERT_EQ(narrow.size(), wide.size());
    for (size_t i = 0; i < wide.size(); ++i) {
      ASSERT_EQ(narrow[i].dtype(), wide[i].dtype());
      ASSERT_EQ(narrow[i].shape(), wide[i].shape());
      if (wide[i].dtype() != DType::kF32) continue;
      double apart = 0, size = 0;
      for (int64_t e = 0; e < wide[i].elements(); ++e) {
        const auto at = static_cast<size_t>(e);
        const double a = static_cast<double>(wide[i].as<float>()[at]), b = static_cast<double>(narrow[i].as<float>()[at]);
        apart += (a - b) * (a - b), size += a * a;
      }
      EXPECT_LT(std::sqrt(apart), most * std::sqrt(size)) << i;
      EXPECT_GT(apart, 0) << "computed in f32";
    }
  }
}

Graph lowered(Graph graph) {
  EXPECT_GT(run_pass(graph, bf16_storage_pass, true).changes, 0);
  const std::string once = to_text(graph);
  EXPECT_EQ(bf16_storage_pass.apply(graph), 0);
  EXPECT_EQ(to_text(graph), once);
  return graph;
}

TEST(Bf16Storage, BetweenProductsValuesAreBf16) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 16});
  const ValueId h = add(graph, "FusedMatMul", {x, numbers(graph, {16, 24}, 1), numbers(graph, {24}, 2)},
                        {{"activation", std::string("Relu")}}, "tandem");
  const ValueId e = add(graph, "Mul", {h, add(graph, "Sigmoid", {h})});
  graph.outputs = {add(graph, "MatMul", {e, numbers(graph, {24, 8}, 3)})};
  const Graph after = lowered(graph);
  EXPECT_EQ(count(after, "Bf16MatMul"), 2);
  EXPECT_EQ(count(after, "MatMul"), 0);
  EXPECT_EQ(type_of(after, find_op(after, "Bf16MatMul")->outputs[0]), DType::kBF16);
  EXPECT_EQ(type_of(after, after.outputs[0]), DType::kF32);
  EXPECT_EQ(after.value(after.outputs[0]).name, graph.value(graph.outputs[0]).name);
  expect_near_f32(graph, 0.02);
}

TEST(Bf16Storage, ResidualsAndNormalizationsStayNarrow) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 5, 16});
  const ValueId first = add(graph, "LayerNormalization", {x, numbers(graph, {16}, 1), numbers(graph, {16}, 2)});
  const ValueId product =
      add(graph, "FusedMatMul", {first, numbers(graph, {16, 16}, 3), numbers(graph, {16}, 4), first}, {}, "tandem");
  const ValueId second = add(graph, "LayerNormalization", {product, numbers(graph, {16}, 5), numbers(graph, {16}, 6)});
  graph.outputs = {second, add(graph, "Softmax", {add(graph, "MatMul", {second, numbers(graph, {16, 4}, 7)})})};
  const Graph after = lowered(graph);
  EXPECT_EQ(count(after, "Bf16LayerNormalization"), 2);
  const Node& fused = *find_op(after, "Bf16MatMul");
  EXPECT_EQ(type_of(after, fused.inputs[3]), DType::kBF16);
  EXPECT_EQ(type_of(after, find_op(after, "Softmax")->inputs[0]), DType::kF32);
  expect_near_f32(graph, 0.03);
}

TEST(Bf16Storage, MovementIsInBf16AndOutputsAreF32) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 6, 16});
  const ValueId product = add(graph, "MatMul", {x, numbers(graph, {16, 24}, 1)});
  const ValueId moved = add(graph, "Transpose", {product}, {{"perm", List{1, 0, 2}}});
  const ValueId joined = add(graph, "Concat", {moved, moved}, {{"axis", int64_t{2}}});
  graph.outputs = {add(graph, "MatMul", {joined, numbers(graph, {48, 4}, 2)}), moved};
  const Graph after = lowered(graph);
  EXPECT_EQ(type_of(after, find_op(after, "Transpose")->outputs[0]), DType::kBF16);
  EXPECT_EQ(type_of(after, find_op(after, "Concat")->outputs[0]), DType::kBF16);
  for (ValueId id : after.outputs) EXPECT_EQ(type_of(after, id), DType::kF32);
  expect_near_f32(graph, 0.02);
}

TEST(Bf16Storage, ImagesThroughConvolutionsAndPools) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 16, 12, 12});
  const Attributes same = {{"pads", List{1, 1, 1, 1}}};
  Attributes channelwise = same;
  channelwise["group"] = int64_t{32};
  const ValueId a =
      add(graph, "Relu", {add(graph, "Conv", {x, numbers(graph, {32, 16, 3, 3}, 1), numbers(graph, {32}, 2)}, same)});
  const ValueId b =
      add(graph, "Clip", {add(graph, "Conv", {a, numbers(graph, {32, 1, 3, 3}, 3)}, channelwise), numbers(graph, {}, 4)});
  const ValueId pooled =
      add(graph, "MaxPool", {add(graph, "Add", {a, b})}, {{"kernel_shape", List{2, 2}}, {"strides", List{2, 2}}});
  const ValueId y = add(graph, "Conv", {pooled, numbers(graph, {8, 32, 1, 1}, 5)});
  graph.outputs = {add(graph, "GlobalAveragePool", {y})};
  run_passes(graph);
  const auto plan = make_plan(graph, {.default_bound = 2, .precision = DType::kBF16});
  EXPECT_EQ(count(plan->graph, "Bf16ChannelsLastConv"), 3);
  EXPECT_EQ(count(plan->graph, "Bf16ChannelsLastMaxPool"), 1);
  expect_near_f32(graph, 0.03);
}

TEST(Bf16Storage, MeansOfImagesReadThemAsStored) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 16, 12, 12});
  const ValueId a = add(graph, "Relu", {add(graph, "Conv", {x, numbers(graph, {32, 16, 3, 3}, 1)})});
  const ValueId gate = add(graph, "Sigmoid", {add(graph, "Conv", {add(graph, "GlobalAveragePool", {a}), numbers(graph, {32, 32, 1, 1}, 2)})});
  graph.outputs = {add(graph, "Conv", {add(graph, "Mul", {a, gate}), numbers(graph, {8, 32, 1, 1}, 3)})};
  run_passes(graph);
  const auto plan = make_plan(graph, {.default_bound = 2, .precision = DType::kBF16, .disabled_passes = {"channel_scale_fusion"}});
  EXPECT_EQ(count(plan->graph, "Bf16GlobalAverage"), 1);
  EXPECT_EQ(count(plan->graph, "ReduceMean"), 0);
  const Node* product = find_op(plan->graph, "Region");
  ASSERT_NE(product, nullptr);
  EXPECT_EQ(type_of(plan->graph, product->inputs[0]), DType::kBF16);
  expect_near_f32(graph, 0.03);
}

TEST(Bf16Storage, WhatHasNoFormStaysInF32) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 16}), w = graph.add_input("w", DType::kF32, {16, 8});
  const ValueId wide = graph.add_input("wide", DType::kF64, {"batch", 16});
  graph.outputs = {add(graph, "MatMul", {x, w}),
                   add(graph, "MatMul", {wide, graph.add_constant("v", Tensor(DType::kF64, {16, 4}))}),
                   add(graph, "Gemm", {x, numbers(graph, {16, 4}, 1)}, {{"alpha", 2.0f}})};
  const std::string before = to_text(graph);
  EXPECT_EQ(bf16_storage_pass.apply(graph), 0);
  EXPECT_EQ(to_text(graph), before);
}

TEST(Bf16Storage, OnlyForPlansThatAskForIt) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 16});
  graph.outputs = {add(graph, "MatMul", {x, numbers(graph, {16, 4}, 1)})};
  EXPECT_EQ(count(make_plan(graph, {})->graph, "Bf16MatMul"), 0);
  EXPECT_EQ(count(make_plan(graph, {.precision = DType::kBF16})->graph, "Bf16MatMul"), 1);
  EXPECT_EQ(count(make_plan(graph, {.precision = DType::kBF16, .disabled_passes = {"bf16_storage"}})->graph, "Bf16MatMul"), 0);
  EXPECT_THROW(make_plan(graph, {.precision = DType::kF16}), Error);
  EXPECT_THROW(make_plan(graph, {.precision = DType::kBF16, .target = Space::kDevice}), Error);
}

}  // namespace
}  // namespace tandem
