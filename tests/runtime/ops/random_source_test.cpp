// Nodes of random numbers: a seed repeats the sequence of runs, each run gives other numbers, and without a seed so does each
// plan.
#include <gtest/gtest.h>

#include "runtime/exec/executor.h"
#include "runtime/plan/plan.h"
#include "tests/support/graph_builder.h"

namespace tandem {
namespace {

Executor executor_of(Attributes attributes) {
  Graph graph;
  attributes["shape"] = std::vector<int64_t>{16};
  graph.outputs = {testing::add(graph, "RandomNormal", {}, std::move(attributes))};
  return Executor(make_plan(graph, {}));
}
std::vector<float> numbers_of(Executor& executor) {
  const auto values = executor.run({})[0].as<float>();
  return {values.begin(), values.end()};
}

TEST(RandomSource, RepeatsBySeedFromTheFirstRunOn) {
  Executor a = executor_of({{"seed", 4.0f}}), b = executor_of({{"seed", 4.0f}}), c = executor_of({{"seed", 5.0f}});
  const std::vector<float> first = numbers_of(a), second = numbers_of(a);
  EXPECT_NE(first, second);
  EXPECT_EQ(first, numbers_of(b));
  EXPECT_EQ(second, numbers_of(b));
  EXPECT_NE(first, numbers_of(c));
}

TEST(RandomSource, TakesAKeyOfItsOwnWithoutASeed) {
  Executor a = executor_of({}), b = executor_of({});
  EXPECT_NE(numbers_of(a), numbers_of(b));
}

}  // namespace
}  // namespace tandem
