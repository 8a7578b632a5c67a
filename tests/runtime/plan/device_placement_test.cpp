// What runs where, and what crosses. Ops with and without a twin are told apart by what they are: text never goes to a GPU.
#include "runtime/plan/device_placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/plan/plan.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> ops(const Graph& graph, const DevicePlacement& placement) {
  std::vector<std::string> names;
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    names.push_back(std::string(graph.nodes[n].def->name) + (placement.nodes[n] == Space::kDevice ? "" : "@cpu"));
  return names;
}

ValueId encode(Graph& graph, ValueId text) {
  return add(graph, "LabelEncoder", {text},
             {{"keys_strings", std::vector<std::string>{"red"}}, {"values_floats", std::vector<float>{1}}, {"default_float", 0.0f}},
             "ai.onnx.ml");
}

Graph text_graph() {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}, {"ai.onnx.ml", kOnnxMlOpset}};
  const ValueId text = graph.add_input("text", DType::kString, {"batch", 4});
  graph.outputs = {add(graph, "Softmax", {encode(graph, text)})};
  return graph;
}

TEST(DevicePlacement, TextStaysAndNumbersCross) {
  Graph graph = text_graph();
  const DevicePlacement placement = place_on_device(graph);
  EXPECT_THAT(ops(graph, placement), ElementsAre("LabelEncoder@cpu", "CopyToDevice", "Softmax", "CopyToHost"));
  EXPECT_THAT(placement.without_twin, ElementsAre(HasSubstr("LabelEncoder")));
}

// Through the host's memory, unless the ranks' GPUs are connected; neither is for want of a kernel.
TEST(DevicePlacement, CollectivesGoWhereTheyAreToldTo) {
  const auto placed = [](bool device_collectives) {
    Graph graph;
    const ValueId y = add(graph, "Sigmoid", {graph.add_input("x", DType::kF32, {4})});
    const auto begun = graph.add_node(newest_op("AllReduceStart", "tandem"), {y}, 2);
    graph.outputs = {add(graph, "Tanh", {add(graph, "AllReduceWait", {begun[0], begun[1]}, {}, "tandem")})};
    const DevicePlacement placement = place_on_device(graph, device_collectives);
    EXPECT_TRUE(placement.without_twin.empty());
    return ops(graph, placement);
  };
  EXPECT_THAT(placed(true), ElementsAre("CopyToDevice", "Sigmoid", "AllReduceStart", "AllReduceWait", "Tanh", "CopyToHost"));
  EXPECT_THAT(placed(false), ElementsAre("CopyToDevice", "Sigmoid", "CopyToHost", "AllReduceStart@cpu", "AllReduceWait@cpu", "CopyToDevice",
                                         "Tanh", "CopyToHost"));
}

TEST(DevicePlacement, InputsAreFedAndAValueCrossesOnce) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4});
  const ValueId a = add(graph, "Softmax", {x}), b = add(graph, "LogSoftmax", {x});
  graph.outputs = {a, b, a};
  const DevicePlacement placement = place_on_device(graph);
  EXPECT_THAT(ops(graph, placement), ElementsAre("CopyToDevice", "Softmax", "LogSoftmax", "CopyToHost", "CopyToHost"));
  EXPECT_TRUE(is_feed(graph, graph.nodes[0]));
  EXPECT_EQ(graph.outputs[0], graph.outputs[2]);
}

TEST(DevicePlacement, ShapesAreComputedOnTheHost) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 2, 3});
  const ValueId rows = add(graph, "Gather", {add(graph, "Shape", {x}), graph.add_constant("first", Tensor::of<int64_t>({1}, {0}))});
  const ValueId shape = add(graph, "Concat", {rows, graph.add_constant("rest", Tensor::of<int64_t>({1}, {-1}))}, {{"axis", int64_t{0}}});
  graph.outputs = {add(graph, "Softmax", {add(graph, "Reshape", {add(graph, "Softmax", {x}), shape})})};
  const DevicePlacement placement = place_on_device(graph);
  const auto names = ops(graph, placement);
  for (const char* op : {"Shape@cpu", "Gather@cpu", "Concat@cpu", "Reshape"}) EXPECT_THAT(names, ::testing::Contains(op));
  EXPECT_EQ(std::ranges::count(names, "CopyToHost"), 1) << "the result alone";
  EXPECT_EQ(std::ranges::count(names, "CopyToDevice"), 1) << "the input alone";
  EXPECT_TRUE(placement.without_twin.empty());
}

