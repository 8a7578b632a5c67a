#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

// Rows that are flattened for a Gemm and put back.
struct Rows {
  Graph graph;
  ValueId x;
  ValueId flat = kNoValue, product = kNoValue;

  explicit Rows(Dims dims = {"batch", "length", 4}) : x(graph.add_input("x", DType::kF32, std::move(dims))) {}

  ValueId ints(const std::vector<int64_t>& values) {
    return graph.add_constant("ints", Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }
  ValueId of(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return add(graph, op, std::move(inputs), std::move(attributes));
  }
  // [batch, length, 3]; `back`: computed from the shape of x, as exporters do, or given.
  ValueId multiplied(Attributes attributes = {}, const Shape& weights = {4, 3}, const Shape& bias = {3}) {
    flat = of("Reshape", {x, ints({-1, 4})});
    product = of("Gemm", {flat, graph.add_constant("w", random_tensor(weights, 1)), graph.add_constant("b", random_tensor(bias, 2))}, std::move(attributes));
    const ValueId sizes = of("Slice", {of("Shape", {x}), ints({0}), ints({2})});
    return of("Reshape", {product, of("Concat", {sizes, ints({3})}, {{"axis", int64_t{0}}})});
  }
  int rewrite() {
    constant_folding_pass.apply(graph);
    return apply_and_compare(row_products_pass, graph, 1e-6f);
  }
};

TEST(RowProducts, WhatFollowsReachesTheEpilogue) {
  Rows rows;
  rows.graph.outputs = {rows.of("Add", {rows.of("Relu", {rows.multiplied()}), rows.graph.add_constant("c", random_tensor({3}, 4))})};
  EXPECT_EQ(rows.rewrite(), 1);
  const std::string text = to_text(rows.graph);
  EXPECT_NE(text.find("  %Reshape.2: f32[batch, length, 3] = MatMul(%x, %w)\n"
                      "  %Reshape.1: f32[batch, length, 3] = Add(%Reshape.2, %b)\n"
                      "  %Relu: f32[batch, length, 3] = Relu(%Reshape.1)\n"),
            std::string::npos)
      << text;
  epilogue_fusion_pass.apply(rows.graph);
  EXPECT_EQ(rows.graph.nodes.size(), 2u);
}

TEST(RowProducts, WeightsByColumnsStayAsTheyAre) {
  Rows rows;
  rows.graph.outputs = {rows.multiplied({{"transB", int64_t{1}}}, {3, 4})};
  EXPECT_EQ(rows.rewrite(), 1);
  EXPECT_NE(to_text(rows.graph).find("tandem.MatMul(%x, %w) {transB=1}"), std::string::npos);
}

// As attention modules join their heads.
TEST(RowProducts, XMayHaveOtherAxes) {
  Rows rows({5, "batch", 2, 2});
  rows.graph.outputs = {rows.multiplied()};
  EXPECT_EQ(rows.rewrite(), 1);
  const std::string text = to_text(rows.graph);
  EXPECT_NE(text.find("f32[5, batch, 4] = Reshape(%x, "), std::string::npos) << text;
  EXPECT_EQ(rows.graph.nodes.size(), 3u);
}

TEST(RowProducts, SeveralMayReadTheRows) {
  Rows rows;
  const ValueId first = rows.multiplied();
  rows.graph.outputs = {first, rows.of("Neg", {rows.flat})};
  EXPECT_EQ(rows.rewrite(), 1);
}

TEST(RowProducts, WhatItIsNot) {
  const auto stays = [](Rows& rows, std::vector<ValueId> outputs) {
    rows.graph.outputs = std::move(outputs);
    EXPECT_EQ(rows.rewrite(), 0) << to_text(rows.graph);
  };
  Rows scaled;
  stays(scaled, {scaled.multiplied({{"alpha", 2.0f}})});
  Rows scaled_bias;
  stays(scaled_bias, {scaled_bias.multiplied({{"beta", 2.0f}})});
  Rows one_bias;
  stays(one_bias, {one_bias.multiplied({}, {4, 3}, {1})});
  Rows returned;
  const ValueId y = returned.multiplied();
  stays(returned, {y, returned.product});
  Rows cut;  // columns of the product become rows
  cut.multiplied();
  stays(cut, {cut.of("Reshape", {cut.product, cut.ints({-1, 3, 1})})});
  Rows plain;  // rows that nobody put back
  plain.multiplied();
  stays(plain, {plain.of("Relu", {plain.product})});
}

}  // namespace
}  // namespace tandem
