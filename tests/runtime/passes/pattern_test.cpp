#include "runtime/passes/pattern.h"

#include <gtest/gtest.h>

#include "kernels/base/half.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

TEST(Pattern, ReadsNumbersOfEveryFloatTypeAndShape) {
  Graph graph;
  const ValueId root = constant(graph, "root", {}, {0.79788f}), one_by_one = constant(graph, "one", {1, 1}, {3}),
                two = constant(graph, "two", {2}, {3, 3}), half = graph.add_constant("half", Tensor::of<F16>({1}, {to_f16(0.044715f)})),
                integer = graph.add_constant("integer", Tensor::of<int64_t>({}, {2})), x = graph.add_input("x", DType::kF32, {1});
  const PatternGraph pattern(graph);
  EXPECT_TRUE(pattern.is_number(root, 0.7978845608));
  EXPECT_FALSE(pattern.is_number(root, 0.798));
  EXPECT_TRUE(pattern.is_number(one_by_one, 3));
  EXPECT_TRUE(pattern.is_number(half, 0.044715));
  EXPECT_TRUE(pattern.is_number(integer, 2));
  EXPECT_FALSE(pattern.number(two) || pattern.number(x) || pattern.number(kNoValue));
}

TEST(Pattern, TakesAProductApart) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"n"}), four = constant(graph, "four", {}, {4}), three = constant(graph, "three", {}, {3});
  const ValueId gate = add(graph, "Erf", {x});
  const ValueId y = add(graph, "Mul", {three, add(graph, "Mul", {add(graph, "Div", {x, four}), gate})});
  const PatternGraph pattern(graph);
  const Product whole = pattern.product(y, kNoValue);
  EXPECT_EQ(whole.number, 0.75);
  EXPECT_EQ(whole.factors, (std::vector<ValueId>{x, gate}));
  EXPECT_EQ(pattern.product(y, y).factors, std::vector<ValueId>{y});
  EXPECT_EQ(pattern.product(add(graph, "Div", {four, x}), kNoValue).number, 1);
}

TEST(Pattern, ComparesShapesForCertain) {
  Graph graph;
  const ValueId a = graph.add_input("a", DType::kF32, {"n", 2}), b = graph.add_input("b", DType::kF32, {"n", 2}),
                c = graph.add_input("c", DType::kF32, {Dim(), 2}), d = graph.add_input("d", DType::kF32, {Dim(), 2});
  const PatternGraph pattern(graph);
  EXPECT_TRUE(pattern.same_shape(a, b));
  EXPECT_TRUE(pattern.same_shape(c, c));
  EXPECT_FALSE(pattern.same_shape(c, d));
  EXPECT_FALSE(pattern.same_shape(a, c));
}

TEST(Pattern, ACutHasNoOtherReaders) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"n"});
  const ValueId inner = add(graph, "Exp", {x}), y = add(graph, "Mul", {inner, inner});
  graph.outputs = {y};
  EXPECT_EQ(PatternGraph(graph).cut(1, {x}).inner, std::vector<size_t>{0});
  EXPECT_TRUE(PatternGraph(graph).cut(1, {x}));
  add(graph, "Neg", {inner});
  EXPECT_EQ(PatternGraph(graph).cut(1, {x}).obstacle, "Exp is also read outside of the pattern");
  graph.outputs = {y, inner};
  EXPECT_EQ(PatternGraph(graph).cut(1, {x}).obstacle, "Exp is an output of the graph");
  EXPECT_TRUE(PatternGraph(graph).cut(1, {inner}));
}

TEST(Pattern, ACutDoesNotCrossAnUpdate) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {1}), w = graph.add_state("w", Tensor::of<float>({1}, {3}));
  const ValueId inner = add(graph, "Exp", {w});
  add(graph, "Assign", {w, x}, {}, "tandem");
  graph.outputs = {add(graph, "Mul", {inner, x})};
  EXPECT_EQ(PatternGraph(graph).cut(2, {x}).obstacle, "a state changes between the pattern's nodes");
}

TEST(Pattern, EndsAtItsLimit) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"n"});
  ValueId y = x;
  for (int i = 0; i < 100; ++i) y = add(graph, "Exp", {y});
  graph.outputs = {y};
  EXPECT_FALSE(PatternGraph(graph).cut(99, {x}));
}

TEST(Pattern, PutsNodesInPlace) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"n"});
  const ValueId inner = add(graph, "Exp", {x}), y = add(graph, "Log", {inner});
  graph.outputs = {add(graph, "Neg", {y})};
  PatternGraph pattern(graph);
  const Cut cut = pattern.cut(1, {x});
  const ValueId absolute = pattern.emit_before(1, newest_op("Abs"), {x});
  pattern.replace(1, cut, {.def = &newest_op("Tanh"), .name = "", .inputs = {absolute}, .outputs = {}, .attributes = {}});
  pattern.finish();
  verify(graph);
  EXPECT_EQ(to_text(graph),
            "graph main {\n"
            "  input %x: f32[n]\n"
            "  %Log.1: f32[n] = Abs(%x)\n"
            "  %Log: f32[n] = Tanh(%Log.1)\n"
            "  %Neg: f32[n] = Neg(%Log)\n"
            "  return %Neg\n"
            "}\n");
}

}  // namespace
}  // namespace tandem