TEST(DevicePlacement, TheCpuInterruptsAsSeldomAsItCan) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}, {"ai.onnx.ml", kOnnxMlOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 4});
  ValueId y = add(graph, "Softmax", {x});
  for (int i = 0; i < 3; ++i) {
    const ValueId text = graph.add_input("text" + std::to_string(i), DType::kString, {"batch", 4});
    y = add(graph, "Softmax", {add(graph, "Concat", {y, encode(graph, text)}, {{"axis", int64_t{1}}})});
  }
  graph.outputs = {y};
  if (newest_op("Concat").cuda == nullptr) GTEST_SKIP() << "Concat has no CUDA twin";
  const DevicePlacement placement = place_on_device(graph);
  const auto names = ops(graph, placement);
  const auto on_cpu = [](const std::string& name) { return name.ends_with("@cpu"); };
  EXPECT_EQ(names.rend() - std::ranges::find_if(names.rbegin(), names.rend(), on_cpu), 4) << "after the feed, three encoders in a row";
}

TEST(DevicePlacement, TypesThatTheGpuOnlyMovesAreComputedOnTheCpu) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kU16, {"batch", 4});
  graph.outputs = {add(graph, "Add", {add(graph, "Transpose", {x}, {{"perm", std::vector<int64_t>{0, 1}}}), x})};
  if (newest_op("Transpose").cuda == nullptr) GTEST_SKIP() << "Transpose has no CUDA twin";
  const DevicePlacement placement = place_on_device(graph);
  EXPECT_THAT(ops(graph, placement), ElementsAre("CopyToDevice", "Transpose", "CopyToHost", "Add@cpu"));
  EXPECT_THAT(placement.without_twin, ElementsAre(HasSubstr("Add on this element type")));
}

TEST(DevicePlan, WhatStaysOnTheCpuComputesSixteenBitsInF32) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF16, {"batch", 4});
  graph.outputs = {add(graph, "Exp", {add(graph, "Mean", {x, x})})};
  Graph host = graph;
  const auto plan = make_plan(std::move(host), {.target = Space::kHost, .disabled_passes = {"elementwise_regions"}});
  std::vector<std::string> names = ops(plan->graph, plan->placement);
  EXPECT_THAT(names, ElementsAre("Cast@cpu", "Mean@cpu", "Cast@cpu", "Cast@cpu", "Exp@cpu", "Cast@cpu"));
  const auto on_gpu = make_plan(graph, {.target = Space::kDevice});
  names = ops(on_gpu->graph, on_gpu->placement);
  EXPECT_EQ(std::ranges::count(names, "Cast@cpu"), 2 * std::ranges::count(names, "Mean@cpu"));  // only around what has no twin
}

TEST(DevicePlacement, AStateIsReadBeforeItIsReplaced) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2});
  const ValueId state = graph.add_state("state", Tensor(DType::kF32, {2}));
  const ValueId before = add(graph, "Softmax", {state});
  add(graph, "Assign", {state, x}, {}, "tandem");
  graph.outputs = {before};
  const DevicePlacement placement = place_on_device(graph);
  const auto at = [&](std::string_view name) {
    return std::ranges::find_if(graph.nodes, [&](const Node& node) { return node.def->name == name; }) - graph.nodes.begin();
  };
  EXPECT_LT(at("Softmax"), at("Assign"));
}

TEST(DevicePlan, StatesBytesOfBothSides) {
  const auto plan = make_plan(text_graph(), {.default_bound = 8, .target = Space::kDevice});
  EXPECT_EQ(plan->device.arena, 8 * 4 * 4);                    // the encoded column, softmax in place
  EXPECT_EQ(plan->device.feeds, 0);                            // text does not travel
  EXPECT_EQ(plan->host.arena, 2 * 8 * 4 * 4 - 8 * 4 * 4);      // the encoded column and the result share
  EXPECT_THAT(to_text(*plan), HasSubstr("1 steps on the GPU, 1 on the CPU; copied in one run: 128 bytes to the GPU, 128 bytes back"));
}

TEST(DevicePlan, RefusesWhatWouldRunOnTheCpuIfStrict) {
  try {
    make_plan(text_graph(), {.target = Space::kDevice, .strict_device = true});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("LabelEncoder"));
  }
}

TEST(DevicePlan, RefusesMoreThanTheGpuHas) {
  try {
    make_plan(text_graph(), {.default_bound = 64, .target = Space::kDevice, .device_memory_limit = 100});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
    EXPECT_THAT(error.what(), HasSubstr("1024 bytes of GPU memory"));
  }
}

TEST(DevicePlacement, WhatATwinDoesNotTakeStaysOnTheCpu) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kI64, {4, 4});
  graph.outputs = {add(graph, "MatMul", {x, x})};
  const DevicePlacement placement = place_on_device(graph);
  EXPECT_THAT(ops(graph, placement), ElementsAre("MatMul@cpu"));
  EXPECT_THAT(placement.without_twin, ElementsAre(HasSubstr("MatMul on this element type")));
}

}  // namespace
}  // namespace tandem
