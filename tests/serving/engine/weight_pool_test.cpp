#include "serving/engine/weight_pool.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

Graph graph_of(std::vector<float> values) {
  Graph graph;
  graph.add_constant("w", Tensor::of<float>({static_cast<int64_t>(values.size())}, values));
  return graph;
}
const std::byte* address(const Graph& graph) { return graph.values[0].data.view().data; }

TEST(WeightPool, EqualContentHasOneStorage) {
  WeightPool pool;
  Graph a = graph_of(std::vector<float>(4096, 1.5F)), b = graph_of(std::vector<float>(4096, 1.5F));
  pool.share(a);
  pool.share(b);
  EXPECT_EQ(address(a), address(b));
  a = Graph();
  EXPECT_EQ(b.values[0].data.as<float>()[4095], 1.5F) << "it lives as long as anybody has it";
}

// Large tensors are hashed by samples: what differs anywhere is told apart all the same.
TEST(WeightPool, OtherContentHasItsOwn) {
  WeightPool pool;
  std::vector<float> values(1 << 20, 1.0F);
  Graph a = graph_of(values);
  pool.share(a);
  for (const size_t at : {size_t{0}, size_t{1}, size_t{77'777}, values.size() - 1}) {
    values[at] = 2;
    Graph b = graph_of(values);
    pool.share(b);
    EXPECT_NE(address(a), address(b));
    EXPECT_EQ(b.values[0].data.as<float>()[at], 2);
    values[at] = 1;
  }
  Graph small = graph_of({1, 2}), again = graph_of({1, 2});
  pool.share(small);
  pool.share(again);
  EXPECT_NE(address(small), address(again)) << "too small to be looked for";
}

TEST(WeightPool, PanelsGoWithTheLastModel) {
  WeightPool pool;
  auto first = pool.packs("x");
  EXPECT_EQ(first, pool.packs("x"));
  EXPECT_NE(first, pool.packs("y"));
  const std::weak_ptr<PackedConstants> gone = first;
  first.reset();
  EXPECT_TRUE(gone.expired());
}

}  // namespace
}  // namespace tandem
