#include "tests/fuzz/serving_targets.h"

#include <memory>
#include <optional>

#include "inference_service.pb.h"
#include "kernels/base/error.h"
#include "model_config.pb.h"
#include "serving/core/model_config.h"
#include "serving/protocol/infer_message.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/metadata.h"

namespace tandem::fuzz {
namespace {

// What a configuration is held against.
const Signature kSignature{.inputs = {{"x", DType::kF32, {"n", 3, Dim()}}},
                           .outputs = {{"y", DType::kString, {"n", 1}}},
                           .batched = true,
                           .batch_symbol = "n"};

constexpr Limits kLimits = {.config_bytes = 1 << 16, .request_bytes = 1 << 20, .request_tensors = 100};

std::string body(std::string_view json, std::string_view binary = {}) {
  return (binary.empty() ? std::string() : std::to_string(json.size())) + "\n" + std::string(json) + std::string(binary);
}

}  // namespace

void read_infer_body(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  if (end == std::string_view::npos) return;
  const std::string_view length = bytes.substr(0, end);
  parse_infer_request(bytes.substr(end + 1), length.empty() ? std::nullopt : std::optional(length), kLimits);
}

std::vector<std::string> infer_body_seeds() {
  return {
      body(R"({"id": "7", "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2.5], [-3e-2, 4]]}]})"),
      body(R"({"inputs": [{"name": "s", "shape": [2], "datatype": "BYTES", "data": ["a", "\u00e9\n"]}], "outputs": [{"name": "y",
           "parameters": {"classification": 2, "binary_data": false}}], "parameters": {"timeout": 5, "priority": 1, "explain": true}})"),
      body(R"({"inputs": [{"name": "i", "shape": [3], "datatype": "INT64", "data": [9223372036854775807, -1, 0]},
           {"name": "b", "shape": [1], "datatype": "BOOL", "data": [true]}, {"name": "h", "shape": [1], "datatype": "FP16", "data": [0.5]}]})"),
      body(R"({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}]})", "\1\2\3\4"),
      body(R"({"inputs": [{"name": "s", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 10}}]})",
           std::string_view("\2\0\0\0ab\0\0\0\0", 10)),
  };
}

void read_infer_message_bytes(std::string_view bytes) {
  const auto message = std::make_shared<inference::ModelInferRequest>();
  if (message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) read_infer_message(message, kLimits);
}

std::vector<std::string> infer_message_seeds() {
  std::vector<std::string> seeds;
  inference::ModelInferRequest request;
  request.set_model_name("m");
  auto& x = *request.add_inputs();
  x.set_name("x");
  x.set_datatype("FP32");
  x.add_shape(2);
  x.mutable_contents()->add_fp32_contents(1);
  x.mutable_contents()->add_fp32_contents(2);
  request.add_outputs()->set_name("y");
  (*request.mutable_parameters())["priority"].set_int64_param(1);
  seeds.push_back(request.SerializeAsString());
  x.clear_contents();
  request.add_raw_input_contents("12345678");
  seeds.push_back(request.SerializeAsString());
  x.set_datatype("BYTES");
  x.set_shape(0, 1);
  request.set_raw_input_contents(0, std::string("\2\0\0\0ab", 6));
  (*request.mutable_outputs(0)->mutable_parameters())["classification"].set_int64_param(3);
  seeds.push_back(request.SerializeAsString());
  return seeds;
}

void read_config(std::string_view bytes) {
  ServingConfig config = bytes.starts_with('{') ? parse_model_config_json(bytes) : parse_model_config(bytes);
  complete_model_config(config, {"m", kSignature, 64, 2});
  model_config_json(config);
  inference::ModelConfig message;
  write_message(config, message);
}

std::vector<std::string> config_seeds() {
  return {
      "name: \"m\"\nmax_batch_size: 8\ninput [{ name: \"x\" data_type: TYPE_FP32 dims: [ 3, -1 ] }]\noutput [{ name: \"y\" "
      "data_type: TYPE_STRING dims: [ 1 ] }]\n",
      "dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 priority_levels: 2 "
      "default_priority_level: 1\n"
      "  default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 5 allow_timeout_override: true "
      "max_queue_size: 7 }\n"
      "  priority_queue_policy { key: 2 value { max_queue_size: 3 } } }\n",
      "version_policy { specific { versions: [ 1, 3 ] } }\ninstance_group [{ kind: KIND_CPU count: 2 }]\n"
      "parameters { key: \"k\" value { string_value: \"v\" } }\n",
      R"({"name": "m", "maxBatchSize": 4, "input": [{"name": "x", "dataType": "TYPE_FP32", "dims": ["3", "-1"]}]})",
      R"({"max_batch_size": 2, "dynamic_batching": {}, "optimization": {"cuda": {"graphs": true}}})",
  };
}

void read_control_body(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  if (end == std::string_view::npos) return;
  const std::string_view route = bytes.substr(0, end), body = bytes.substr(end + 1);
  if (route == "load") parse_load_request(body);
  if (route == "unload") check_unload_parameters(body);
  if (route == "index") parse_ready_filter(body);
  if (route == "region") parse_region("r", body);
}

std::vector<std::string> control_body_seeds() {
  return {
      "load\n" R"({"parameters": {"config": "{\"max_batch_size\": 4}", "file:1/model.onnx": "AAEC/w=="}})",
      "unload\n" R"({"parameters": {"unload_dependents": true}})",
      "index\n" R"({"ready": true})",
      "region\n" R"({"key": "/region", "offset": 0, "byte_size": 64})",
  };
}

}  // namespace tandem::fuzz
