// Means over the pixels of quantized images: made of bytes where nobody reads the numbers, with the bits of the exact sum.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/runtime/passes/run_both_ways.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

constexpr float kScale = 0.05f;
constexpr int64_t kZero = 17;

struct Subject {
  Graph graph;
  ValueId numbers = kNoValue;
};

Tensor byte(DType type, int64_t value) {
  return type == DType::kU8 ? Tensor::scalar(static_cast<uint8_t>(value)) : Tensor::scalar(static_cast<int8_t>(value));
}
Subject subject(Dims dims, DType type = DType::kU8, float scale = kScale) {
  Subject s;
  const ValueId x = s.graph.add_input("x", type, std::move(dims));
  s.numbers = add(s.graph, "DequantizeLinear",
                  {x, s.graph.add_constant("scale", Tensor::scalar(scale)), s.graph.add_constant("zero", byte(type, kZero))});
  return s;
}

ValueId mean(Graph& graph, ValueId x, std::vector<int64_t> axes, int64_t keepdims, bool as_attribute = false) {
  if (as_attribute) return graph.add_node(find_op("", "ReduceMean", 13), {x}, 1, {{"axes", axes}, {"keepdims", keepdims}})[0];
  Tensor list(DType::kI64, {static_cast<int64_t>(axes.size())});
  std::ranges::copy(axes, list.as<int64_t>().begin());
  return add(graph, "ReduceMean", {x, graph.add_constant("axes", list)}, {{"keepdims", keepdims}});
}

Tensor random_bytes(DType type, const Shape& shape) {
  std::mt19937 generator(7);
  Tensor x(type, shape);
  std::generate_n(x.view().data, x.elements(), [&] { return static_cast<std::byte>(generator()); });
  return x;
}

// By the definition: of each image and channel, from an exact sum.
std::vector<double> means_of(const Tensor& x, double scale) {
  const Shape& shape = x.shape();
  const int64_t channels = shape[shape.rank() - 1], pixels = shape.product(1, shape.rank() - 1);
  std::vector<int64_t> sums(static_cast<size_t>(shape[0] * channels));
  for (int64_t i = 0; i < x.elements(); ++i) {
    const auto at = static_cast<size_t>(i);
    sums[static_cast<size_t>(i / (pixels * channels) * channels + i % channels)] +=
        (x.dtype() == DType::kU8 ? int64_t{x.as<uint8_t>()[at]} : int64_t{x.as<int8_t>()[at]}) - kZero;
  }
  std::vector<double> means;
  for (const int64_t sum : sums) means.push_back(static_cast<double>(sum) * scale / static_cast<double>(pixels));
  return means;
}

void expect_means(const Tensor& y, const Tensor& x) {
  const std::vector<double> expected = means_of(x, double{kScale});
  ASSERT_EQ(y.elements(), static_cast<int64_t>(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i]))
      EXPECT_TRUE(std::isnan(y.as<float>()[i]));
    else
      EXPECT_EQ(y.as<float>()[i], static_cast<float>(expected[i])) << i;
  }
}

int changes_in(Graph graph) { return run_pass(graph, quantized_mean_fusion_pass, true).changes; }

int64_t count(const Graph& graph, std::string_view op) {
  return std::ranges::count_if(graph.nodes, [&](const Node& node) { return node.def->name == op; });
}

TEST(QuantizedMeans, AreMadeOfBytes) {
  for (const DType type : {DType::kU8, DType::kI8})
    for (const int64_t keepdims : {0, 1})
      for (const bool as_attribute : {false, true}) {
        Subject s = subject({2, 30, 20, 24}, type);
        s.graph.outputs = {mean(s.graph, s.numbers, {-2, 1}, keepdims, as_attribute)};
        EXPECT_EQ(changes_in(s.graph), 1);
        const std::vector<Tensor> inputs = {random_bytes(type, {2, 30, 20, 24})};
        const Tensor apart = run_planned(s.graph, inputs, {.disabled_passes = {"quantized_mean_fusion"}})[0];
        for (const int threads : {1, 3}) {
          const Tensor together = run_planned(s.graph, inputs, {.threads = threads})[0];
          ASSERT_EQ(apart.shape(), together.shape());
          expect_means(together, inputs[0]);
        }
        for (size_t i = 0; i < 48; ++i) EXPECT_NEAR(apart.as<float>()[i], means_of(inputs[0], double{kScale})[i], 1e-5);
      }
}

