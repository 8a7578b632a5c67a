#include "serving/protocol/infer_response.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "runtime/graph/tensor.h"

namespace tandem {
namespace {

using nlohmann::json;

InferResponse write(const std::vector<AnswerTensor>& outputs, const std::optional<std::string>& id = {}) {
  return write_infer_response("m", 3, id, outputs);
}

TEST(InferResponse, JsonIsFlatAndComplete) {
  const Tensor y = Tensor::of<float>({2, 2}, {0.25f, -1, 1e-20f, 3}),
               s = Tensor::strings({2}, std::vector<std::string>{"<=50K", "ü"});
  const InferResponse response = write({{"y", y.view()}, {"s", s.view()}}, "abc");
  EXPECT_FALSE(response.json_bytes.has_value());
  EXPECT_EQ(json::parse(response.body), json::parse(R"({"id":"abc","model_name":"m","model_version":"3","outputs":[
    {"name":"y","datatype":"FP32","shape":[2,2],"data":[0.25,-1,1e-20,3]},
    {"name":"s","datatype":"BYTES","shape":[2],"data":["<=50K","ü"]}]})"));
}

TEST(InferResponse, NoIdUnlessThereWasOne) { EXPECT_FALSE(json::parse(write({}).body).contains("id")); }

TEST(InferResponse, BinaryFollowsTheJsonInOrder) {
  const Tensor a = Tensor::of<int64_t>({2}, {1, -1}), s = Tensor::strings({2}, std::vector<std::string>{"ab", ""}),
               b = Tensor::of<bool>({1}, {true});
  const InferResponse response = write({{"a", a.view(), true}, {"b", b.view()}, {"s", s.view(), true}});
  ASSERT_TRUE(response.json_bytes.has_value());
  const json head = json::parse(response.body.substr(0, *response.json_bytes));
  EXPECT_EQ(head["outputs"][0]["parameters"]["binary_data_size"], 16);
  EXPECT_FALSE(head["outputs"][0].contains("data"));
  EXPECT_EQ(head["outputs"][1]["data"], json({true}));
  EXPECT_EQ(head["outputs"][2]["parameters"]["binary_data_size"], 10);
  const std::string blob = response.body.substr(*response.json_bytes);
  EXPECT_EQ(blob, std::string("\1\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\2\0\0\0ab\0\0\0\0", 26));
}

TEST(InferResponse, AnEmptyBinaryTensorNeedsNoHeader) {
  const Tensor a(DType::kF32, {0, 3});
  EXPECT_FALSE(write({{"a", a.view(), true}}).json_bytes.has_value());
}

TEST(InferResponse, WhatJsonHasNoFormForIsNull) {
  const Tensor y = Tensor::of<float>({3}, {std::nanf(""), INFINITY, -INFINITY});
  EXPECT_THAT(write({{"y", y.view()}}).body, testing::HasSubstr("[null,null,null]"));
}

TEST(InferResponse, BytesThatAreNoTextMustBeAskedForAsBinary) {
  const Tensor s = Tensor::strings({1}, std::vector<std::string>{"\xFF"});
  EXPECT_THROW(write({{"s", s.view()}}), Error);
  EXPECT_TRUE(write({{"s", s.view(), true}}).json_bytes.has_value());
}

TEST(InferResponse, ClassificationGivesTheBestOfEachRow) {
  const Tensor y = Tensor::of<float>({2, 3}, {0.1f, 0.7f, 0.2f, 5, std::nanf(""), 5});
  const json output = json::parse(write({{"y", y.view(), false, 2, true}}).body)["outputs"][0];
  EXPECT_EQ(output["datatype"], "BYTES");
  EXPECT_EQ(output["shape"], json({2, 2}));
  EXPECT_EQ(output["data"], json({"0.700000:1", "0.200000:2", "5.000000:0", "5.000000:2"}));
  const json all = json::parse(write({{"y", y.view(), false, 99, false}}).body)["outputs"][0];
  EXPECT_EQ(all["shape"], json({6}));
  EXPECT_EQ(all["data"][5], "nan:4");
}

}  // namespace
}  // namespace tandem
