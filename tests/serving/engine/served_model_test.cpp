// Requests joined to batches and taken apart again, on a model that is run for real.
#include "serving/engine/served_model.h"

#include <gmock/gmock.h>

#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"
#include "tests/serving/held_lanes.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

struct Answer {
  std::vector<float> values;
  RunRecord record;
  std::string error;
  int told = 0;
};

class ServedModelTest : public testing::Test {
 protected:
  // y = x + x, z = Gather(table, i): an index beyond the table fails the batch it is in.
  std::shared_ptr<ServedModel> serve(BatchingOptions batching, const BatchCost& cost = {}) {
    Graph graph;
    graph.opsets = {{"", kOnnxOpset}};
    const ValueId x = graph.add_input("x", DType::kF32, {"n", "width"}), i = graph.add_input("i", DType::kI64, {"n"});
    const ValueId table = graph.add_constant("table", Tensor::of<float>({3}, {10, 20, 30}));
    graph.outputs = graph.add_node(newest_op("Add"), {x, x}, 1);
    graph.outputs.push_back(graph.add_node(newest_op("Gather"), {table, i}, 1)[0]);
    auto model = std::make_shared<Model>("m", 1, std::move(graph), ModelOptions{});
    return std::make_shared<ServedModel>(std::move(model), batching, ServingContext{dispatcher, metrics, clock}, cost);
  }

  std::shared_ptr<Answer> ask(ServedModel& served, std::vector<float> x, std::vector<int64_t> indices) {
    const auto rows = static_cast<int64_t>(indices.size()), width = static_cast<int64_t>(x.size()) / rows;
    auto answer = std::make_shared<Answer>();
    auto call = std::make_shared<InferenceCall>(
        [answer](std::span<const ConstTensorView> outputs, const RunRecord& record) {
          for (const ConstTensorView& output : outputs)
            for (float value : output.as<float>()) answer->values.push_back(value);
          answer->record = record;
          ++answer->told;
        },
        [answer](const std::exception_ptr& thrown) {
          try {
            std::rethrow_exception(thrown);
          } catch (const std::exception& error) {
            answer->error = error.what();
          }
          ++answer->told;
        });
    call->inputs = {Tensor::of<float>({rows, width}, x), Tensor::of<int64_t>({rows}, indices)};
    call->arrived = clock.time;
    served.infer(call);
    return answer;
  }

  TestClock clock;
  HeldWorkers workers{2};
  ServerMetrics metrics{"1"};
  Dispatcher dispatcher{workers, clock};
};

TEST_F(ServedModelTest, ItsWeightIsANumber) {
  const auto serve_with = [&](const std::string& weight) {
    Graph graph;
    graph.opsets = {{"", kOnnxOpset}};
    graph.outputs = graph.add_node(newest_op("Identity"), {graph.add_input("x", DType::kF32, {"n"})}, 1);
    ModelOptions options;
    options.config.parameters["weight"] = weight;
    ServedModel(std::make_shared<Model>("m", 1, std::move(graph), options), {}, ServingContext{dispatcher, metrics, clock});
  };
  EXPECT_NO_THROW(serve_with("2.5"));
  for (const char* wrong : {"", "heavy", "0", "-1", "1e9", "nan", "2 "}) EXPECT_THROW(serve_with(wrong), Error) << wrong;
}

TEST_F(ServedModelTest, EachRequestGetsItsRowsOfTheBatch) {
  const auto served = serve({.max_batch_size = 8});
  const auto a = ask(*served, {1}, {0}), b = ask(*served, {2, 3}, {1, 2}), c = ask(*served, {4}, {0});
  clock.time += 1ms;
  workers.run_all();
  EXPECT_THAT(a->values, ElementsAre(2, 10));
  EXPECT_THAT(b->values, ElementsAre(4, 6, 20, 30));
  EXPECT_THAT(c->values, ElementsAre(8, 10));
  EXPECT_EQ(b->record.batch_rows, 4);
  EXPECT_EQ(b->record.first_row, 1);
  const ModelStatistics statistics = served->statistics();
  EXPECT_EQ(statistics.inferences, 4u);
  EXPECT_EQ(statistics.executions, 1u);
  EXPECT_EQ(statistics.success.count, 3u);
  EXPECT_EQ(statistics.queue.count, 3u);
  EXPECT_EQ(statistics.queue.time, 3ms);
  ASSERT_EQ(statistics.batches.size(), 1u);
  EXPECT_EQ(statistics.batches.begin()->first, 4);
}

