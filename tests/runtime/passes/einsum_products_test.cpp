#include <gtest/gtest.h>

#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

constexpr float kTolerance = 1e-5f;

struct Sums {
  Graph graph;
  ValueId input(const char* name, Dims dims) { return graph.add_input(name, DType::kF32, std::move(dims)); }
  ValueId einsum(const std::string& equation, ValueId a, ValueId b) { return add(graph, "Einsum", {a, b}, {{"equation", equation}}); }
  ValueId softmax(ValueId x) { return add(graph, "Softmax", {x}); }
  int64_t count(std::string_view op) const {
    return std::ranges::count_if(graph.nodes, [&](const Node& node) { return node.def->name == op; });
  }
  // How many are rewritten; the result stays.
  int rewrite(std::vector<ValueId> outputs) {
    graph.outputs = std::move(outputs);
    return apply_and_compare(einsum_products_pass, graph, kTolerance);
  }
};

TEST(EinsumProducts, BothProductsOfAnAttention) {
  Sums s;
  const ValueId q = s.input("q", {"batch", "rows", 4, 8}), k = s.input("k", {"batch", "keys", 4, 8}), v = s.input("v", {"batch", "keys", 4, 5});
  const ValueId mask = s.input("mask", {"batch", 1, 1, "keys"});
  const ValueId p = s.softmax(add(s.graph, "Add", {s.einsum("bihd,bjhd->bhij", q, k), mask}));
  EXPECT_EQ(s.rewrite({s.einsum("bhij,bjhd->bihd", p, v)}), 2);
  EXPECT_EQ(s.count("MatMul"), 2);
  EXPECT_EQ(s.count("Transpose"), 4);
  EXPECT_EQ(apply_and_compare(attention_fusion_pass, s.graph, kTolerance), 2);  // the last Transpose too
  EXPECT_EQ(s.graph.nodes.size(), 1u) << to_text(s.graph);
}

TEST(EinsumProducts, PrintsAsMatMul) {
  Sums s;
  const ValueId q = s.input("q", {2, 3, 8}), k = s.input("k", {2, 5, 8});
  s.rewrite({s.softmax(s.einsum("bid,bjd->bij", q, k))});
  EXPECT_EQ(to_text(s.graph),
            "graph main {\n"
            "  input %q: f32[2, 3, 8]\n"
            "  input %k: f32[2, 5, 8]\n"
            "  %Einsum.1: f32[2, 8, 5] = Transpose(%k) {perm=[0, 2, 1]}\n"
            "  %Einsum: f32[2, 3, 5] = MatMul(%q, %Einsum.1)\n"
            "  %Softmax: f32[2, 3, 5] = Softmax(%Einsum)\n"
            "  return %Softmax\n"
            "}\n");
}

// Of windows, of relative positions without a batch, with the weights second.
TEST(EinsumProducts, OtherOrdersOfAxes) {
  struct Product {
    const char* equation;
    Dims a, b;
  };
  const Product products[] = {{"...qhd,...khd->...hqk", {2, "n", 3, 4, 8}, {2, "n", 5, 4, 8}},
                              {"binh,tnh->bnit", {2, 3, 4, 8}, {5, 4, 8}},
                              {"tnh,binh->bnit", {5, 4, 8}, {2, 3, 4, 8}},
                              {"bsij,bsjk->bski", {2, 4, 3, 5}, {2, 4, 5, 6}},
                              {"bij,bjk", {2, 3, 5}, {1, 5, 6}}};
  for (const Product& one : products) {
    Sums s;
    const ValueId a = s.input("a", one.a), b = s.input("b", one.b);
    EXPECT_EQ(s.rewrite({s.softmax(s.einsum(one.equation, a, b))}), std::string_view(one.equation) == "bij,bjk" ? 0 : 1) << one.equation;
  }
}

TEST(EinsumProducts, WhatIsNoProductStays) {
  struct Sum {
    const char* equation;
    Dims a, b;
  };
  const Sum sums[] = {{"td,dnh->tnh", {3, 8}, {8, 4, 5}},           // nothing in common
                      {"bid,bjd->bij", {2, 3, "size"}, {2, 5, 1}},   // what is summed may be 1
                      {"bid,bjd->bij", {2, 3, "size"}, {2, 5, Dim()}},
                      {"bide,bjde->bij", {2, 3, 4, 5}, {2, 6, 4, 5}},  // two are summed
                      {"bidd,bjd->bij", {2, 3, 8, 8}, {2, 5, 8}},      // a diagonal
                      {"bide,bjd->bij", {2, 3, 8, 2}, {2, 5, 8}},      // summed alone
                      {"bid,bd->bi", {2, 3, 8}, {2, 8}},               // a vector
                      {"bcid,cjd->bcij", {2, 4, 3, 8}, {4, 5, 8}}};    // is one
  for (const Sum& one : sums) {
    Sums s;
    const ValueId a = s.input("a", one.a), b = s.input("b", one.b);
    s.graph.outputs = {s.softmax(s.einsum(one.equation, a, b))};
    EXPECT_EQ(einsum_products_pass.apply(s.graph), std::string_view(one.equation) == "bcid,cjd->bcij") << one.equation;
  }
}

TEST(EinsumProducts, OthersThanThoseOfAnAttentionStay) {
  Sums s;
  const ValueId q = s.input("q", {2, 3, 8}), k = s.input("k", {2, 5, 8});
  EXPECT_EQ(s.rewrite({add(s.graph, "Relu", {s.einsum("bid,bjd->bij", q, k)})}), 0);
}

TEST(EinsumProducts, NothingInIt) {
  Sums s;
  const Dim none(int64_t{0});
  const ValueId q = s.input("q", {2, none, 4, 8}), k = s.input("k", {2, 5, 4, 8});
  EXPECT_EQ(s.rewrite({s.softmax(s.einsum("bihd,bjhd->bhij", q, k))}), 1);
}

}  // namespace
}  // namespace tandem
