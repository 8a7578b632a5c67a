// Padding and cutting against what a loop over single elements says; then requests of different lengths in one batch of a real model.
#include "serving/engine/length_buckets.h"

#include <gmock/gmock.h>

#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"
#include "serving/engine/served_model.h"
#include "tests/serving/held_lanes.h"

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Signature text_signature() {
  Signature signature;
  signature.inputs = {{"ids", DType::kI64, {"n", "length"}}, {"mask", DType::kF32, {"n", "length", 2}}, {"x", DType::kF32, {"n", 3}}};
  signature.outputs = {{"y", DType::kF32, {"n", 2, "length"}}, {"z", DType::kF32, {"n"}}};
  signature.batched = true;
  signature.batch_symbol = "n";
  return signature;
}

std::string refusal_of(std::string_view text) {
  try {
    LengthBuckets(text, text_signature());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "";
}

TEST(LengthBuckets, SaysWhatIsWrong) {
  EXPECT_EQ(refusal_of("length: 4, 8"), "");
  EXPECT_EQ(refusal_of(" length :8,4 ; ids = 1 , mask=-2 "), "");
  EXPECT_THAT(refusal_of("4, 8"), HasSubstr("is written"));
  EXPECT_THAT(refusal_of("length: 4, x"), HasSubstr("is written"));
  EXPECT_THAT(refusal_of("length: 4, 4"), HasSubstr("different"));
  EXPECT_THAT(refusal_of("length: 0"), HasSubstr("from 1"));
  EXPECT_THAT(refusal_of("width: 4"), HasSubstr("no input"));
  EXPECT_THAT(refusal_of("n: 4"), HasSubstr("batch"));
  EXPECT_THAT(refusal_of("length: 4; words = 1"), HasSubstr("not there"));
}

TEST(LengthBuckets, PadsEveryInputWithItsOwnNumber) {
  const LengthBuckets buckets("length: 4, 8; ids = 7", text_signature());
  std::vector<Tensor> inputs = {Tensor::of<int64_t>({2, 3}, {1, 2, 3, 4, 5, 6}), Tensor::of<float>({2, 3, 2}, std::vector<float>(12, 1.0f)),
                                Tensor::of<float>({2, 3}, std::vector<float>(6, 9.0f))};
  EXPECT_EQ(buckets.pad(inputs), 3);
  EXPECT_THAT(inputs[0].as<int64_t>(), ElementsAre(1, 2, 3, 7, 4, 5, 6, 7));
  EXPECT_EQ(inputs[1].shape(), Shape({2, 4, 2}));
  EXPECT_THAT(inputs[1].as<float>(), ElementsAre(1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0));
  EXPECT_EQ(inputs[2].shape(), Shape({2, 3}));
}

TEST(LengthBuckets, LeavesAloneWhatFitsOrFitsNowhere) {
  const LengthBuckets buckets("length: 4, 8", text_signature());
  for (const int64_t length : {4, 8, 9, 0}) {
    std::vector<Tensor> inputs = {Tensor(DType::kI64, {1, length}), Tensor(DType::kF32, {1, length, 2}), Tensor(DType::kF32, {1, 3})};
    EXPECT_FALSE(buckets.pad(inputs)) << length;
    EXPECT_EQ(inputs[0].shape(), Shape({1, length}));
  }
  std::vector<Tensor> differing = {Tensor(DType::kI64, {1, 3}), Tensor(DType::kF32, {1, 2, 2}), Tensor(DType::kF32, {1, 3})};
  EXPECT_FALSE(buckets.pad(differing));
}

TEST(LengthBuckets, CutsAnswersBack) {
  const LengthBuckets buckets("length: 4", text_signature());
  std::vector<float> values(16);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const Tensor y = Tensor::of<float>({2, 2, 4}, values), z = Tensor::of<float>({2}, {1, 2});
  std::vector<Tensor> owner;
  const std::vector<ConstTensorView> outputs{y.view(), z.view()};
  const auto cut = buckets.cut(outputs, 3, owner);
  EXPECT_EQ(cut[0].shape, Shape({2, 2, 3}));
  EXPECT_THAT(cut[0].as<float>(), ElementsAre(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14));
  EXPECT_EQ(cut[1].shape, Shape({2}));
}

// y = x + x: requests of 2 and 3 columns run as one batch of 4, and each gets its own columns.
TEST(LengthBuckets, LengthsShareABatch) {
  TestClock clock;
  HeldWorkers workers;
  ServerMetrics metrics{"1"};
  Dispatcher dispatcher{workers, clock};
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  const ValueId x = graph.add_input("x", DType::kF32, {"n", "length"});
  graph.outputs = graph.add_node(newest_op("Add"), {x, x}, 1);
  ModelOptions options;
  options.config.parameters["length_buckets"] = "length: 4, 8";
  const auto served = std::make_shared<ServedModel>(std::make_shared<Model>("m", 1, std::move(graph), options), BatchingOptions{.max_batch_size = 8},
                                                    ServingContext{dispatcher, metrics, clock});
  std::vector<std::vector<float>> answers(2);
  int64_t batch_rows = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const auto call = std::make_shared<InferenceCall>(
        [&, i](std::span<const ConstTensorView> outputs, const RunRecord& record) {
          answers[i].assign(outputs[0].as<float>().begin(), outputs[0].as<float>().end());
          batch_rows = record.batch_rows;
        },
        [](const std::exception_ptr& thrown) { std::rethrow_exception(thrown); });
    call->inputs = {i == 0 ? Tensor::of<float>({1, 2}, {1, 2}) : Tensor::of<float>({1, 3}, {3, 4, 5})};
    served->infer(call);
  }
  workers.run_all();
  EXPECT_EQ(batch_rows, 2);
  EXPECT_THAT(answers[0], ElementsAre(2, 4));
  EXPECT_THAT(answers[1], ElementsAre(6, 8, 10));
}

}  // namespace
}  // namespace tandem
