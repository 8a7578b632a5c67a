// Attention written out step by step, and what the tests of its fusion ask of the result.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>

#include "runtime/ops/plain_attention.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem::testing {

using Ints = std::vector<int64_t>;

constexpr float kTolerance = 1e-5f;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Attention written out on inputs [batch, heads, rows, size], each step to be replaced.
struct Spelling {
  Dims q_dims = {"batch", 4, "rows", 8}, k_dims = {"batch", 4, "keys", 8}, v_dims = {"batch", 4, "keys", 5};
  Graph graph;
  ValueId q = graph.add_input("q", DType::kF32, q_dims), k = graph.add_input("k", DType::kF32, k_dims),
          v = graph.add_input("v", DType::kF32, v_dims);
  using Step = std::function<ValueId(ValueId)>;
  Step on_q = same, on_k = same, on_v = same, on_scores = same, on_masked = same, on_weights = same, on_result = same;
  Attributes softmax = {{"axis", int64_t{-1}}};
  Ints k_transpose = {0, 1, 3, 2};

  static ValueId same(ValueId id) { return id; }
  ValueId number(float value) { return constant(graph, "number", {}, {value}); }
  ValueId times(ValueId x, float factor) { return add(graph, "Mul", {x, number(factor)}); }
  ValueId turned(ValueId x, Ints perm) { return add(graph, "Transpose", {x}, {{"perm", std::move(perm)}}); }
  ValueId list(Ints values) {
    return graph.add_constant("ints", Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }
  ValueId reshaped(ValueId x, Ints shape) { return add(graph, "Reshape", {x, list(std::move(shape))}); }
  ValueId input(const char* name, Dims dims, DType type = DType::kF32) { return graph.add_input(name, type, std::move(dims)); }

  void build() {
    const ValueId product = add(graph, "MatMul", {on_q(q), on_k(turned(k, k_transpose))});
    const ValueId weights = add(graph, "Softmax", {on_masked(on_scores(product))}, softmax);
    graph.outputs.insert(graph.outputs.begin(), on_result(add(graph, "MatMul", {on_weights(weights), on_v(v)})));
  }
  // How many nodes are left, one of them the fused one.
  void expect_fused(size_t nodes = 1) {
    build();
    EXPECT_GE(apply_and_compare(attention_fusion_pass, graph, kTolerance), 1);
    expect_equal_when_written_out();
    EXPECT_EQ(graph.nodes.size(), nodes) << to_text(graph);
    EXPECT_EQ(std::ranges::count(graph.nodes, "FusedAttention", [](const Node& node) { return node.def->name; }), 1);
  }
  // The standard ops that the fused node stands for (of a GPU, of an exported file) give the same again.
  void expect_equal_when_written_out() {
    const std::vector<Tensor> inputs = random_inputs(graph);
    Graph plain = graph;
    EXPECT_EQ(write_out_attention(plain), 1);
    verify(plain);
    EXPECT_EQ(std::ranges::count(plain.nodes, "Softmax", [](const Node& node) { return node.def->name; }), 1);
    const Tensor want = run_graph(graph, inputs)[0], got = run_graph(plain, inputs)[0];
    ASSERT_EQ(want.shape(), got.shape());
    for (size_t i = 0; i < want.as<float>().size(); ++i) EXPECT_NEAR(got.as<float>()[i], want.as<float>()[i], kTolerance) << i;
  }
  void expect_near_miss(std::string_view why) {
    build();
    PassNotes notes;
    EXPECT_EQ(attention_fusion_pass.rewrite(graph, notes), 0);
    ASSERT_EQ(notes.near_misses().size(), 1u);
    EXPECT_NE(notes.near_misses()[0].why.find(why), std::string::npos) << notes.near_misses()[0].why;
  }
};

}  // namespace tandem::testing
