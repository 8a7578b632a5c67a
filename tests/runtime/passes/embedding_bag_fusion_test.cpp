#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/exec/executor.h"
#include "runtime/passes/pass_manager.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

// As nn.Embedding and what sums its rows are exported; each part can be spoiled.
struct Bags {
  Graph graph;
  ValueId table = graph.add_constant("table", random_tensor({9, 6}, 1));
  ValueId words = graph.add_input("words", DType::kI64, {"batch", 4});
  ValueId weights = graph.add_input("weights", DType::kF32, {"batch", 4, 1});
  int64_t gather_axis = 0, axis = 1;
  ValueId gathered = kNoValue;

  ValueId of(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return add(graph, op, std::move(inputs), std::move(attributes));
  }
  ValueId rows() { return gathered = of("Gather", {table, words}, {{"axis", gather_axis}}); }
  ValueId reduced(std::string_view op, ValueId x, int64_t keepdims = 0) {
    return of(op, {x, graph.add_constant("axes", Tensor::of<int64_t>({1}, {axis}))}, {{"keepdims", keepdims}});
  }

  static std::vector<Tensor> run(const Graph& graph, const PlanOptions& options) {
    const Tensor words = Tensor::of<int64_t>({3, 4}, {0, 8, -1, 3, 3, 3, 3, -9, 1, 2, 5, 7}), weights = random_tensor({3, 4, 1}, 2);
    Executor executor(make_plan(graph, options));
    std::vector<Tensor> outputs;
    for (const ConstTensorView& view : executor.run(std::vector<ConstTensorView>{words.view(), weights.view()})) outputs.push_back(Tensor::copy_of(view));
    return outputs;
  }

  // The number of changes. Up to rounding of what is weighted, the numbers are those of the nodes one by one.
  int fuse(std::vector<ValueId> outputs, float tolerance = 0) {
    graph.outputs = std::move(outputs);
    PlanOptions apart;
    apart.disabled_passes = {"embedding_bag_fusion", "elementwise_regions"};
    const std::vector<Tensor> expected = run(graph, apart);
    const Pass* const passes[] = {&embedding_bag_fusion_pass};
    const int changes = run_passes(graph, {.disabled = {}, .verify_each = true}, passes).at(0).changes;
    for (const int threads : {1, 2}) {
      const std::vector<Tensor> actual = run(graph, {.threads = threads});
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(actual[i].shape(), expected[i].shape());
        for (size_t e = 0; e < expected[i].as<float>().size(); ++e) EXPECT_NEAR(actual[i].as<float>()[e], expected[i].as<float>()[e], tolerance) << e;
      }
    }
    return changes;
  }
};

TEST(EmbeddingBagFusion, SumsMeansAndMaxima) {
  for (const std::string_view op : {"ReduceSum", "ReduceMean", "ReduceMax"})
    for (const int64_t keepdims : {0, 1}) {
      Bags b;
      EXPECT_EQ(b.fuse({b.reduced(op, b.rows(), keepdims)}), 1) << op;
      ASSERT_EQ(b.graph.nodes.size(), 1u);
      EXPECT_EQ(b.graph.nodes[0].def->name, "EmbeddingBag");
    }
}

TEST(EmbeddingBagFusion, TextOfTheGraph) {
  Bags b;
  EXPECT_EQ(b.fuse({b.reduced("ReduceMean", b.rows())}), 1);
  EXPECT_EQ(to_text(b.graph),
            "graph main {\n"
            "  constant %table: f32[9, 6] {...}\n"
            "  input %words: i64[batch, 4]\n"
            "  input %weights: f32[batch, 4, 1]\n"
            "  %ReduceMean: f32[batch, 6] = tandem.EmbeddingBag(%table, %words) {axis=1, keepdims=0, mode=\"mean\"}\n"
            "  return %ReduceMean\n"
            "}\n");
}

TEST(EmbeddingBagFusion, WeightsFromEitherSide) {
  for (const bool left : {false, true}) {
    Bags b;
    const ValueId rows = b.rows();
    EXPECT_EQ(b.fuse({b.reduced("ReduceSum", b.of("Mul", left ? std::vector{b.weights, rows} : std::vector{rows, b.weights}))}, 1e-6f), 1);
    ASSERT_EQ(b.graph.nodes.size(), 1u);
    EXPECT_EQ(b.graph.nodes[0].inputs.size(), 3u);
  }
}

TEST(EmbeddingBagFusion, AxesFromTheEnd) {
  Bags b;
  b.axis = -2, b.gather_axis = -2;
  EXPECT_EQ(b.fuse({b.reduced("ReduceSum", b.rows())}), 1);
  Bags words_first;
  words_first.axis = 0;
  EXPECT_EQ(words_first.fuse({words_first.reduced("ReduceMax", words_first.rows())}), 1);
}

TEST(EmbeddingBagFusion, WhatItIsNot) {
  Bags width;  // of the numbers of a row
  width.axis = 2;
  EXPECT_EQ(width.fuse({width.reduced("ReduceSum", width.rows())}), 0);
  Bags returned;
  const ValueId sum = returned.reduced("ReduceSum", returned.rows());
  EXPECT_EQ(returned.fuse({sum, returned.gathered}), 0);
  Bags least;
  EXPECT_EQ(least.fuse({least.reduced("ReduceMin", least.rows())}), 0);
  Bags mean;  // of weighted rows: no exporter writes it
  EXPECT_EQ(mean.fuse({mean.reduced("ReduceMean", mean.of("Mul", {mean.rows(), mean.weights}))}), 0);
  Bags by_column;
  const ValueId scale = by_column.graph.add_constant("scale", random_tensor({6}, 3));
  EXPECT_EQ(by_column.fuse({by_column.reduced("ReduceSum", by_column.of("Mul", {by_column.rows(), scale}))}), 0);
}

TEST(EmbeddingBagFusion, AnIndexOutOfRangeIsAnError) {
  Bags b;
  b.graph.outputs = {b.reduced("ReduceSum", b.rows())};
  const Pass* const passes[] = {&embedding_bag_fusion_pass};
  ASSERT_EQ(run_passes(b.graph, {}, passes).at(0).changes, 1);
  Executor executor(make_plan(b.graph, {}));
  const Tensor words = Tensor::of<int64_t>({1, 4}, {0, 1, 9, 2}), weights = random_tensor({1, 4, 1}, 2);
  const std::vector<ConstTensorView> inputs = {words.view(), weights.view()};
  try {
    executor.run(inputs);
    FAIL() << "the row is not there";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("index is out of range"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace tandem
