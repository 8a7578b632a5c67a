#include "serving/protocol/metadata.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "serving/protocol/datatype.h"

namespace tandem {
namespace {

using nlohmann::json;

const Signature kSignature{{{"age", DType::kF32, {"batch"}}, {"image", DType::kU8, {"batch", 28, Dim()}}},
                           {{"s", DType::kString, {"batch", 2}}},
                           true,
                           "batch"};

TEST(Metadata, ModelMetadataShowsTheBatchAndUnknownsAsMinusOne) {
  const std::vector<int64_t> versions{1, 12};
  EXPECT_EQ(json::parse(model_metadata_json("m", versions, kSignature)), json::parse(R"({"name":"m","versions":["1","12"],
    "platform":"tandem_onnx","inputs":[{"name":"age","datatype":"FP32","shape":[-1]},{"name":"image","datatype":"UINT8","shape":[-1,28,-1]}],
    "outputs":[{"name":"s","datatype":"BYTES","shape":[-1,2]}]})"));
}

TEST(Metadata, ConfigLeavesTheBatchOut) {
  const json config = json::parse(model_config_json("m", kSignature, 64, 2));
  EXPECT_EQ(config["max_batch_size"], 64);
  EXPECT_EQ(config["input"][0]["dims"], json({1}));
  EXPECT_EQ(config["input"][0]["reshape"]["shape"], json::array());
  EXPECT_EQ(config["input"][1]["dims"], json({28, -1}));
  EXPECT_EQ(config["output"][0]["data_type"], "TYPE_STRING");
  EXPECT_EQ(config["model_transaction_policy"]["decoupled"], false);
  EXPECT_EQ(json::parse(model_config_json("m", kSignature, 0, 2))["input"][1]["dims"], json({-1, 28, -1}));
}

TEST(Metadata, IndexTellsStatesAndReasons) {
  const std::vector<ModelListing> listings{{"a", 1, true, "", nullptr}, {"b", 0, false, "no version folder", nullptr}};
  EXPECT_EQ(
      json::parse(repository_index_json(listings, false)),
      json::parse(
          R"([{"name":"a","version":"1","state":"READY"},{"name":"b","state":"UNAVAILABLE","reason":"no version folder"}])"));
  EXPECT_EQ(json::parse(repository_index_json(listings, true)).size(), 1u);
}

TEST(Metadata, ReadyFilterIsOptionalAndABool) {
  EXPECT_FALSE(parse_ready_filter(""));
  EXPECT_FALSE(parse_ready_filter("{}"));
  EXPECT_TRUE(parse_ready_filter(R"({"ready":true})"));
  for (const char* body : {"[]", "{", R"({"ready":1})", R"({"ready":null})"})
    EXPECT_THROW(parse_ready_filter(body), Error) << body;
}

TEST(Metadata, WireNamesGoBothWays) {
  for (int i = 1; i <= 16; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (wire_name(dtype).empty()) continue;
    EXPECT_EQ(dtype_of_wire_name(wire_name(dtype)), dtype);
  }
  EXPECT_EQ(dtype_of_wire_name("fp32"), DType::kUndefined);
  EXPECT_EQ(dtype_of_wire_name(""), DType::kUndefined);
}

TEST(Metadata, ErrorsAreEscaped) { EXPECT_EQ(json::parse(error_json("a \"b\"\n\x1b[31m"))["error"], "a \"b\"\n\x1b[31m"); }

}  // namespace
}  // namespace tandem
