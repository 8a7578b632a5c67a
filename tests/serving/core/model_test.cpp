#include "serving/core/model.h"
#include "runtime/ops/all_ops.h"

#include <gmock/gmock.h>

#include <cmath>
#include <thread>

#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

using testing::HasSubstr;

// y = x + x
Graph doubling(Dims dims) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, std::move(dims));
  graph.outputs = graph.add_node(newest_op("Add"), {x, x}, 1);
  return graph;
}

Tensor counting(const Shape& shape) {
  Tensor tensor(DType::kF32, shape);
  float next = 0;
  for (float& value : tensor.as<float>()) value = next++;
  return tensor;
}

void expect_doubled(Model& model, int lane, const Shape& shape) {
  const Tensor x = counting(shape);
  const std::vector<ConstTensorView> inputs{x.view()};
  const ConstTensorView y = model.run(lane, inputs)[0];
  ASSERT_EQ(y.shape, shape);
  for (int64_t i = 0; i < y.elements(); ++i) ASSERT_EQ(y.as<float>()[static_cast<size_t>(i)], 2.0f * static_cast<float>(i));
}

TEST(Model, KnowsItsBatch) {
  EXPECT_EQ(Model("m", 1, doubling({"n", 3}), {.max_batch = 32}).max_batch(), 32);
  EXPECT_EQ(Model("m", 1, doubling({Dim(), 3}), {.max_batch = 32}).max_batch(), 32);  // unnamed, yet in all inputs
  EXPECT_EQ(Model("m", 1, doubling({4, 3}), {}).max_batch(), 0);
  EXPECT_EQ(Model("m", 1, doubling({}), {}).max_batch(), 0);
}

TEST(Model, GrowsWithTheRequestsUpToItsLimit) {
  Model model("m", 1, doubling({"n", 3}), {.batch = 4, .max_batch = 100});
  const int64_t small = model.peak_bytes();
  for (const int64_t rows : {1, 4, 5, 0, 100, 2, 77}) expect_doubled(model, 0, {rows, 3});
  EXPECT_GT(model.peak_bytes(), small);
  const Tensor x(DType::kF32, {101, 3});
  const std::vector<ConstTensorView> inputs{x.view()};
  try {
    model.check_limits(inputs);
    ADD_FAILURE() << "101 rows of 100 were taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("inference request batch-size must be <= 100 for 'm' (the server's --max-batch): 101"));
  }
  EXPECT_THROW(model.run(0, inputs), Error);
  expect_doubled(model, 0, {3, 3});
}

TEST(Model, OtherDimensionsHaveALimitOfTheirOwn) {
  Model model("m", 1, doubling({"n", "length"}), {.max_dimension = 500});
  expect_doubled(model, 0, {2, 500});
  const Tensor x(DType::kF32, {1, 501});
  EXPECT_THROW(model.check_limits(std::vector<ConstTensorView>{x.view()}), Error);
}

// Convolutions with a number a channel between them, which a plan lays out anew: the plan's constants are not the graph's.
Graph image_network(Dims dims) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, std::move(dims));
  const Attributes padded = {{"pads", std::vector<int64_t>{1, 1, 1, 1}}};
  const auto weights = [&](const std::string& name, const Shape& shape) {
    Tensor tensor = counting(shape);
    for (float& value : tensor.as<float>()) value = std::sin(value);
    return graph.add_constant(name, tensor);
  };
  const ValueId narrow = graph.add_node(newest_op("Conv"), {x, weights("w1", {16, 3, 3, 3})}, 1, padded)[0];
  const ValueId gate = graph.add_node(newest_op("Sigmoid"), {narrow}, 1)[0];
  const ValueId scaled = graph.add_node(newest_op("Mul"), {gate, weights("scales", {1, 16, 1, 1})}, 1)[0];
  graph.outputs = graph.add_node(newest_op("Conv"), {scaled, weights("w2", {16, 16, 3, 3})}, 1, padded);
  return graph;
}

TEST(Model, GrowsWithTheSizesOfImages) {
  Model model("m", 1, image_network({"n", 3, "height", "width"}), {});
  for (const int64_t size : {8, 80, 200, 16}) {
    const Tensor x = counting({1, 3, size, size});
    Model fixed("m", 1, image_network({1, 3, size, size}), {});
    const std::vector<ConstTensorView> inputs{x.view()};
    const ConstTensorView y = model.run(0, inputs)[0], expected = fixed.run(0, inputs)[0];
    ASSERT_EQ(y.shape, expected.shape);
    for (int64_t i = 0; i < y.elements(); ++i)
      ASSERT_NEAR(y.as<float>()[static_cast<size_t>(i)], expected.as<float>()[static_cast<size_t>(i)], 1e-4f) << size << " at " << i;
  }
}

TEST(Model, LanesDoNotDisturbEachOther) {
  Model model("m", 1, doubling({"n", 3}), {.lanes = 4, .batch = 2});
  std::vector<std::thread> lanes;
  for (int lane = 0; lane < 4; ++lane)
    lanes.emplace_back([&model, lane] {
      for (int64_t i = 0; i < 300; ++i) expect_doubled(model, lane, {(i * 7 + lane) % 200 + 1, 3});
    });
  for (std::thread& lane : lanes) lane.join();
}

TEST(Signature, InputsOfDifferentBatchesAreNotBatched) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId a = graph.add_input("a", DType::kF32, {"n", 2}), b = graph.add_input("b", DType::kF32, {"m", 2});
  graph.outputs = {graph.add_node(newest_op("Identity"), {a}, 1)[0], graph.add_node(newest_op("Identity"), {b}, 1)[0]};
  EXPECT_FALSE(signature_of(graph).batched);
  EXPECT_EQ(Model("m", 1, graph, {}).max_batch(), 0);
}

}  // namespace
}  // namespace tandem
