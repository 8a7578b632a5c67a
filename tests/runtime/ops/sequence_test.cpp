// Ops that take or make sequences and optional values, node by node through the executor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/exec/executor.h"
#include "runtime/ops/all_ops.h"
#include "runtime/plan/plan.h"

namespace tandem {
namespace {

constexpr int kOpset = 18;

Tensor row(std::vector<float> values) { return Tensor::of<float>({static_cast<int64_t>(values.size())}, values); }
Tensor number(int64_t value) { return Tensor::scalar<int64_t>(value); }
std::vector<float> floats(const Tensor& tensor) { return {tensor.as<float>().begin(), tensor.as<float>().end()}; }
RunValue rows(std::vector<Tensor> tensors) { return RunValue::of(DType::kF32, std::move(tensors)); }
RunValue optional(RunValue value, bool present = true) {
  value.container = value.is_sequence() ? Container::kOptionalSequence : Container::kOptional;
  value.present = present;
  return value;
}

// One node on these inputs, none of whose shapes is known before the run.
RunValue run(std::string_view op, const std::vector<RunValue>& inputs, const Attributes& attributes = {}, int opset = kOpset) {
  Graph graph;
  graph.opsets[""] = opset;
  std::vector<ValueId> ids;
  for (size_t i = 0; i < inputs.size(); ++i) {
    ids.push_back(graph.add_input("x" + std::to_string(i), inputs[i].dtype, {}));
    graph.value(ids.back()).type = {inputs[i].dtype, std::nullopt, inputs[i].container};
  }
  graph.outputs = graph.add_node(find_op("", op, opset), ids, 1, attributes);
  Executor executor(make_plan(graph, {}));
  return executor.run_values(inputs)[0];
}
std::string error_of(std::string_view op, const std::vector<RunValue>& inputs, const Attributes& attributes = {}) {
  try {
    run(op, inputs, attributes);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "";
}

const RunValue kThree = rows({row({1}), row({2, 3}), row({})});

TEST(Sequence, IsMadeOfTensors) {
  const RunValue made = run("SequenceConstruct", {RunValue::of(row({1, 2})), RunValue::of(row({3}))});
  EXPECT_EQ(made.container, Container::kSequence);
  ASSERT_EQ(made.sequence.size(), 2u);
  EXPECT_EQ(floats(made.sequence[1]), (std::vector<float>{3}));
  EXPECT_EQ(run("SequenceEmpty", {}, {{"dtype", int64_t{7}}}).dtype, DType::kI64);
  EXPECT_THAT(error_of("SequenceEmpty", {}, {{"dtype", int64_t{99}}}), testing::HasSubstr("element type"));
  EXPECT_THAT(error_of("SequenceConstruct", {RunValue::of(row({1})), RunValue::of(number(1))}), testing::HasSubstr("types"));
}

TEST(Sequence, IsReadByPosition) {
  EXPECT_EQ(run("SequenceLength", {kThree}).tensor.as<int64_t>()[0], 3);
  EXPECT_EQ(floats(run("SequenceAt", {kThree, RunValue::of(number(1))}).tensor), (std::vector<float>{2, 3}));
  EXPECT_EQ(floats(run("SequenceAt", {kThree, RunValue::of(number(-3))}).tensor), (std::vector<float>{1}));
  EXPECT_THAT(error_of("SequenceAt", {kThree, RunValue::of(number(3))}), testing::HasSubstr("outside the sequence"));
  EXPECT_THAT(error_of("SequenceAt", {kThree, RunValue::of(number(-4))}), testing::HasSubstr("outside the sequence"));
}

TEST(Sequence, GrowsAndShrinks) {
  const RunValue nine = RunValue::of(row({9}));
  EXPECT_EQ(floats(run("SequenceInsert", {kThree, nine}).sequence[3]), (std::vector<float>{9}));
  EXPECT_EQ(floats(run("SequenceInsert", {kThree, nine, RunValue::of(number(-1))}).sequence[2]), (std::vector<float>{9}));
  EXPECT_EQ(floats(run("SequenceInsert", {kThree, nine, RunValue::of(number(3))}).sequence[3]), (std::vector<float>{9}));
  EXPECT_THAT(error_of("SequenceInsert", {kThree, nine, RunValue::of(number(4))}), testing::HasSubstr("outside the sequence"));
  EXPECT_THAT(error_of("SequenceInsert", {kThree, RunValue::of(number(4))}), testing::HasSubstr("another type"));
  EXPECT_EQ(run("SequenceErase", {kThree}).sequence.size(), 2u);
  EXPECT_EQ(floats(run("SequenceErase", {kThree, RunValue::of(number(0))}).sequence[0]), (std::vector<float>{2, 3}));
  EXPECT_THAT(error_of("SequenceErase", {rows({})}), testing::HasSubstr("nothing to erase"));
}

TEST(Sequence, IsCutFromATensorAndJoined) {
  const RunValue x = RunValue::of(Tensor::of<float>({3, 2}, {1, 2, 3, 4, 5, 6}));
  const RunValue one_by_one = run("SplitToSequence", {x}, {{"axis", int64_t{1}}});
  ASSERT_EQ(one_by_one.sequence.size(), 2u);
  EXPECT_EQ(to_string(one_by_one.sequence[1].shape()), "[3, 1]");
  EXPECT_EQ(floats(one_by_one.sequence[1]), (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(to_string(run("SplitToSequence", {x}, {{"keepdims", int64_t{0}}}).sequence[0].shape()), "[2]");
  const RunValue by_two = run("SplitToSequence", {x, RunValue::of(number(2))}, {{"keepdims", int64_t{0}}});
  ASSERT_EQ(by_two.sequence.size(), 2u);
  EXPECT_EQ(to_string(by_two.sequence[1].shape()), "[1, 2]");
  const RunValue sizes = RunValue::of(Tensor::of<int64_t>({3}, {0, 2, 1}));
  EXPECT_EQ(to_string(run("SplitToSequence", {x, sizes}).sequence[0].shape()), "[0, 2]");
  EXPECT_THAT(error_of("SplitToSequence", {x, RunValue::of(Tensor::of<int64_t>({1}, {2}))}), testing::HasSubstr("add up"));
  EXPECT_THAT(error_of("SplitToSequence", {x, RunValue::of(number(0))}), testing::HasSubstr("positive"));

  EXPECT_EQ(floats(run("ConcatFromSequence", {kThree}, {{"axis", int64_t{0}}}).tensor), (std::vector<float>{1, 2, 3}));
  const RunValue stacked =
      run("ConcatFromSequence", {rows({row({1, 2}), row({3, 4})})}, {{"axis", int64_t{-1}}, {"new_axis", int64_t{1}}});
  EXPECT_EQ(to_string(stacked.tensor.shape()), "[2, 2]");
  EXPECT_EQ(floats(stacked.tensor), (std::vector<float>{1, 3, 2, 4}));
  EXPECT_THAT(error_of("ConcatFromSequence", {rows({})}, {{"axis", int64_t{0}}}), testing::HasSubstr("empty sequence"));
  EXPECT_THAT(error_of("ConcatFromSequence", {kThree}, {{"axis", int64_t{0}}, {"new_axis", int64_t{1}}}),
              testing::HasSubstr("another shape"));
}

TEST(Sequence, OfTextOwnsItsText) {
  const std::vector<std::string> words = {"first and long enough for the heap", "second and long enough for the heap"};
  const RunValue cut = run("SplitToSequence", {RunValue::of(Tensor::strings({2}, words))});
  ASSERT_EQ(cut.sequence.size(), 2u);
  EXPECT_EQ(cut.sequence[1].as<std::string_view>()[0], words[1]);
  EXPECT_EQ(run("ConcatFromSequence", {cut}, {{"axis", int64_t{0}}}).tensor.as<std::string_view>()[0], words[0]);
}

TEST(Sequence, IsMappedByABody) {
  auto body = std::make_shared<Graph>();
  body->opsets[""] = kOpset;
  const ValueId element = body->add_input("element", DType::kF32, {}), same = body->add_input("same", DType::kF32, {});
  for (ValueId id : {element, same}) body->value(id).type.dims.reset();
  body->outputs = body->add_node(find_op("", "Add", kOpset), {element, same}, 1);
  const RunValue made = run("SequenceMap", {kThree, RunValue::of(row({10}))}, {{"body", Subgraph(body)}});
  ASSERT_EQ(made.sequence.size(), 3u);
  EXPECT_EQ(floats(made.sequence[1]), (std::vector<float>{12, 13}));
  EXPECT_EQ(floats(made.sequence[2]), (std::vector<float>{}));
  EXPECT_THAT(error_of("SequenceMap", {kThree, rows({row({1})})}, {{"body", Subgraph(body)}}),
              testing::HasSubstr("different lengths"));
}

TEST(Optional, HoldsATensorASequenceOrNothing) {
  const RunValue tensor = RunValue::of(row({1}));
  EXPECT_EQ(run("Optional", {tensor}).container, Container::kOptional);
  EXPECT_EQ(run("Optional", {kThree}).container, Container::kOptionalSequence);
  const std::vector<int64_t> type = {static_cast<int64_t>(Container::kSequence), static_cast<int64_t>(DType::kF32)};
  const RunValue nothing = run("Optional", {}, {{"type", type}});
  EXPECT_EQ(nothing.container, Container::kOptionalSequence);
  EXPECT_FALSE(nothing.present);
  EXPECT_THAT(error_of("Optional", {}), testing::HasSubstr("type is required"));

  const auto has = [](const std::vector<RunValue>& inputs) { return run("OptionalHasElement", inputs).tensor.as<bool>()[0]; };
  EXPECT_TRUE(has({optional(tensor)}));
  EXPECT_TRUE(has({tensor}));
  EXPECT_TRUE(has({kThree}));
  EXPECT_FALSE(has({optional(rows({}), false)}));
  EXPECT_FALSE(has({}));
  EXPECT_EQ(floats(run("OptionalGetElement", {optional(tensor)}).tensor), (std::vector<float>{1}));
  EXPECT_EQ(run("OptionalGetElement", {optional(kThree)}).sequence.size(), 3u);
  EXPECT_THAT(error_of("OptionalGetElement", {optional(rows({}), false)}), testing::HasSubstr("holds nothing"));
}

TEST(Identity, PassesSequencesAndOptionalValues) {
  EXPECT_EQ(run("Identity", {kThree}).sequence.size(), 3u);
  EXPECT_EQ(run("Identity", {optional(kThree)}).container, Container::kOptionalSequence);
  EXPECT_FALSE(run("Identity", {optional(rows({}), false)}).present);
}

}  // namespace
}  // namespace tandem
