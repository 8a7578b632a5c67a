#include <gtest/gtest.h>

#include "tests/runtime/passes/run_both_ways.h"
#include "tests/runtime/passes/run_graph.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

using namespace testing;

// As PyTorch's exporter writes it; each part can be spoiled.
struct Spelling {
  Graph graph;
  ValueId x;
  std::vector<int64_t> apart = {0, 2, -1};
  float scale_of_group = 1, bias_of_group = 0;
  ValueId inner = kNoValue;

  explicit Spelling(Dims dims = {"batch", 4, "h", 5}) : x(graph.add_input("x", DType::kF32, std::move(dims))) {}

  ValueId of(std::string_view op, std::vector<ValueId> inputs) { return add(graph, op, std::move(inputs)); }
  ValueId ints(const std::vector<int64_t>& values) {
    return graph.add_constant("shape", Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }
  ValueId normalized() {
    const ValueId scale = constant(graph, "ones", {2}, {scale_of_group, scale_of_group});
    const ValueId bias = constant(graph, "zeros", {2}, {bias_of_group, bias_of_group});
    inner = graph.add_node(find_op("", "InstanceNormalization", 17), {of("Reshape", {x, ints(apart)}), scale, bias}, 1, {{"epsilon", 0.25f}})[0];
    return of("Reshape", {inner, of("Shape", {x})});
  }
  ValueId row(const char* name, const Shape& shape, unsigned seed) { return graph.add_constant(name, random_tensor(shape, seed)); }

  // Runs a plan with the pass and one without.
  std::string planned(std::vector<ValueId> outputs) {
    graph.outputs = std::move(outputs);
    constant_folding_pass.apply(graph);  // finds the shapes that the default passes would have found
    const std::vector<Tensor> inputs = random_inputs(graph);
    const auto expected = run_planned(graph, inputs, {.default_bound = 8, .disabled_passes = {"group_normalization_fusion"}});
    const auto actual = run_planned(graph, inputs, {.default_bound = 8});
    for (size_t i = 0; i < expected.size(); ++i)
      for (size_t e = 0; e < expected[i].as<float>().size(); ++e)
        EXPECT_NEAR(actual[i].as<float>()[e], expected[i].as<float>()[e], 2e-5f) << i << '[' << e << ']';
    group_normalization_fusion_pass.apply(graph);
    return to_text(graph);
  }
};

constexpr const char* kWhole = "GroupNormalization(%x, %by_channel, %by_channel.1) {epsilon=0.25, num_groups=2}";

TEST(GroupNormalizationFusion, WithScaleAndBias) {
  for (const Shape& shape : {Shape{4, 1, 1}, Shape{1, 4, 1, 1}}) {
    Spelling s;
    const ValueId y = s.of("Add", {s.row("b", shape, 4), s.of("Mul", {s.normalized(), s.row("a", shape, 3)})});
    const std::string text = s.planned({y});
    EXPECT_NE(text.find(kWhole), std::string::npos) << text;
    EXPECT_EQ(s.graph.nodes.size(), 1u) << text;
  }
}

TEST(GroupNormalizationFusion, WithoutThem) {
  Spelling s;
  const std::string text = s.planned({s.normalized()});
  EXPECT_NE(text.find(kWhole), std::string::npos) << text;
}

TEST(GroupNormalizationFusion, ConstantsOfOtherAxesStay) {
  Spelling s;
  const std::string text = s.planned({s.of("Mul", {s.normalized(), s.row("a", {5}, 3)})});
  EXPECT_NE(text.find(kWhole), std::string::npos) << text;
  EXPECT_NE(text.find("Mul("), std::string::npos) << text;
}

TEST(GroupNormalizationFusion, WhatItIsNot) {
  const auto stays = [](Spelling& s, std::vector<ValueId> outputs) {
    const std::string text = s.planned(std::move(outputs));
    EXPECT_EQ(text.find("GroupNormalization("), std::string::npos) << text;
  };
  Spelling scaled;
  scaled.scale_of_group = 2;
  stays(scaled, {scaled.normalized()});
  Spelling shifted;
  shifted.bias_of_group = 1;
  stays(shifted, {shifted.normalized()});
  Spelling returned;
  const ValueId y = returned.normalized();
  stays(returned, {y, returned.inner});
  Spelling other_batch({6, 4, 3, 5});  // groups across images
  other_batch.apart = {3, 2, -1};
  stays(other_batch, {other_batch.normalized()});
}

}  // namespace
}  // namespace tandem
