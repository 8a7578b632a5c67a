#include "serving/protocol/metadata.h"

#include <simdjson.h>

#include "model_config.pb.h"
#include "serving/protocol/datatype.h"
#include "serving/protocol/json_writer.h"
#include "serving/protocol/message_json.h"

namespace tandem {
namespace {

void write_dims(JsonWriter& json, std::string_view key, std::span<const Dim> dims) {
  json.key(key).begin_array();
  for (const Dim& dim : dims) json.value(dim.known() ? dim.size : -1);
  json.end_array();
}

void write_tensors(JsonWriter& json, std::string_view key, std::span<const TensorSpec> specs) {
  json.key(key).begin_array();
  for (const TensorSpec& spec : specs) {
    json.begin_object().member("name", spec.name).member("datatype", wire_name(spec.dtype));
    write_dims(json, "shape", spec.dims);
    json.end_object();
  }
  json.end_array();
}

// Why it is not ready, or not as fast as it could be.
std::string reason_of(const ModelListing& listing) {
  if (!listing.model || !listing.reason.empty()) return listing.reason;
  const ModelDevice device = listing.model->device();
  return device.problem.empty() && !device.not_captured.empty() ? "runs from the GPU without captured graphs: " + device.not_captured
                                                                : device.problem;
}

}  // namespace

std::string server_metadata_json(std::string_view name, std::string_view version) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().member("name", name).member("version", version).key("extensions").begin_array();
  for (std::string_view extension : {"classification", "model_configuration", "binary_tensor_data", "parameters"})
    json.value(extension);
  json.end_array().end_object();
  return text;
}

std::string model_metadata_json(std::string_view name, std::span<const int64_t> versions, const Signature& signature,
                                const ModelDevice& device) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().member("name", name).key("versions").begin_array();
  for (int64_t version : versions) json.value(std::to_string(version));
  json.end_array().member("platform", "tandem_onnx");
  write_tensors(json, "inputs", signature.inputs);
  write_tensors(json, "outputs", signature.outputs);
  if (!device.asked.empty() || !device.problem.empty()) {
    json.key("parameters").begin_object().member("device", device.on_device ? device.asked : "cpu");
    if (!device.on_device) json.member("fallback", device.problem);
    if (device.on_device) json.member("captured_graphs", device.captured_graphs);
    if (!device.not_captured.empty()) json.member("not_captured", device.not_captured);
    json.end_object();
  }
  json.end_object();
  return text;
}

std::string model_config_json(const ServingConfig& config) {
  inference::ModelConfig message;
  write_message(config, message);
  return message_json(message);
}

std::string repository_index_json(std::span<const ModelListing> listings, bool ready_only) {
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (const ModelListing& listing : listings) {
    const bool ready = listing.answers();
    if (ready_only && !ready) continue;
    json.begin_object().member("name", listing.name);
    if (listing.version > 0) json.member("version", std::to_string(listing.version));
    json.member("state", ready ? "READY" : "UNAVAILABLE");
    if (const std::string reason = reason_of(listing); !reason.empty()) json.member("reason", reason);
    json.end_object();
  }
  json.end_array();
  return text;
}

bool parse_ready_filter(std::string_view body) {
  if (body.empty()) return false;
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  require(parser.allocate(body.size(), 100) == simdjson::SUCCESS &&
              parser.parse(body.data(), body.size()).get(object) == simdjson::SUCCESS,
          "failed to parse the request JSON: expected an object such as {\"ready\": true}");
  simdjson::dom::element ready;
  if (object["ready"].get(ready) != simdjson::SUCCESS) return false;
  bool value = false;
  require(ready.get(value) == simdjson::SUCCESS, "Invalid value for 'ready': expected a boolean");
  return value;
}

std::string error_json(std::string_view message) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().member("error", message).end_object();
  return text;
}

}  // namespace tandem
