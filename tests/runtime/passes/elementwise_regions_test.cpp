// What becomes a region and what must not, and that the bits stay what they were.
#include <gtest/gtest.h>

#include "tests/runtime/passes/run_both_ways.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

// Applies the pass after a run both ways. Returns the number of regions.
int join(Graph& graph, const std::vector<Tensor>& inputs) {
  expect_same_bits(graph, inputs);
  const int regions = run_pass(graph, elementwise_regions_pass, true).changes;
  return regions;
}
int join(Graph& graph) { return join(graph, random_inputs(graph)); }

const Graph& body(const Graph& graph, size_t node) { return *std::get<Subgraph>(graph.nodes.at(node).attributes.at("body")); }

TEST(ElementwiseRegions, AChainBecomesOneNode) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 5}), z = graph.add_input("z", DType::kF32, {"batch", 1});
  const ValueId product = add(graph, "Mul", {x, add(graph, "Sigmoid", {x})});
  graph.outputs = {add(graph, "Add", {add(graph, "Mul", {product, constant(graph, "half", {}, {0.5f})}), z})};
  EXPECT_EQ(join(graph), 1);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[batch, 5]\n"
            "  input %z: f32[batch, 1]\n"
            "  constant %half: f32[] {0.5}\n"
            "  %Add: f32[batch, 5] = tandem.Region(%x, %half, %z) {body=graph Sigmoid+Mul+Mul+Add of 4 nodes}\n"
            "  return %Add\n"
            "}\n");
  EXPECT_EQ(to_text(body(graph, 0)),
            "graph Sigmoid+Mul+Mul+Add {\n"
            "  input %x: f32[batch, 5]\n"
            "  input %half: f32[]\n"
            "  input %z: f32[batch, 1]\n"
            "  %Sigmoid: f32[batch, 5] = Sigmoid(%x)\n"
            "  %Mul: f32[batch, 5] = Mul(%x, %Sigmoid)\n"
            "  %Mul.1: f32[batch, 5] = Mul(%Mul, %half)\n"
            "  %Add: f32[batch, 5] = Add(%Mul.1, %z)\n"
            "  return %Add\n"
            "}\n");
}

TEST(ElementwiseRegions, ValuesReadElsewhereOrReturnedAreOutputsToo) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 3});
  const ValueId shown = add(graph, "Neg", {x}), last = add(graph, "Exp", {add(graph, "Abs", {shown})});
  const ValueId read = add(graph, "Transpose", {shown});
  graph.outputs = {shown, last, read};
  EXPECT_EQ(join(graph), 1);
  ASSERT_EQ(graph.nodes.size(), 2u);
  EXPECT_EQ(graph.nodes[0].outputs, (std::vector<ValueId>{last, shown}));  // the last result first
}

TEST(ElementwiseRegions, SeveralChainsThatMeetAreOne) {
  Graph graph;
  const ValueId a = graph.add_input("a", DType::kF32, {7}), b = graph.add_input("b", DType::kF32, {7});
  const ValueId left = add(graph, "Exp", {add(graph, "Neg", {a})}), right = add(graph, "Tanh", {add(graph, "Abs", {b})});
  graph.outputs = {add(graph, "Add", {left, right})};
  EXPECT_EQ(join(graph), 1);
  EXPECT_EQ(graph.nodes.size(), 1u);
}

// x -> e -> sum -> quotient, and e -> quotient: with both of the outer nodes in one region it would wait for itself.
TEST(ElementwiseRegions, APathOutOfARegionAndBackKeepsItApart) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {4, 6});
  const ValueId e = add(graph, "Exp", {add(graph, "Neg", {x})}), sum = add(graph, "ReduceSum", {e}, {{"keepdims", int64_t{1}}});
  graph.outputs = {add(graph, "Neg", {add(graph, "Div", {e, sum})})};
  EXPECT_EQ(join(graph), 2);
  EXPECT_EQ(graph.nodes.size(), 3u);
}

