#include "serving/core/categories.h"
#include "runtime/ops/all_ops.h"

#include <gmock/gmock.h>

#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

using testing::ElementsAre;
using Texts = std::vector<std::string>;

TEST(Categories, AreFoundBehindNodesThatHandTextsOn) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}, {"ai.onnx.ml", kOnnxMlOpset}};
  const ValueId job = graph.add_input("job", DType::kString, {"batch"}),
                name = graph.add_input("name", DType::kString, {"batch"});
  const ValueId shape = graph.add_constant("shape", Tensor::of<int64_t>({2}, {-1, 1}));
  const ValueId column = graph.add_node(newest_op("Reshape"), {job, shape}, 1)[0];
  const ValueId hot = graph.add_node(newest_op("OneHotEncoder", "ai.onnx.ml"), {column}, 1,
                                     {{"cats_strings", Texts{"a", "b"}}, {"zeros", int64_t{1}}})[0];
  const ValueId missing = graph.add_constant("missing", Tensor::strings({1}, Texts{"?"}));
  const ValueId is_missing = graph.add_node(newest_op("Equal"), {column, missing}, 1)[0];
  const ValueId same = graph.add_node(newest_op("Identity"), {name}, 1)[0];
  graph.outputs = {hot, is_missing, same};

  const Categories categories = Categories::of(graph);
  ASSERT_EQ(categories.by_input().size(), 1u);
  EXPECT_THAT(categories.by_input().at("job"), ElementsAre("?", "a", "b"));
  const Tensor texts = Tensor::strings({5}, Texts{"a", "c", "?", "", "b"});
  EXPECT_EQ(categories.count_unknown("job", texts.view()), 2);
  EXPECT_EQ(categories.count_unknown("name", texts.view()), 0);
  EXPECT_EQ(categories.count_unknown("job", Tensor::scalar(1.0f).view()), 0);
}

}  // namespace
}  // namespace tandem
