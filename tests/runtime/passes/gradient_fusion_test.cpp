#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "runtime/autodiff/autodiff.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

constexpr float kTolerance = 1e-5f;

int count(const Graph& graph, std::string_view op) {
  return static_cast<int>(std::ranges::count_if(graph.nodes, [&](const Node& node) { return node.def->name == op; }));
}

// The gradients of the sum of squares of `y` become the outputs.
void differentiate(Graph& graph, ValueId y, std::vector<ValueId> with_respect_to) {
  const ValueId loss = add(graph, "ReduceSumSquare", {y}, {{"keepdims", int64_t{0}}});
  graph.outputs = append_gradients(graph, loss, with_respect_to);
}

// The lines that come after the loss.
std::string backward_text(const Graph& graph) {
  const std::string text = to_text(graph);
  return text.substr(std::min(text.size(), text.find("  %Gemm.grad.")));
}

TEST(GradientFusion, TwoDenseLayers) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 5});
  const ValueId w1 = graph.add_state("w1", random_tensor({4, 5}, 1)), b1 = graph.add_state("b1", random_tensor({4}, 2));
  const ValueId w2 = graph.add_state("w2", random_tensor({3, 4}, 3)), b2 = graph.add_state("b2", random_tensor({3}, 4));
  const ValueId h = add(graph, "Relu", {add(graph, "Gemm", {x, w1, b1}, {{"transB", int64_t{1}}})});
  differentiate(graph, add(graph, "Gemm", {h, w2, b2}, {{"transB", int64_t{1}}}), {w1, b1, w2, b2});
  EXPECT_EQ(backward_text(graph),
            "  %Gemm.grad.Gemm: f32[batch, 4] = Gemm(%ReduceSumSquare.grad.Mul.1, %w2) {alpha=1, transA=0, transB=0}\n"
            "  %Gemm.grad.Gemm.1: f32[3, 4] = Gemm(%ReduceSumSquare.grad.Mul.1, %Relu) {alpha=1, transA=1, transB=0}\n"
            "  %Gemm.grad.ReduceToShape: f32[3] = tandem.ReduceToShape(%ReduceSumSquare.grad.Mul.1, %b2)\n"
            "  %Relu.grad.ReluGrad: f32[batch, 4] = tandem.ReluGrad(%Relu, %Gemm.grad.Gemm)\n"
            "  %Gemm.grad.Gemm.2: f32[4, 5] = Gemm(%Relu.grad.ReluGrad, %x) {alpha=1, transA=1, transB=0}\n"
            "  %Gemm.grad.ReduceToShape.1: f32[4] = tandem.ReduceToShape(%Relu.grad.ReluGrad, %b1)\n"
            "  return %Gemm.grad.Gemm.2, %Gemm.grad.ReduceToShape.1, %Gemm.grad.Gemm.1, %Gemm.grad.ReduceToShape\n"
            "}\n");
  EXPECT_EQ(apply_and_compare(gradient_fusion_pass, graph, kTolerance), 3);
  EXPECT_EQ(backward_text(graph),
            "  %Gemm.grad.Gemm.1: f32[3, 4], %Gemm.grad.ReduceToShape: f32[3] = "
            "tandem.GemmGrad(%ReduceSumSquare.grad.Mul.1, %Relu) {alpha=1, sums=\"A\", transA=1, transB=0}\n"
            "  %Relu.grad.ReluGrad: f32[batch, 4] = tandem.GemmGrad(%ReduceSumSquare.grad.Mul.1, %w2, %Relu) "
            "{alpha=1, slope=\"Relu\", transA=0, transB=0}\n"
            "  %Gemm.grad.Gemm.2: f32[4, 5], %Gemm.grad.ReduceToShape.1: f32[4] = "
            "tandem.GemmGrad(%Relu.grad.ReluGrad, %x) {alpha=1, sums=\"A\", transA=1, transB=0}\n"
            "  return %Gemm.grad.Gemm.2, %Gemm.grad.ReduceToShape.1, %Gemm.grad.Gemm.1, %Gemm.grad.ReduceToShape\n"
            "}\n");
}

// Every activation that has a slope, by Gemm and by MatMul with a bias added, the latter on rows with leading axes.
TEST(GradientFusion, EachSlopeAndBothProducts) {
  for (const char* activation : {"Relu", "Sigmoid", "Tanh", "Gelu", "GeluTanh"})
    for (const bool gemm : {false, true}) {
      SCOPED_TRACE(std::string(activation) + (gemm ? " Gemm" : " MatMul"));
      Graph graph;
      const ValueId x = graph.add_input("x", DType::kF32, gemm ? Dims{"batch", 5} : Dims{"batch", 7, 5});
      const ValueId w1 = graph.add_state("w1", random_tensor({5, 4}, 1)), b1 = graph.add_state("b1", random_tensor({4}, 2));
      const ValueId w2 = graph.add_state("w2", random_tensor({4, 3}, 3)), b2 = graph.add_state("b2", random_tensor({3}, 4));
      const auto dense = [&](ValueId in, ValueId w, ValueId b) {
        return gemm ? add(graph, "Gemm", {in, w, b}) : add(graph, "Add", {add(graph, "MatMul", {in, w}), b});
      };
      const bool by_tanh = activation == std::string("GeluTanh");
      const ValueId h = add(graph, by_tanh ? "Gelu" : activation, {dense(x, w1, b1)},
                            by_tanh ? Attributes{{"approximate", std::string("tanh")}} : Attributes{});
      differentiate(graph, dense(h, w2, b2), {w1, b1, w2, b2});
      EXPECT_EQ(apply_and_compare(gradient_fusion_pass, graph, kTolerance), 3);
      EXPECT_EQ(count(graph, "GemmGrad"), 3);
      EXPECT_EQ(count(graph, "ReduceToShape"), 0);
    }
}

