#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;
using Ints = std::vector<int64_t>;

// As Llama is exported; each part can be spoiled.
struct Rotary {
  Graph graph;
  ValueId x = graph.add_input("x", DType::kF32, {"batch", 2, "rows", 6});
  ValueId cos = graph.add_input("cos", DType::kF32, {1, 1, "rows", 6}), sin = graph.add_input("sin", DType::kF32, {1, 1, "rows", 6});
  int64_t middle = 3, axis = -1;
  ValueId inner = kNoValue;

  ValueId of(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return add(graph, op, std::move(inputs), std::move(attributes));
  }
  ValueId number(int64_t value) { return graph.add_constant("at", Tensor::of<int64_t>({1}, {value})); }
  ValueId part(int64_t from, int64_t to) { return of("Slice", {x, number(from), number(to), number(axis), number(1)}); }
  ValueId turned() {
    inner = of("Neg", {part(middle, std::numeric_limits<int64_t>::max())});
    return of("Concat", {inner, part(0, middle)}, {{"axis", axis}});
  }
  ValueId embedded() { return of("Add", {of("Mul", {x, cos}), of("Mul", {turned(), sin})}); }

  int fuse(std::vector<ValueId> outputs) {
    graph.outputs = std::move(outputs);
    return apply_and_compare(rotary_fusion_pass, graph, 1e-6f);
  }
};

TEST(RotaryFusion, HalvesBySlice) {
  Rotary r;
  EXPECT_EQ(r.fuse({r.embedded()}), 1);
  EXPECT_EQ(to_text(r.graph),
            "graph main {\n"
            "  input %x: f32[batch, 2, rows, 6]\n"
            "  input %cos: f32[1, 1, rows, 6]\n"
            "  input %sin: f32[1, 1, rows, 6]\n"
            "  %Add: f32[batch, 2, rows, 6] = tandem.RotateHalves(%x, %cos, %sin)\n"
            "  return %Add\n"
            "}\n");
}

TEST(RotaryFusion, HalvesBySplitAndOperandsTheOtherWayRound) {
  Rotary r;
  const auto halves = r.graph.add_node(newest_op("Split"), {r.x}, 2, {{"axis", int64_t{3}}, {"num_outputs", int64_t{2}}});
  const ValueId turned = r.of("Concat", {r.of("Neg", {halves[1]}), halves[0]}, {{"axis", int64_t{3}}});
  EXPECT_EQ(r.fuse({r.of("Add", {r.of("Mul", {r.sin, turned}), r.of("Mul", {r.cos, r.x})})}), 1);
  EXPECT_EQ(r.graph.nodes.size(), 1u);
}

TEST(RotaryFusion, WhatItIsNot) {
  Rotary uneven;
  uneven.middle = 2;
  EXPECT_EQ(uneven.fuse({uneven.embedded()}), 0);
  Rotary returned;
  const ValueId y = returned.embedded();
  EXPECT_EQ(returned.fuse({y, returned.inner}), 0);
  Rotary swapped;  // (-first half, second half)
  const ValueId other = swapped.of("Concat", {swapped.of("Neg", {swapped.part(0, 3)}), swapped.part(3, 6)}, {{"axis", int64_t{-1}}});
  EXPECT_EQ(swapped.fuse({swapped.of("Add", {swapped.of("Mul", {swapped.x, swapped.cos}), swapped.of("Mul", {other, swapped.sin})})}), 0);
  Rotary wide;  // angles make x larger
  wide.graph.value(wide.cos).type.dims = Dims{3, 1, "rows", 6};
  wide.graph.value(wide.sin).type.dims = Dims{3, 1, "rows", 6};
  EXPECT_EQ(wide.fuse({wide.embedded()}), 0);
  Rotary apart;  // angles of different shapes
  apart.graph.value(apart.sin).type.dims = Dims{1, 1, 1, 6};
  EXPECT_EQ(apart.fuse({apart.embedded()}), 0);
}

// As GPT-J is exported.
struct RotaryPairs : Rotary {
  Ints order = {1, 0};  // where the two slices begin
  int64_t step = 2, stacked = -1;
  ValueId every_other(int64_t from) {
    return of("Slice", {x, number(from), number(std::numeric_limits<int64_t>::max()), number(axis), number(step)});
  }
  ValueId one_more(ValueId v) { return of("Unsqueeze", {v, number(-1)}); }
  ValueId turned() {
    inner = of("Neg", {every_other(order[0])});
    const ValueId pairs = of("Concat", {one_more(inner), one_more(every_other(order[1]))}, {{"axis", stacked}});
    const ValueId shape = graph.add_constant("shape", Tensor::of<int64_t>({4}, {0, 2, -1, 6}));
    return of("Reshape", {pairs, shape});
  }
  ValueId embedded() { return of("Add", {of("Mul", {x, cos}), of("Mul", {turned(), sin})}); }
};

TEST(RotaryFusion, PairsSideBySide) {
  RotaryPairs r;
  EXPECT_EQ(r.fuse({r.embedded()}), 1);
  ASSERT_EQ(r.graph.nodes.size(), 1u);
  EXPECT_EQ(r.graph.nodes[0].def->name, "RotatePairs");
  RotaryPairs stack;
  stack.stacked = 4;
  EXPECT_EQ(stack.fuse({stack.embedded()}), 1);
}

TEST(RotaryFusion, WhatPairsAreNot) {
  RotaryPairs swapped;  // (-x[0], x[1], ...)
  swapped.order = {0, 1};
  EXPECT_EQ(swapped.fuse({swapped.embedded()}), 0);
  RotaryPairs same;
  same.order = {1, 1};
  EXPECT_EQ(same.fuse({same.embedded()}), 0);
  RotaryPairs returned;
  const ValueId y = returned.embedded();
  EXPECT_EQ(returned.fuse({y, returned.inner}), 0);
}

TEST(RotaryFusion, PairsInTheMiddleAreNotStacked) {  // a row of first elements, then one of second ones
  RotaryPairs r;
  r.stacked = 3;
  EXPECT_EQ(r.fuse({r.embedded()}), 0);
}

TEST(RotaryFusion, AnotherAxisIsNoRow) {
  Rotary r;
  r.graph.value(r.x).type.dims = Dims{"batch", 2, 6, 6};
  for (ValueId angles : {r.cos, r.sin}) r.graph.value(angles).type.dims = Dims{1, 1, 6, 6};
  r.axis = 2;
  EXPECT_EQ(r.fuse({r.embedded()}), 0);
}

}  // namespace
}  // namespace tandem