// The values in between are of another shape: regions of their own, not of the region around.
TEST(ElementwiseRegions, SmallerShapesAreNotComputedOverAndOver) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {4, 6}), row = graph.add_input("row", DType::kF32, {6});
  const ValueId small = add(graph, "Exp", {add(graph, "Neg", {row})});
  graph.outputs = {add(graph, "Add", {add(graph, "Neg", {x}), small})};
  EXPECT_EQ(join(graph), 2);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(ElementwiseRegions, OpenDimensionsMustBeTheSameForCertain) {
  Graph graph;
  const ValueId a = graph.add_input("a", DType::kF32, {"n", 6}), b = graph.add_input("b", DType::kF32, {"m", 6});
  const ValueId sum = add(graph, "Add", {add(graph, "Neg", {a}), add(graph, "Abs", {b})});  // m or n may be 1
  graph.outputs = {add(graph, "Tanh", {add(graph, "Exp", {sum})})};
  EXPECT_EQ(join(graph), 1);
  EXPECT_EQ(graph.nodes.size(), 4u);
  EXPECT_EQ(graph.nodes.back().def->name, "Region");  // whatever the shape of the sum is, it stays
}

TEST(ElementwiseRegions, ShapesThatOnlyTheRunKnows) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {3, 4});
  const ValueId where = add(graph, "NonZero", {add(graph, "Floor", {x})});
  const ValueId number = add(graph, "Cast", {where}, {{"to", static_cast<int64_t>(DType::kF32)}});
  graph.outputs = {add(graph, "Add", {add(graph, "Exp", {number}), add(graph, "Neg", {number})})};
  EXPECT_EQ(join(graph), 1);
  EXPECT_EQ(graph.nodes.size(), 3u);
}

TEST(ElementwiseRegions, ShapesAreStillFollowedFromNodeToNode) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"n", 4});
  const auto numbers = [&](std::string name, const std::vector<int64_t>& values) {
    return graph.add_constant(std::move(name), Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  };
  const ValueId doubled = add(graph, "Mul", {add(graph, "Shape", {x}), numbers("two", {2, 1})});
  const ValueId wanted = add(graph, "Div", {add(graph, "Add", {doubled, numbers("none", {0, 0})}), numbers("halves", {1, 2})});
  graph.outputs = {add(graph, "Reshape", {x, wanted})};
  EXPECT_EQ(join(graph), 0);
}

TEST(ElementwiseRegions, TypesChangeOnTheWay) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {5, 9});
  const auto cast = [&](ValueId id, DType to) { return add(graph, "Cast", {id}, {{"to", static_cast<int64_t>(to)}}); };
  const ValueId four = constant(graph, "four", {}, {4});
  const ValueId whole = cast(add(graph, "Mul", {x, four}), DType::kI64);
  const ValueId odd = cast(add(graph, "Mod", {whole, graph.add_constant("two", Tensor::scalar<int64_t>(2))}), DType::kBool);
  graph.outputs = {add(graph, "Where", {odd, x, cast(odd, DType::kF32)}), add(graph, "Not", {odd})};
  EXPECT_EQ(join(graph), 1);
  EXPECT_EQ(graph.nodes.size(), 1u);
}

TEST(ElementwiseRegions, SixteenBitsAreWidenedInsideTheTile) {
  for (const DType half : {DType::kF16, DType::kBF16}) {
    Graph graph;
    const ValueId x = graph.add_input("x", half, {"n", 33});
    graph.outputs = {add(graph, "Exp", {add(graph, "Mul", {x, add(graph, "Sigmoid", {x})})})};
    Tensor input(half, {3, 33});
    for (size_t i = 0; i < 99; ++i)
      if (half == DType::kF16)
        input.as<F16>()[i] = to_f16(static_cast<float>(i) * 0.03f - 1);
      else
        input.as<BF16>()[i] = to_bf16(static_cast<float>(i) * 0.03f - 1);
    expect_same_bits(graph, {input});
    const auto plan = make_plan(graph, {});
    ASSERT_EQ(plan->graph.nodes.size(), 1u);
    EXPECT_EQ(body(plan->graph, 0).nodes.size(), 9u);  // x to f32, and three ops with the casts behind them
  }
}

TEST(ElementwiseRegions, DoesNotCarryAReadPastAnUpdate) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {3}), w = graph.add_state("w", Tensor::of<float>({3}, {3, 4, 5}));
  const ValueId y = add(graph, "Mul", {x, w});
  add(graph, "Assign", {w, x}, {}, "tandem");
  graph.outputs = {add(graph, "Exp", {y})};
  EXPECT_EQ(join(graph), 0);
}

