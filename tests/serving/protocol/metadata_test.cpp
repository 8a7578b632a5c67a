#include "serving/protocol/metadata.h"

#include "serving/protocol/base64.h"

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

TEST(Metadata, AModelWithATargetSaysSo) {
  const std::vector<int64_t> versions{1};
  const json printed = json::parse(model_metadata_json("m", versions, kSignature, {}, {.slo = parse_slo("p99=20ms"), .lanes_per_batch = 2}));
  EXPECT_EQ(printed["parameters"], json::parse(R"({"slo":"p99=20ms","lanes_per_batch":2})"));
}

// Keys of the objects and elements that Triton prints too, so that clients may index without looking.
TEST(Metadata, ConfigIsPrintedAsTritonDoes) {
  ServingConfig config = parse_model_config(R"(
    dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 100 default_queue_policy { timeout_action: DELAY }
                       priority_levels: 2 default_priority_level: 1 priority_queue_policy { key: 2 value { max_queue_size: 3 } } }
    parameters { key: "k" value { string_value: "v" } } metric_tags { key: "a" value: "b" })");
  complete_model_config(config, {"m", kSignature, 64, 2});
  const json printed = json::parse(model_config_json(config));
  EXPECT_EQ(printed["max_batch_size"], 64);
  EXPECT_EQ(printed["input"][0], json::parse(R"({"name":"age","data_type":"TYPE_FP32","format":"FORMAT_NONE","dims":[1],
    "reshape":{"shape":[]},"is_shape_tensor":false,"allow_ragged_batch":false,"optional":false,"is_non_linear_format_io":false})"));
  EXPECT_EQ(printed["input"][1]["dims"], json({28, -1}));
  EXPECT_EQ(printed["output"][0]["data_type"], "TYPE_STRING");
  EXPECT_EQ(printed["dynamic_batching"], json::parse(R"({"preferred_batch_size":[4],"max_queue_delay_microseconds":100,
    "preserve_ordering":false,"priority_levels":2,"default_priority_level":1,
    "default_queue_policy":{"timeout_action":"DELAY","default_timeout_microseconds":0,"allow_timeout_override":false,"max_queue_size":0},
    "priority_queue_policy":{"2":{"timeout_action":"REJECT","default_timeout_microseconds":0,"allow_timeout_override":false,
    "max_queue_size":3}}})"));
  EXPECT_EQ(printed["version_policy"], json::parse(R"({"latest":{"num_versions":1}})"));
  EXPECT_EQ(printed["instance_group"][0]["count"], 2);
  EXPECT_EQ(printed["parameters"]["k"]["string_value"], "v");
  EXPECT_EQ(printed["metric_tags"], json::parse(R"({"a":"b"})"));
  EXPECT_EQ(printed["model_warmup"], json::array());
  EXPECT_EQ(printed["model_transaction_policy"]["decoupled"], false);
  EXPECT_EQ(printed["default_model_filename"], "model.onnx");
  EXPECT_FALSE(printed.contains("sequence_batching"));
  EXPECT_FALSE(printed.contains("optimization"));
}

TEST(Metadata, IndexTellsStatesAndReasons) {
  const std::vector<ModelListing> listings{{"a", 1, ModelState::kLoading, "", nullptr},
                                           {"b", 0, ModelState::kUnavailable, "no version folder", nullptr},
                                           {"c", 0, ModelState::kUnavailable, "", nullptr}};
  EXPECT_EQ(
      json::parse(repository_index_json(listings, false)),
      json::parse(
          R"([{"name":"a","version":"1","state":"LOADING"},{"name":"b","state":"UNAVAILABLE","reason":"no version folder"},{"name":"c"}])"));
  EXPECT_EQ(json::parse(repository_index_json(listings, true)).size(), 0u);
}

TEST(Metadata, ReadyFilterIsOptionalAndABool) {
  EXPECT_FALSE(parse_ready_filter(""));
  EXPECT_FALSE(parse_ready_filter("{}"));
  EXPECT_TRUE(parse_ready_filter(R"({"ready":true})"));
  for (const char* body : {"[]", "{", R"({"ready":1})", R"({"ready":null})"})
    EXPECT_THROW(parse_ready_filter(body), Error) << body;
}

TEST(Metadata, LoadRequests) {
  EXPECT_FALSE(parse_load_request("").config);
  const LoadOverrides overrides =
      parse_load_request(R"({"parameters":{"config":"{\"max_batch_size\":4}","file:1/model.onnx":"aGk="}})");
  EXPECT_EQ(overrides.config->max_batch_size, 4);
  EXPECT_EQ(overrides.files, (UploadedFiles{{"1/model.onnx", "hi"}}));
  for (const char* body : {"[]", R"({"parameters":1})", R"({"parameters":{"other":"x"}})", R"({"parameters":{"config":1}})",
                           R"({"parameters":{"config":"{"}})", R"({"parameters":{"file:1/model.onnx":"aGk="}})",
                           R"({"parameters":{"config":"{}","file:1/m":"aGk"}})"})
    EXPECT_THROW(parse_load_request(body), Error) << body;
}

TEST(Base64, AsTheRfcHasIt) {
  for (const auto& [text, bytes] :
       {std::pair("", ""), {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg==", "foob"}, {"Zm9vYmFy", "foobar"}}) {
    EXPECT_EQ(decode_base64(text), bytes);
    EXPECT_EQ(encode_base64(bytes), text);
  }
  EXPECT_EQ(decode_base64("//79"), std::string("\xFF\xFE\xFD"));
  for (const char* text : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Z===", "====", "Zm 9", "Zm9v\n", "_-79"})
    EXPECT_FALSE(decode_base64(text)) << text;
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
