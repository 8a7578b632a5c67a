// Tree ensembles as a stranger may write them: what cannot be evaluated safely is refused when the model is planned.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/exec/executor.h"
#include "runtime/ops/all_ops.h"
#include "runtime/plan/plan.h"

namespace tandem {
namespace {

using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;
using Texts = std::vector<std::string>;

// x0 <= 0 ? (x0 <= -1 ? 1 : 2) : 3
Attributes tree() {
  return {{"nodes_treeids", Ints{0, 0, 0, 0, 0}},      {"nodes_nodeids", Ints{0, 1, 2, 3, 4}},
          {"nodes_featureids", Ints{0, 0, 0, 0, 0}},   {"nodes_modes", Texts{"BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"}},
          {"nodes_values", Floats{0, -1, 0, 0, 0}},    {"nodes_truenodeids", Ints{1, 2, 0, 0, 0}},
          {"nodes_falsenodeids", Ints{4, 3, 0, 0, 0}}, {"target_treeids", Ints{0, 0, 0}},
          {"target_nodeids", Ints{2, 3, 4}},           {"target_ids", Ints{0, 0, 0}},
          {"target_weights", Floats{1, 2, 3}}};
}
Attributes ensemble() {
  return {{"tree_roots", Ints{0}},
          {"nodes_modes", Tensor::of<uint8_t>({2}, {0, 0})},
          {"nodes_splits", Tensor::of<float>({2}, {0, -1})},
          {"nodes_featureids", Ints{0, 0}},
          {"nodes_truenodeids", Ints{1, 0}},
          {"nodes_trueleafs", Ints{0, 1}},
          {"nodes_falsenodeids", Ints{2, 1}},
          {"nodes_falseleafs", Ints{1, 1}},
          {"leaf_targetids", Ints{0, 0, 0}},
          {"leaf_weights", Tensor::of<float>({3}, {1, 2, 3})}};
}

std::vector<float> run(std::string_view op, const Attributes& attributes, const Tensor& x) {
  Graph graph;
  graph.opsets["ai.onnx.ml"] = 5;
  const ValueId input = graph.add_input("x", x.dtype(), to_dims(x.shape()));
  graph.outputs = graph.add_node(find_op("ai.onnx.ml", op, 5), {input}, 1, attributes);
  Executor executor(make_plan(graph, {}));
  const auto y = executor.run(std::vector{x.view()})[0].as<float>();
  return {y.begin(), y.end()};
}
std::string error_of(std::string_view op, const Attributes& attributes, const Tensor& x = Tensor(DType::kF32, {2, 1})) {
  try {
    run(op, attributes, x);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "";
}

Attributes with(Attributes attributes, const std::string& name, Attribute value) {
  attributes[name] = std::move(value);
  return attributes;
}

TEST(Forest, IsReadFromBothForms) {
  const Tensor x = Tensor::of<float>({3, 1}, {-2, -0.5f, 5});
  EXPECT_EQ(run("TreeEnsembleRegressor", tree(), x), (Floats{1, 2, 3}));
  EXPECT_EQ(run("TreeEnsemble", ensemble(), x), (Floats{1, 2, 3}));
}

TEST(Forest, RefusesACycle) {
  const Attributes back = with(tree(), "nodes_truenodeids", Ints{1, 0, 0, 0, 0});
  EXPECT_THAT(error_of("TreeEnsembleRegressor", back), testing::HasSubstr("has no root"));
  const Attributes itself = with(tree(), "nodes_truenodeids", Ints{1, 1, 0, 0, 0});
  EXPECT_THAT(error_of("TreeEnsembleRegressor", itself), testing::HasSubstr("two parents"));
  EXPECT_THAT(error_of("TreeEnsemble", with(with(ensemble(), "nodes_trueleafs", Ints{0, 0}), "nodes_truenodeids", Ints{1, 0})),
              testing::HasSubstr("root of a tree has a parent"));
}

TEST(Forest, RefusesWhatDoesNotExist) {
  EXPECT_THAT(error_of("TreeEnsembleRegressor", with(tree(), "nodes_falsenodeids", Ints{4, 99, 0, 0, 0})),
              testing::HasSubstr("no such node"));
  EXPECT_THAT(error_of("TreeEnsembleRegressor", with(tree(), "nodes_nodeids", Ints{0, 1, 2, 3, 3})), testing::HasSubstr("twice"));
  EXPECT_THAT(error_of("TreeEnsembleRegressor", with(tree(), "target_ids", Ints{0, 1, 0})), testing::HasSubstr("does not exist"));
  EXPECT_THAT(error_of("TreeEnsembleRegressor", with(tree(), "target_nodeids", Ints{2, 3, 44})),
              testing::HasSubstr("no such node"));
  EXPECT_THAT(error_of("TreeEnsembleRegressor", with(tree(), "nodes_featureids", Ints{0, -1, 0, 0, 0})),
              testing::HasSubstr("feature id"));
  EXPECT_THAT(error_of("TreeEnsembleRegressor", with(tree(), "nodes_featureids", Ints{0, 7, 0, 0, 0})),
              testing::HasSubstr("more features"));
  EXPECT_THAT(
      error_of("TreeEnsembleRegressor", with(tree(), "nodes_modes", Texts{"BRANCH_LEQ", "BRANCH", "LEAF", "LEAF", "LEAF"})),
      testing::HasSubstr("mode is unknown"));
  EXPECT_THAT(error_of("TreeEnsemble", with(ensemble(), "nodes_falsenodeids", Ints{3, 1})),
              testing::HasSubstr("child does not exist"));
  EXPECT_THAT(error_of("TreeEnsemble", with(ensemble(), "tree_roots", Ints{-1})), testing::HasSubstr("child does not exist"));
  EXPECT_THAT(error_of("TreeEnsemble", with(ensemble(), "tree_roots", Ints{})), testing::HasSubstr("no trees"));
  EXPECT_THAT(error_of("TreeEnsemble", with(ensemble(), "leaf_targetids", Ints{0, -1, 0})), testing::HasSubstr("does not exist"));
  EXPECT_THAT(error_of("TreeEnsemble", with(ensemble(), "nodes_modes", Tensor::of<uint8_t>({2}, {0, 9}))),
              testing::HasSubstr("mode is unknown"));
  EXPECT_THAT(error_of("TreeEnsemble", with(ensemble(), "nodes_modes", Tensor::of<uint8_t>({2}, {0, 6}))),
              testing::HasSubstr("fewer sets"));
}

TEST(Forest, RefusesListsOfDifferentLengths) {
  for (const char* name : {"nodes_nodeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids"})
    EXPECT_THAT(error_of("TreeEnsembleRegressor", with(tree(), name, Ints{0, 1})), testing::HasSubstr("another length")) << name;
  EXPECT_THAT(error_of("TreeEnsembleRegressor", with(tree(), "nodes_values", Floats{0})), testing::HasSubstr("another length"));
  EXPECT_THAT(error_of("TreeEnsembleRegressor", with(tree(), "target_weights", Floats{0})), testing::HasSubstr("another length"));
  EXPECT_THAT(error_of("TreeEnsemble", with(ensemble(), "nodes_splits", Tensor::of<float>({1}, {0}))),
              testing::HasSubstr("another length"));
}

// As deep as a list: neither reading nor evaluating goes deeper for it.
TEST(Forest, TakesAnyDepth) {
  constexpr int64_t kDepth = 200'000;
  Ints zeros, yes, no, yes_leaf, no_leaf;
  for (int64_t i = 0; i < kDepth; ++i) {
    yes.push_back(0), yes_leaf.push_back(1);
    no.push_back(i + 1 < kDepth ? i + 1 : 1), no_leaf.push_back(i + 1 == kDepth);
    zeros.push_back(0);
  }
  Attributes deep = ensemble();
  deep["nodes_modes"] = Tensor(DType::kU8, {kDepth});
  deep["nodes_splits"] = Tensor(DType::kF32, {kDepth});
  deep["nodes_featureids"] = zeros;
  deep["nodes_truenodeids"] = yes, deep["nodes_trueleafs"] = yes_leaf;
  deep["nodes_falsenodeids"] = no, deep["nodes_falseleafs"] = no_leaf;
  EXPECT_EQ(run("TreeEnsemble", deep, Tensor::of<float>({2, 1}, {-1, 1})), (Floats{1, 2}));
}

}  // namespace
}  // namespace tandem