// A sum of two products waits for a third one, or not: waiting would keep both of the first alive.
TEST(ElementwiseRegions, DoesNotWaitAtTheCostOfMemory) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {16, 16});
  const auto product = [&](unsigned seed) { return add(graph, "MatMul", {x, graph.add_constant("w", random_tensor({16, 16}, seed))}); };
  const ValueId first = product(1), second = product(2);
  const ValueId sum = add(graph, "Add", {first, second});
  graph.outputs = {add(graph, "Relu", {add(graph, "Add", {sum, product(3)})})};
  EXPECT_EQ(join(graph), 1);
  EXPECT_EQ(graph.nodes.size(), 5u);

  Graph other;
  const ValueId y = other.add_input("x", DType::kF32, {16, 16}), w = other.add_constant("w", random_tensor({16, 16}, 1));
  const ValueId gate = add(other, "Sigmoid", {add(other, "MatMul", {y, w})}), value = add(other, "MatMul", {w, y});
  other.outputs = {add(other, "Mul", {gate, value})};  // one tensor waits for the other in any case
  EXPECT_EQ(join(other), 1);
}

TEST(ElementwiseRegions, NothingToJoin) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {3}), text = graph.add_input("text", DType::kString, {3});
  const ValueId is_a = add(graph, "Equal", {text, graph.add_constant("a", Tensor::strings({}, std::vector<std::string>{"a"}))});
  graph.outputs = {x, add(graph, "Neg", {x}), add(graph, "Where", {is_a, text, text})};
  EXPECT_EQ(run_pass(graph, elementwise_regions_pass, true).changes, 0);
}

TEST(ElementwiseRegions, OperandsOfOlderDefinitions) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {2, 3, 4});
  const ValueId per_channel = constant(graph, "b", {3}, {1, 2, 3});
  const ValueId sum = graph.add_node(find_op("", "Add", 6), {x, per_channel}, 1, {{"axis", int64_t{1}}, {"broadcast", int64_t{1}}})[0];
  const ValueId clipped = graph.add_node(find_op("", "Clip", 6), {sum}, 1, {{"max", 2.5f}})[0];
  graph.outputs = {graph.add_node(find_op("", "Relu", 6), {clipped}, 1)[0]};
  EXPECT_EQ(join(graph), 1);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(ElementwiseRegions, AnAbsentBoundStaysAbsent) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {40});
  const ValueId clipped = add(graph, "Clip", {x, kNoValue, constant(graph, "high", {}, {0.25f})});
  graph.outputs = {add(graph, "Clip", {add(graph, "Neg", {clipped}), constant(graph, "low", {}, {-0.125f})})};
  EXPECT_EQ(join(graph), 1);
}

TEST(ElementwiseRegions, TheOutputTakesOverAnInput) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {64, 64});
  const ValueId turned = add(graph, "Transpose", {x}), twice = add(graph, "Transpose", {turned});
  graph.outputs = {add(graph, "Add", {add(graph, "Exp", {turned}), add(graph, "Neg", {turned})}),
                   add(graph, "Sum", {add(graph, "Exp", {twice}), x, twice})};  // Sum writes before it has read all
  expect_same_bits(graph, random_inputs(graph));
  const auto plan = make_plan(graph, {});
  EXPECT_EQ(plan->host.arena, 2 * 64 * 64 * 4 + plan->host.scratch);
}

TEST(ElementwiseRegions, ALongChainIsCutAndTakesLinearTime) {
  Graph graph;
  ValueId id = graph.add_input("x", DType::kF32, {3});
  constexpr int kLength = 100'000;
  for (int i = 0; i < kLength; ++i) id = add(graph, i % 2 ? "Neg" : "Tanh", {id});
  graph.outputs = {id};
  EXPECT_EQ(run_pass(graph, elementwise_regions_pass, false).changes, (kLength + 127) / 128);
}

TEST(ElementwiseRegions, WideSumsStayWithinTheLimitOfInputs) {
  Graph graph;
  ValueId sum = graph.add_input("x", DType::kF32, {3});
  for (int i = 0; i < 200; ++i) sum = add(graph, "Add", {sum, graph.add_input("y" + std::to_string(i), DType::kF32, {3})});
  graph.outputs = {sum};
  EXPECT_GT(join(graph), 2);
  for (const Node& node : graph.nodes) EXPECT_LE(node.inputs.size(), 64u);
}

}  // namespace
}  // namespace tandem