TEST(QuantizedMeans, OfSmallerImagesInOneSession) {
  Subject s = subject({"batch", "height", "width", 300});
  s.graph.outputs = {mean(s.graph, s.numbers, {1, 2}, 0)};
  Executor executor(make_plan(s.graph, {.threads = 2, .default_bound = 21}));
  EXPECT_EQ(count(executor.plan().graph, "QuantizedMean"), 1);
  for (const Shape& shape :
       {Shape{3, 21, 20, 300}, {1, 7, 7, 300}, {2, 1, 3, 300}, {1, 21, 21, 300}, {2, 0, 5, 300}, {0, 4, 4, 300}}) {
    const Tensor x = random_bytes(DType::kU8, shape);
    const std::vector<ConstTensorView> views = {x.view()};
    const Tensor y = Tensor::copy_of(executor.run(views)[0]);
    EXPECT_EQ(y.shape(), (Shape{shape[0], 300}));
    expect_means(y, x);
  }
}

// Scales that are powers of two: a mean of 4 pixels is exact, and ties are ties, which go to the even number.
TEST(QuantizedMeans, AreRoundedByTheQuantizeLinearBehind) {
  Subject s = subject({5, 2, 2, 64}, DType::kI8, 0.5f);
  s.graph.outputs = {add(s.graph, "QuantizeLinear",
                         {mean(s.graph, s.numbers, {1, 2}, 1), s.graph.add_constant("y_scale", Tensor::scalar(0.25f)),
                          s.graph.add_constant("y_zero", byte(DType::kI8, -9))})};
  EXPECT_EQ(changes_in(s.graph), 1);
  const Tensor x = random_bytes(DType::kI8, {5, 2, 2, 64}), y = run_planned(s.graph, {x}, {})[0];
  const std::vector<double> means = means_of(x, 0.5);
  int ties = 0;
  for (size_t i = 0; i < means.size(); ++i) {
    const double steps = means[i] / 0.25;
    ties += std::abs(steps - std::trunc(steps)) == 0.5;
    EXPECT_EQ(static_cast<double>(y.as<int8_t>()[i]), std::clamp(std::nearbyint(steps) - 9, -128.0, 127.0)) << i;
  }
  EXPECT_GT(ties, 10);
}

// As exporters write them: channels first, behind a convolution that the plan runs with channels last.
TEST(QuantizedMeans, OfGlobalAveragePool) {
  Graph graph;
  const auto number = [&](float value) { return graph.add_constant("scale", Tensor::scalar(value)); };
  const auto through = [&](ValueId x, float scale) {
    const ValueId bytes = add(graph, "QuantizeLinear", {x, number(scale), graph.add_constant("zero", byte(DType::kU8, 120))});
    return add(graph, "DequantizeLinear", {bytes, number(scale), graph.add_constant("zero", byte(DType::kU8, 120))});
  };
  const ValueId w =
      add(graph, "DequantizeLinear", {graph.add_constant("w", random_bytes(DType::kI8, {20, 20, 3, 3})), number(0.003f)});
  const ValueId x = through(graph.add_input("x", DType::kF32, {"batch", 20, 9, 7}), 0.008f);
  const ValueId image = through(add(graph, "Conv", {x, w}), 0.021f);
  graph.outputs = {through(add(graph, "GlobalAveragePool", {image}), 0.004f)};
  qdq_product_fusion_pass.apply(graph);
  const std::vector<Tensor> inputs = {random_tensor({3, 20, 9, 7}, 5)};
  EXPECT_EQ(count(make_plan(graph, {.default_bound = 3})->graph, "QuantizedMean"), 1) << to_text(graph);
  const Tensor together = run_planned(graph, inputs, {.default_bound = 3})[0];
  const Tensor apart = run_planned(graph, inputs, {.default_bound = 3, .disabled_passes = {"quantized_mean_fusion"}})[0];
  ASSERT_EQ(together.shape(), apart.shape());
  for (size_t i = 0; i < 60; ++i)
    EXPECT_NEAR(together.as<float>()[i], apart.as<float>()[i], 0.0041f);  // a step, where f32 sums tip a tie
}

TEST(QuantizedMeans, WhatStays) {
  for (const std::vector<int64_t>& axes : {std::vector<int64_t>{2, 3}, {1}, {1, 2, 3}, {0, 1}}) {
    Subject s = subject({2, 30, 20, 24});
    s.graph.outputs = {mean(s.graph, s.numbers, axes, 1)};
    EXPECT_EQ(changes_in(s.graph), 0);
  }
  Subject s = subject({2, 30, 20, 24});  // the numbers are returned too
  s.graph.outputs = {mean(s.graph, s.numbers, {1, 2}, 1), s.numbers};
  EXPECT_EQ(changes_in(s.graph), 0);
}

}  // namespace
}  // namespace tandem
