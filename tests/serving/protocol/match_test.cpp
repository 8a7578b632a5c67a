#include "serving/protocol/match.h"

#include <gmock/gmock.h>

namespace tandem {
namespace {

using testing::HasSubstr;

const Signature kSignature{{{"age", DType::kF32, {"batch", 1}}, {"job", DType::kString, {"batch"}}},
                           {{"p", DType::kF32, {"batch", 2}}, {"label", DType::kI64, {"batch"}}},
                           true,
                           "batch"};

InferInput ages(const Shape& shape) { return {"age", Tensor(DType::kF32, shape)}; }
InferInput jobs(const Shape& shape) { return {"job", Tensor(DType::kString, shape)}; }
InferRequest request(std::vector<InferInput> inputs) {
  InferRequest request;
  request.inputs = std::move(inputs);
  return request;
}
std::string fault(std::vector<InferInput> inputs) {
  try {
    match_inputs(request(std::move(inputs)), "m", kSignature);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

TEST(Match, InputsComeInTheModelsOrder) {
  const std::vector<Tensor> tensors = match_inputs(request({jobs({3}), ages({3, 1})}), "m", kSignature);
  EXPECT_EQ(tensors[0].dtype(), DType::kF32);
  EXPECT_EQ(tensors[1].dtype(), DType::kString);
}

TEST(Match, TrailingOnesMayDiffer) {
  for (const Shape& age : {Shape{3}, Shape{3, 1}, Shape{3, 1, 1}})
    for (const Shape& job : {Shape{3}, Shape{3, 1}}) {
      const std::vector<Tensor> tensors = match_inputs(request({ages(age), jobs(job)}), "m", kSignature);
      EXPECT_EQ(tensors[0].shape(), (Shape{3, 1}));
      EXPECT_EQ(tensors[1].shape(), Shape{3});
    }
  EXPECT_EQ(fault({ages({1}), jobs({1, 1})}), "accepted");
  EXPECT_EQ(fault({ages({0}), jobs({0, 1})}), "accepted");
}

TEST(Match, WrongShapesNameTheInput) {
  EXPECT_THAT(fault({ages({3, 2}), jobs({3})}),
              HasSubstr("unexpected shape for input 'age' for model 'm'. Expected [-1,1], got [3,2]"));
  EXPECT_THAT(fault({ages({1, 3}), jobs({3})}), HasSubstr("unexpected shape for input 'age'"));
  EXPECT_THAT(fault({ages({}), jobs({3})}), HasSubstr("unexpected shape for input 'age'"));
  EXPECT_THAT(fault({ages({3}), jobs({2})}), HasSubstr("dimension 0 is 2, but input 'age' has 3 there"));
}

TEST(Match, MissingExtraAndMistypedInputs) {
  EXPECT_THAT(fault({ages({3})}),
              HasSubstr("expected 2 inputs but got 1 inputs for model 'm', but missing required input(s) ['job']"));
  EXPECT_THAT(fault({ages({3}), jobs({3}), {"zip", Tensor(DType::kF32, {3})}}),
              HasSubstr("unexpected inference input 'zip' for model 'm'"));
  EXPECT_THAT(fault({{"age", Tensor(DType::kI64, {3})}, jobs({3})}),
              HasSubstr("inference input 'age' data-type is 'INT64', but model 'm' expects 'FP32'"));
}

TEST(Match, OutputsAreThoseAskedForOrAll) {
  InferRequest asked;
  EXPECT_EQ(match_outputs(asked, "m", kSignature).size(), 2u);
  asked.binary_output = true;
  asked.outputs = {{"label", false, 0}, {"p", std::nullopt, 1}};
  const auto choices = match_outputs(asked, "m", kSignature);
  EXPECT_EQ(choices[0].index, 1u);
  EXPECT_FALSE(choices[0].binary);
  EXPECT_EQ(choices[1].index, 0u);
  EXPECT_TRUE(choices[1].binary);
  EXPECT_EQ(choices[1].classes, 1);
  asked.outputs = {{"q", std::nullopt, 0}};
  EXPECT_THROW(
      {
        try {
          match_outputs(asked, "m", kSignature);
        } catch (const Error& error) {
          EXPECT_THAT(error.what(), HasSubstr("unexpected inference output 'q' for model 'm'"));
          throw;
        }
      },
      Error);
}

}  // namespace
}  // namespace tandem
