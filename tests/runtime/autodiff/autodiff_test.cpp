// Whole-graph gradients against closed forms and central differences; each op's own gradient is checked by the conformance test.
#include "runtime/autodiff/autodiff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/exec/executor.h"
#include "runtime/ops/all_ops.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using testing::add;
using ::testing::HasSubstr;

std::vector<double> run(const Graph& graph, std::vector<Tensor> inputs) {
  Executor executor(make_plan(graph, {}));
  std::vector<ConstTensorView> views;
  for (const Tensor& tensor : inputs) views.push_back(tensor.view());
  const auto values = executor.run(views)[0].as<double>();
  return {values.begin(), values.end()};
}

TEST(Autodiff, SumsOverAllUses) {
  // f = sum(x * x + x): df/dx = 2x + 1, with x used three times.
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF64, {3});
  const ValueId y = add(graph, "Add", {add(graph, "Mul", {x, x}), x});
  const ValueId loss = add(graph, "ReduceSum", {y}, {{"keepdims", int64_t{0}}});
  const ValueId targets[] = {x};
  graph.outputs = {append_gradients(graph, loss, targets)[0]};
  verify(graph);
  EXPECT_EQ(run(graph, {Tensor::of<double>({3}, {1, -2, 0.5})}), (std::vector<double>{3, -3, 2}));
}

TEST(Autodiff, BroadcastOperandsGetTheSumOverTheirCopies) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF64, {"batch", 3}), b = graph.add_input("b", DType::kF64, {1});
  const ValueId loss = add(graph, "ReduceSum", {add(graph, "Mul", {x, b})}, {{"keepdims", int64_t{0}}});
  const ValueId targets[] = {b};
  graph.outputs = {append_gradients(graph, loss, targets)[0]};
  EXPECT_EQ(run(graph, {Tensor::of<double>({2, 3}, {1, 2, 3, 4, 5, 6}), Tensor::of<double>({1}, {7})}),
            (std::vector<double>{21}));
}

TEST(Autodiff, AnUnrelatedTargetHasNoGradient) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF64, {3}), other = graph.add_input("other", DType::kF64, {3});
  const ValueId loss = add(graph, "ReduceSum", {x}, {{"keepdims", int64_t{0}}});
  const ValueId targets[] = {x, other};
  const auto grads = append_gradients(graph, loss, targets);
  EXPECT_NE(grads[0], kNoValue);
  EXPECT_EQ(grads[1], kNoValue);
}

TEST(Autodiff, ListsEveryOpWithoutAGradient) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF64, {3});
  const ValueId y = add(graph, "Floor", {add(graph, "Sign", {x})});
  const ValueId loss = add(graph, "ReduceSum", {y}, {{"keepdims", int64_t{0}}});
  const ValueId targets[] = {x};
  try {
    const auto grads = append_gradients(graph, loss, targets);
    // Floor and Sign may define a gradient of zero instead of none; then there is nothing to list.
    EXPECT_TRUE(newest_op("Floor").gradient != nullptr && newest_op("Sign").gradient != nullptr) << grads.size();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("Floor, Sign"));
  }
}

TEST(Autodiff, TheLossMustBeAScalar) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF64, {3});
  const ValueId y = add(graph, "Exp", {x});
  const ValueId targets[] = {x};
  EXPECT_THROW(append_gradients(graph, y, targets), Error);
}

TEST(Autodiff, ATwoLayerNetworkAgreesWithCentralDifferences) {
  const auto build = [](bool gradient) {
    Graph graph;
    const ValueId x = graph.add_input("x", DType::kF64, {4, 3}), w = graph.add_input("w", DType::kF64, {5, 3});
    const ValueId v = graph.add_constant("v", Tensor::of<double>({2, 5}, {1, -1, 2, 0.5, 0.3, -0.2, 1, 1, -1, 0.7}));
    const ValueId labels = graph.add_constant("labels", Tensor::of<int64_t>({4}, {0, 1, 1, 0}));
    const ValueId h = add(graph, "Tanh", {add(graph, "Gemm", {x, w}, {{"transB", int64_t{1}}})});
    const ValueId loss = add(graph, "SoftmaxCrossEntropyLoss", {add(graph, "Gemm", {h, v}, {{"transB", int64_t{1}}}), labels});
    const ValueId targets[] = {w};
    graph.outputs = {gradient ? append_gradients(graph, loss, targets)[0] : loss};
    return graph;
  };
  Tensor x(DType::kF64, {4, 3}), w(DType::kF64, {5, 3});
  for (size_t i = 0; i < 12; ++i) x.as<double>()[i] = std::sin(1.0 + static_cast<double>(i));
  for (size_t i = 0; i < 15; ++i) w.as<double>()[i] = std::cos(2.0 * static_cast<double>(i));
  const std::vector<double> analytic = run(build(true), {x, w});
  const Graph forward = build(false);
  for (size_t i = 0; i < analytic.size(); ++i) {
    const double h = 1e-6, at = w.as<double>()[i];
    w.as<double>()[i] = at + h;
    const double above = run(forward, {x, w})[0];
    w.as<double>()[i] = at - h;
    const double below = run(forward, {x, w})[0];
    w.as<double>()[i] = at;
    EXPECT_NEAR(analytic[i], (above - below) / (2 * h), 1e-8) << i;
  }
}

}  // namespace
}  // namespace tandem
