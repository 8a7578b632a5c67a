#include <gtest/gtest.h>

#include <limits>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

struct Sizes {
  Graph graph;
  ValueId x = graph.add_input("x", DType::kF32, {"batch", "length", 8});

  ValueId of(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return add(graph, op, std::move(inputs), std::move(attributes));
  }
  ValueId ints(const std::vector<int64_t>& values) {
    return graph.add_constant("ints", Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }
  // One size of a tensor, as a list.
  ValueId size(ValueId of_value, int64_t axis) { return of("Gather", {of("Shape", {of_value}), ints({axis})}, {{"axis", int64_t{0}}}); }
  ValueId list(std::vector<ValueId> parts) { return of("Concat", std::move(parts), {{"axis", int64_t{0}}}); }
  ValueId without(ValueId sizes, int64_t wanted, std::vector<int64_t> instead) { return without(sizes, sizes, wanted, std::move(instead)); }
  ValueId without(ValueId asked, ValueId sizes, int64_t wanted, std::vector<int64_t> instead) {
    const std::vector<int64_t> all(instead.size(), wanted);
    return of("Where", {of("Equal", {asked, ints(all)}), ints(instead), sizes});
  }
  std::string share() {
    apply_and_compare(size_sharing_pass, graph);
    return to_text(graph);
  }
};

TEST(SizeSharing, ATransposeIsNotAskedForItsShape) {
  Sizes s;
  const ValueId first = s.size(s.x, 1);
  const ValueId turned = s.of("Transpose", {s.x}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  const ValueId again = s.size(turned, 2);
  s.graph.outputs = {s.of("Reshape", {s.of("Relu", {s.x}), s.list({s.ints({-1}), first})}),
                     s.of("Reshape", {s.of("Neg", {s.x}), s.list({again, s.ints({-1})})})};
  EXPECT_EQ(s.share(),
            "graph main {\n"
            "  input %x: f32[batch, length, 8]\n"
            "  constant %ints: i64[1] {1}\n"
            "  constant %ints.2: i64[1] {-1}\n"
            "  constant %ints.3: i64[1] {-1}\n"
            "  %Shape: i64[3] = Shape(%x)\n"
            "  %Gather: i64[1] = Gather(%Shape, %ints) {axis=0}\n"
            "  %Relu: f32[batch, length, 8] = Relu(%x)\n"
            "  %Concat: i64[2] = Concat(%ints.2, %Gather) {axis=0}\n"
            "  %Reshape: f32[8*batch, length] = Reshape(%Relu, %Concat)\n"
            "  %Neg: f32[batch, length, 8] = Neg(%x)\n"
            "  %Concat.1: i64[2] = Concat(%Gather, %ints.3) {axis=0}\n"
            "  %Reshape.1: f32[length, 8*batch] = Reshape(%Neg, %Concat.1)\n"
            "  return %Reshape, %Reshape.1\n"
            "}\n");
}

TEST(SizeSharing, OtherSizesAndScalarsStayApart) {
  Sizes s;
  const ValueId scalar = s.graph.add_constant("scalar", Tensor::of<int64_t>(Shape{}, {0}));
  const ValueId shape = s.of("Shape", {s.x});
  s.graph.outputs = {s.size(s.x, 0), s.size(s.x, 1), s.of("Gather", {shape, scalar}, {{"axis", int64_t{0}}})};
  EXPECT_EQ(apply_and_compare(size_sharing_pass, s.graph), 2);  // Shape, twice
  EXPECT_EQ(s.graph.nodes.size(), 4u);
}

// As PyTorch's expand spells "what it was".
TEST(SizeSharing, MinusOneIsDecidedPartByPart) {
  Sizes s;
  const ValueId sizes = s.list({s.size(s.x, 0), s.ints({-1, 1}), s.size(s.x, 1), s.ints({-1})});
  s.graph.outputs = {s.of("Expand", {s.of("Unsqueeze", {s.x, s.ints({1, 2})}), s.without(sizes, -1, {1, 7, 1, 1, 8})})};
  const std::string text = s.share();
  EXPECT_EQ(text.find("Where("), std::string::npos) << text;
  EXPECT_NE(text.find("%sizes: i64[2] {7, 1}"), std::string::npos) << text;
  EXPECT_NE(text.find("%sizes.1: i64[1] {8}"), std::string::npos) << text;
  EXPECT_NE(text.find("f32[batch, 7, 1, length, 8] = Expand("), std::string::npos) << text;
}

TEST(SizeSharing, AListThatIsWrittenAnewForEachReader) {
  Sizes s;
  const auto sizes = [&] { return s.list({s.size(s.x, 0), s.ints({-1, 8})}); };
  s.graph.outputs = {s.of("Expand", {s.x, s.without(sizes(), sizes(), -1, {1, 1, 1})})};
  const std::string text = s.share();
  EXPECT_EQ(text.find("Where("), std::string::npos) << text;
  EXPECT_NE(text.find("f32[batch, length, 8] = Expand("), std::string::npos) << text;
}

// PyTorch's expand by torchscript: the list goes through a Reshape to [-1].
TEST(SizeSharing, AListBehindAReshape) {
  Sizes s;
  const ValueId sizes = s.of("Reshape", {s.list({s.size(s.x, 0), s.ints({-1}), s.ints({8})}), s.ints({-1})});
  s.graph.outputs = {s.of("Expand", {s.x, s.without(sizes, -1, {1, 1, 1})})};
  const std::string text = s.share();
  EXPECT_EQ(text.find("Where("), std::string::npos) << text;
  EXPECT_NE(text.find("f32[batch, length, 8] = Expand("), std::string::npos) << text;
}

TEST(SizeSharing, ASliceThatBeginsItsWholeLengthFromTheEnd) {
  Sizes s;
  const ValueId begin = s.of("Neg", {s.size(s.x, 1)});
  s.graph.outputs = {s.of("Slice", {s.x, begin, s.ints({std::numeric_limits<int64_t>::max()}), s.ints({1})})};
  const std::string text = s.share();
  EXPECT_NE(text.find("f32[batch, length, 8] = Slice("), std::string::npos) << text;
}

TEST(SizeSharing, WhatMayBeEqualIsAskedAtRunTime) {
  Sizes s;
  s.graph.outputs = {s.without(s.list({s.size(s.x, 0), s.ints({5})}), 3, {1, 1})};  // the batch may be 3
  EXPECT_NE(s.share().find("Where("), std::string::npos);
  Sizes other_list;
  const ValueId batch = other_list.size(other_list.x, 0), list = other_list.list({batch, other_list.ints({-1})});
  const ValueId equal = other_list.of("Equal", {other_list.list({other_list.ints({-1}), batch}), other_list.ints({-1, -1})});
  other_list.graph.outputs = {other_list.of("Where", {equal, other_list.ints({1, 1}), list})};
  EXPECT_NE(other_list.share().find("Where("), std::string::npos);
}

TEST(SizeSharing, UnknownSizesAreNotOneSize) {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {Dim(), Dim("?")});
  graph.outputs = {add(graph, "Concat", {add(graph, "Shape", {x}), add(graph, "Shape", {add(graph, "Relu", {x})})}, {{"axis", int64_t{0}}})};
  EXPECT_EQ(apply_and_compare(size_sharing_pass, graph), 0);
}

}  // namespace
}  // namespace tandem
