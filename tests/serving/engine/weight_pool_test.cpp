#include "serving/engine/weight_pool.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "runtime/ops/all_ops.h"
#include "runtime/plan/plan.h"

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

// A product, a convolution or a recurrent layer with one large weight, called `name`: random numbers, of which the last is `last`.
template <class T>
Tensor weights_of(const Shape& shape, int last) {
  Tensor tensor(std::is_same_v<T, float> ? DType::kF32 : DType::kI8, shape);
  uint32_t state = 1;
  for (T& value : tensor.as<T>()) value = static_cast<T>(static_cast<int32_t>((state = state * 1664525u + 1013904223u) >> 24) - 128);
  tensor.as<T>().back() = static_cast<T>(last);
  return tensor;
}

Graph product(const std::string& name, int last) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, {2, 64}), w = graph.add_constant(name, weights_of<float>({64, 80}, last));
  graph.outputs = graph.add_node(newest_op("MatMul"), {x, w}, 1);
  return graph;
}
Graph integer_product(const std::string& name, int last) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kU8, {2, 64}), w = graph.add_constant(name, weights_of<int8_t>({64, 80}, last));
  graph.outputs = graph.add_node(newest_op("MatMulInteger"), {x, w}, 1);
  return graph;
}
Graph convolution(const std::string& name, int last) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, {1, 16, 8, 8}), w = graph.add_constant(name, weights_of<float>({16, 16, 3, 3}, last));
  graph.outputs = graph.add_node(newest_op("Conv"), {x, w}, 1);
  return graph;
}
Graph integer_convolution(const std::string& name, int last) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kU8, {1, 32, 8, 8}), w = graph.add_constant(name, weights_of<int8_t>({32, 32, 3, 3}, last));
  graph.outputs = graph.add_node(newest_op("ConvInteger"), {x, w}, 1);
  return graph;
}
Graph recurrent_layer(const std::string& name, int last) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, {3, 2, 4}), w = graph.add_constant("w", weights_of<float>({1, 128, 4}, 1)),
                r = graph.add_constant(name, weights_of<float>({1, 128, 32}, last));
  graph.outputs = graph.add_node(newest_op("LSTM"), {x, w, r}, 1, {{"hidden_size", int64_t{32}}});
  return graph;
}

// Where the panels of 4,000 bytes and more lie: not those of `w` of the recurrent layer.
std::set<const std::byte*> panels_of(const Plan& plan) {
  std::set<const std::byte*> places;
  for (const std::span<const std::byte> run : plan.packs->runs())
    if (run.size() >= 4'000) places.insert(run.data());
  return places;
}

// By all who pack: in f32, bf16 and integers.
TEST(WeightPool, PanelsOfEqualBitsHaveOneStorageWhateverTheyAreCalled) {
  const std::pair<std::string, std::function<Graph(const std::string&, int)>> kinds[] = {
      {"product", product}, {"integer product", integer_product}, {"convolution", convolution}, {"integer convolution", integer_convolution}, {"recurrent", recurrent_layer}};
  for (const auto& [title, make] : kinds)
    for (const DType precision : {DType::kF32, DType::kBF16}) {
      SCOPED_TRACE(title + " " + std::string(name(precision)));
      WeightPool pool;
      const auto plan = [&](const std::string& constant, int last) {
        return make_plan(make(constant, last), {.precision = precision, .packs = pool.packs(constant + std::to_string(last))});
      };
      auto first = plan("a", 7);
      const auto again = plan("b", 7), other = plan("a", 8);
      const std::set<const std::byte*> shared = panels_of(*first);
      ASSERT_FALSE(shared.empty());
      EXPECT_EQ(panels_of(*again), shared);
      EXPECT_NE(panels_of(*other), shared) << "the last number differs";
      EXPECT_EQ(first->packs->bytes(), again->packs->bytes());
      first.reset();
      EXPECT_EQ(panels_of(*plan("c", 7)), shared) << "they live as long as anybody has them";
    }
}

TEST(PanelPool, KeepsNothingAlive) {
  PanelPool pool;
  const auto panels = [](std::vector<char> bytes) {
    const auto own = std::make_shared<std::vector<char>>(std::move(bytes));
    return Panels{own, {std::as_bytes(std::span(*own))}};
  };
  auto first = pool.share("form", panels({1, 2, 3}));
  EXPECT_EQ(pool.share("form", panels({1, 2, 3})), first);
  EXPECT_NE(pool.share("another", panels({1, 2, 3})), first) << "handles of another form say other things of the same bytes";
  EXPECT_NE(pool.share("form", panels({1, 2, 4})), first);
  EXPECT_NE(pool.share("form", panels({1, 2})), first);
  const std::weak_ptr<const Panels> gone = first;
  first.reset();
  EXPECT_TRUE(gone.expired());
  for (int i = 0; i < 1'000; ++i) pool.share("form", panels({static_cast<char>(i), static_cast<char>(i >> 8)}));  // looks for those that are gone
  EXPECT_EQ(pool.share("form", panels({1, 2, 3}))->runs[0].size(), 3u);
}

}  // namespace
}  // namespace tandem
