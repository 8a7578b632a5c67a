// What is run before a model is ready shows in the memory that it is planned for: sizes beyond the first plan make it larger.
#include "serving/engine/warm_up.h"

#include <gtest/gtest.h>

#include "kernels/base/error.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

Graph doubling(Dims dims) {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, std::move(dims));
  const ValueId y = graph.add_node(newest_op("Add"), {x, x}, 1)[0];
  graph.outputs = graph.add_node(newest_op("Mul"), {y, x}, 1);
  return graph;
}

int64_t planned_after(Dims dims, std::optional<BatchSizes> sizes, int lanes = 3) {
  ModelOptions options;
  options.lanes = lanes;
  options.batch_sizes = std::move(sizes);
  Model model("m", 1, doubling(std::move(dims)), options);
  WarmUpThreads threads;
  warm_up_batch_sizes(model, threads);
  return model.peak_bytes();
}

TEST(WarmUp, RunsTheSizesThatWereDeclared) {
  const int64_t small = planned_after({"n", 100}, std::nullopt);
  EXPECT_EQ(planned_after({"n", 100}, BatchSizes{{1, 64}, "here"}), small);
  EXPECT_EQ(planned_after({"n", 100}, BatchSizes{{}, "here"}), small);
  EXPECT_GE(planned_after({"n", 100}, BatchSizes{{1, 256}, "here"}), 4 * small);
  EXPECT_GE(planned_after({"n", 100}, BatchSizes{{1, 256}, "here"}, 1), 4 * small);
}

TEST(WarmUp, LeavesToRequestsWhatOnlyTheyKnow) {
  EXPECT_EQ(planned_after({"n", "length"}, BatchSizes{{1, 256}, "here"}), planned_after({"n", "length"}, std::nullopt));
}

TEST(WarmUp, DeclaredSizesThatDoNotFitAreRefused) {
  MemoryBudget budget(3'000'000);
  ModelOptions options;
  options.budget = &budget;
  options.batch_sizes = BatchSizes{{1'000}, "here"};
  Model model("m", 1, doubling({"n", 1'000}), options);
  WarmUpThreads threads;
  EXPECT_THROW(warm_up_batch_sizes(model, threads), DoesNotFit);
}

}  // namespace
}  // namespace tandem