TEST_F(ServedModelTest, WhatWouldMissTheTargetIsCountedAsRefusedWithoutBeingRead) {
  BatchCost cost;
  cost.observe(1, 1);
  const auto served = serve({.max_batch_size = 8, .slo = Slo{0.99, 1us}}, cost);
  EXPECT_FALSE(served->overload(clock.time)) << "a lane is free";
  const auto first = ask(*served, {1}, {0}), second = ask(*served, {1}, {0});
  ASSERT_EQ(first->told + second->told, 0) << "one for each of the lanes, which are held";
  clock.time += 1s;
  const auto refusal = served->overload(clock.time - 1s);
  ASSERT_TRUE(refusal);
  EXPECT_STREQ(refusal->what(), "'m' is overloaded: the answer would miss p99=1us");
  EXPECT_EQ(served->statistics().fail.count, 1u);
  EXPECT_EQ(served->statistics().fail.time, 1s);
  EXPECT_THAT(metrics.text(), testing::HasSubstr(R"(tandem_inference_failures_total{model="m",reason="rejected",version="1"} 1)"));
  EXPECT_THAT(metrics.text(), testing::HasSubstr(R"(tandem_inference_in_flight{model="m",version="1"} 2)"));
}

TEST_F(ServedModelTest, OtherShapesAreOtherBatches) {
  const auto served = serve({.max_batch_size = 8});
  const auto a = ask(*served, {1, 2}, {0}), b = ask(*served, {3}, {1});
  workers.run_all();
  EXPECT_THAT(a->values, ElementsAre(2, 4, 10));
  EXPECT_THAT(b->values, ElementsAre(6, 20));
  EXPECT_EQ(served->statistics().executions, 2u);
}

TEST_F(ServedModelTest, ABadRequestFailsAlone) {
  const auto served = serve({.max_batch_size = 8});
  const auto a = ask(*served, {1}, {0}), bad = ask(*served, {2}, {7}), c = ask(*served, {3}, {2});
  workers.run_all();
  EXPECT_THAT(a->values, ElementsAre(2, 10));
  EXPECT_THAT(c->values, ElementsAre(6, 30));
  EXPECT_NE(bad->error, "");
  for (const auto& answer : {a, bad, c}) EXPECT_EQ(answer->told, 1);
  EXPECT_EQ(served->statistics().success.count, 2u);
  EXPECT_EQ(served->statistics().fail.count, 1u);
}

TEST_F(ServedModelTest, AnEmptyBatchIsAnsweredToo) {
  const auto served = serve({.max_batch_size = 8});
  auto answer = std::make_shared<Answer>();
  auto call = std::make_shared<InferenceCall>(
      [answer](std::span<const ConstTensorView> outputs, const RunRecord&) { answer->told += outputs[0].shape[0] == 0; },
      [](const std::exception_ptr&) {});
  call->inputs = {Tensor(DType::kF32, {0, 2}), Tensor(DType::kI64, {0})};
  served->infer(call);
  const auto b = ask(*served, {3, 4}, {1});
  workers.run_all();
  EXPECT_EQ(answer->told, 1);
  EXPECT_THAT(b->values, ElementsAre(6, 8, 20));
}

TEST_F(ServedModelTest, BatchesAreBoundedByTheTimeTheyTake) {
  const auto served = serve({.max_batch_size = 64, .max_batch_time = 2ms});
  for (int i = 0; i < 5; ++i) ask(*served, {1}, {0});
  workers.run_all();
  EXPECT_EQ(served->statistics().batches.begin()->first, 1) << "nothing is known yet, so the first runs alone";
}

}  // namespace
}  // namespace tandem