ValueId product(Graph& graph, ValueId a, ValueId b) { return add(graph, "MatMul", {a, b}, {{"transB", int64_t{1}}}, "tandem"); }

TEST(GradientFusion, LeavesAloneWhatOthersRead) {
  Graph graph;
  const ValueId dy = graph.add_input("dy", DType::kF32, {"batch", 3}), y = graph.add_input("y", DType::kF32, {"batch", 4});
  const ValueId w = graph.add_constant("w", random_tensor({4, 3}, 1));
  const ValueId read_twice = product(graph, dy, w), shown = product(graph, dy, w);
  graph.outputs = {add(graph, "Add", {add(graph, "ReluGrad", {y, read_twice}, {}, "tandem"), read_twice}), shown,
                   add(graph, "ReluGrad", {y, shown}, {}, "tandem")};
  EXPECT_EQ(apply_and_compare(gradient_fusion_pass, graph), 0);
}

TEST(GradientFusion, LeavesAloneWhatIsNoSuchProduct) {
  Graph graph;
  const ValueId a = graph.add_input("a", DType::kF32, {3, 4, 5}), b = graph.add_input("b", DType::kF32, {3, 4, 2});
  const ValueId y = graph.add_input("y", DType::kF32, {3, 5, 2}), c = graph.add_input("c", DType::kF32, {2});
  const ValueId m = graph.add_input("m", DType::kF32, {5, 4}), v = graph.add_input("v", DType::kF32, {4, 2});
  const ValueId z = graph.add_input("z", DType::kF32, {5, 2}), like = graph.add_input("like", DType::kF32, {1, 2});
  const auto slope = [&](ValueId saved, ValueId dy) { return add(graph, "ReluGrad", {saved, dy}, {}, "tandem"); };
  graph.outputs = {
      slope(y, add(graph, "MatMul", {a, b}, {{"transA", int64_t{1}}}, "tandem")),  // a batch of them
      slope(z, add(graph, "Gemm", {m, v, c})),                                     // something is added
      slope(z, add(graph, "FusedGemm", {m, v}, {{"activation", std::string("Tanh")}}, "tandem")),
      add(graph, "LeakyReluGrad", {z, add(graph, "Gemm", {m, v})}, {{"alpha", 0.1f}}, "tandem"),  // a slope with a parameter
      add(graph, "MatMul", {m, v}),  // v is summed over k, but to another shape
      add(graph, "ReduceToShape", {v, like}, {}, "tandem"),
      add(graph, "MatMul", {v, c}),                       // c is no matrix
      add(graph, "ReduceToShape", {b, c}, {}, "tandem"),  // nobody multiplies b so
  };
  EXPECT_EQ(apply_and_compare(gradient_fusion_pass, graph, kTolerance), 0);
}

// The sums would be made where the product stands, after what reads them.
TEST(GradientFusion, LeavesAloneSumsThatAreNeededBefore) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {4, 3}), dy = graph.add_input("dy", DType::kF32, {4, 2});
  const ValueId b = graph.add_input("b", DType::kF32, {2});
  const ValueId sums = add(graph, "ReduceToShape", {dy, b}, {}, "tandem");
  const ValueId early = add(graph, "Mul", {sums, sums});
  graph.outputs = {early, add(graph, "Gemm", {x, dy}, {{"transA", int64_t{1}}})};
  EXPECT_EQ(apply_and_compare(gradient_fusion_pass, graph, kTolerance), 0);
  graph.outputs = {sums, graph.outputs[1]};
  graph.nodes.erase(graph.nodes.begin() + 1);
  EXPECT_EQ(apply_and_compare(gradient_fusion_pass, graph, kTolerance), 1);
}

// The product would move past the update of a weight that it reads.
TEST(GradientFusion, DoesNotCarryAReadPastAnUpdate) {
  Graph graph;
  const ValueId dy = graph.add_input("dy", DType::kF32, {1, 1}), y = graph.add_input("y", DType::kF32, {1, 1});
  const ValueId w = graph.add_state("w", Tensor::of<float>({1, 1}, {3}));
  const ValueId dx = product(graph, dy, w);
  add(graph, "Assign", {w, dy}, {}, "tandem");
  graph.outputs = {add(graph, "ReluGrad", {y, dx}, {}, "tandem")};
  EXPECT_EQ(apply_and_compare(gradient_fusion_pass, graph), 0);
}

}  // namespace
}  // namespace tandem
