#include "serving/protocol/metadata.h"

#include <simdjson.h>

#include "model_config.pb.h"
#include "serving/protocol/base64.h"
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
  if (!listing.served || !listing.reason.empty()) return listing.reason;
  const ModelDevice device = listing.model()->device();
  return device.problem.empty() && !device.not_captured.empty()
             ? "runs from the GPU without captured graphs: " + device.not_captured
             : device.problem;
}

simdjson::dom::object parse_object(simdjson::dom::parser& parser, std::string_view body, std::string_view example) {
  simdjson::dom::object object;
  require(parser.allocate(body.size(), 100) == simdjson::SUCCESS &&
              parser.parse(body.data(), body.size()).get(object) == simdjson::SUCCESS,
          "failed to parse the request JSON: expected an object such as " + std::string(example));
  return object;
}

// Calls visit(key, value) for the members of "parameters".
template <class Visit>
void for_each_parameter(std::string_view body, Visit&& visit) {
  if (body.empty()) return;
  simdjson::dom::parser parser;
  const simdjson::dom::object object = parse_object(parser, body, "{\"parameters\": {}}");
  simdjson::dom::element parameters;
  if (object["parameters"].get(parameters) != simdjson::SUCCESS) return;
  simdjson::dom::object members;
  require(parameters.get(members) == simdjson::SUCCESS, "'parameters' must be an object");
  for (const simdjson::dom::key_value_pair member : members) visit(member.key, member.value);
}

// The parameters of load that are no texts.
bool set_keeping(LoadOverrides& overrides, std::string_view key, const simdjson::dom::element& value) {
  if (key == "lease_ms") {
    int64_t ms = 0;
    require(value.get(ms) == simdjson::SUCCESS, "'lease_ms' must be a whole number");
    overrides.lease = checked_lease(ms);
    return true;
  }
  if (key != "pin" && key != "dry_run") return false;
  bool flag = false;
  require(value.get(flag) == simdjson::SUCCESS, "a parameter of load must be true or false", key);
  if (key == "pin")
    overrides.pin = flag;
  else
    overrides.dry_run = flag;
  return true;
}

}  // namespace

std::chrono::milliseconds checked_lease(int64_t ms) {
  constexpr int64_t kLongest = 24 * 3'600'000;
  require(ms >= 0 && ms <= kLongest, "'lease_ms' must be between 0 and a day", ms, kLongest);
  return std::chrono::milliseconds(ms);
}

std::string forecast_json(std::span<const MemoryForecast> forecasts, int64_t limit) {
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (const MemoryForecast& forecast : forecasts) {
    json.begin_object().member("name", forecast.name).member("version", std::to_string(forecast.version));
    if (!forecast.problem.empty()) {
      json.member("problem", forecast.problem).end_object();
      continue;
    }
    json.member("bytes", forecast.need.total()).member("weights", forecast.need.weights).member("packed", forecast.need.packed);
    json.member("lane", forecast.need.lane).member("lanes", forecast.need.lanes).member("additional", forecast.additional);
    if (limit < INT64_MAX) json.member("memory_limit", limit);
    json.end_object();
  }
  json.end_array();
  return text;
}

std::vector<std::string_view> server_extensions(const Extensions& allowed) {
  std::vector<std::string_view> extensions = {"classification", "model_repository", "model_configuration",
                                              "binary_tensor_data", "parameters", "statistics", "generate", "schedule_policy"};
  if (allowed.shared_memory) extensions.push_back("system_shared_memory");
  if (allowed.trace) extensions.push_back("trace");
  if (allowed.logging) extensions.push_back("logging");
  return extensions;
}

std::string model_ready_json(std::string_view name) {
  std::string text;
  JsonWriter(text).begin_object().member("name", name).member("ready", true).end_object();
  return text;
}

std::string server_metadata_json(std::string_view name, std::string_view version, const Extensions& allowed) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().member("name", name).member("version", version).key("extensions").begin_array();
  for (std::string_view extension : server_extensions(allowed)) json.value(extension);
  json.end_array().end_object();
  return text;
}

std::string model_metadata_json(std::string_view name, std::span<const int64_t> versions, const Signature& signature,
                                const ModelDevice& device, const BatchingOptions& batching) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().member("name", name).key("versions").begin_array();
  for (int64_t version : versions) json.value(std::to_string(version));
  json.end_array().member("platform", "tandem_onnx");
  write_tensors(json, "inputs", signature.inputs);
  write_tensors(json, "outputs", signature.outputs);
  const bool has_device = !device.asked.empty() || !device.problem.empty();
  if (has_device || batching.slo) json.key("parameters").begin_object();
  if (has_device) {
    json.member("device", device.on_device ? device.asked : "cpu");
    if (!device.on_device) json.member("fallback", device.problem);
    if (device.on_device) json.member("captured_graphs", device.captured_graphs);
    if (!device.not_captured.empty()) json.member("not_captured", device.not_captured);
  }
  if (batching.slo) json.member("slo", to_string(*batching.slo)).member("lanes_per_batch", batching.lanes_per_batch);
  if (has_device || batching.slo) json.end_object();
  json.end_object();
  return text;
}

std::string model_config_json(const ServingConfig& config) {
  inference::ModelConfig message;
  write_message(config, message);
  return message_json(message);
}

std::vector<IndexEntry> index_entries(std::span<const ModelListing> listings, bool ready_only) {
  std::vector<IndexEntry> entries;
  for (const ModelListing& listing : listings) {
    const bool ready = listing.answers();
    if (ready_only && !ready) continue;
    IndexEntry& entry = entries.emplace_back(IndexEntry{listing.name, "", "", reason_of(listing)});
    if (listing.version > 0) entry.version = std::to_string(listing.version);
    // A model that was never to be loaded has a name and nothing else.
    const bool looked_at = listing.version > 0 || !listing.reason.empty() || listing.state != ModelState::kUnavailable;
    if (looked_at) entry.state = listing.served && !ready ? "UNAVAILABLE" : name(listing.state);
  }
  return entries;
}

std::string repository_index_json(std::span<const ModelListing> listings, bool ready_only) {
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (const IndexEntry& entry : index_entries(listings, ready_only)) {
    json.begin_object().member("name", entry.name);
    if (!entry.version.empty()) json.member("version", entry.version);
    if (!entry.state.empty()) json.member("state", entry.state);
    if (!entry.reason.empty()) json.member("reason", entry.reason);
    json.end_object();
  }
  json.end_array();
  return text;
}

bool parse_ready_filter(std::string_view body) {
  if (body.empty()) return false;
  simdjson::dom::parser parser;
  const simdjson::dom::object object = parse_object(parser, body, "{\"ready\": true}");
  simdjson::dom::element ready;
  if (object["ready"].get(ready) != simdjson::SUCCESS) return false;
  bool value = false;
  require(ready.get(value) == simdjson::SUCCESS, "Invalid value for 'ready': expected a boolean");
  return value;
}

LoadOverrides parse_load_request(std::string_view body) {
  constexpr std::string_view kFile = "file:";
  LoadOverrides overrides;
  for_each_parameter(body, [&](std::string_view key, const simdjson::dom::element& value) {
    if (set_keeping(overrides, key, value)) return;
    std::string_view text;
    require(value.get(text) == simdjson::SUCCESS, "a parameter of load must be a string", key);
    if (key == "config") {
      overrides.config = parse_model_config_json(text);
    } else if (key.starts_with(kFile)) {
      auto content = decode_base64(text);
      require(content.has_value(), "the content of a file must be base64", key);
      require(overrides.files.emplace(key.substr(kFile.size()), std::move(*content)).second, "a file is given twice", key);
    } else {
      require(false, "load takes no parameter of this name: it must be config, file:<version>/<path>, pin, lease_ms or dry_run", key);
    }
  });
  require(overrides.files.empty() || overrides.config, "files of a model come with its 'config'");
  return overrides;
}

void check_unload_parameters(std::string_view body) {
  for_each_parameter(body, [](std::string_view key, const simdjson::dom::element& value) {
    bool flag = false;
    require(key == "unload_dependents", "unload takes no parameter of this name", key);
    require(value.get(flag) == simdjson::SUCCESS, "'unload_dependents' must be true or false");
  });
}

std::string region_status_json(std::span<const RegionStatus> regions) {
  std::string text;
  JsonWriter json(text);
  json.begin_array();
  for (const RegionStatus& region : regions)
    json.begin_object()
        .member("name", region.name)
        .member("key", region.key)
        .member("offset", region.offset)
        .member("byte_size", region.bytes)
        .end_object();
  json.end_array();
  return text;
}

RegionStatus parse_region(std::string_view name, std::string_view body) {
  simdjson::dom::parser parser;
  const simdjson::dom::object object = parse_object(parser, body, R"({"key": "/name", "byte_size": 64})");
  RegionStatus region{std::string(name), "", 0, 0};
  std::string_view key;
  require(object["key"].get(key) == simdjson::SUCCESS, "a shared memory region has a 'key', which is a string");
  region.key = key;
  const auto offset = object["offset"].get(region.offset);
  require(offset == simdjson::SUCCESS || offset == simdjson::NO_SUCH_FIELD,
          "'offset' of a shared memory region must be a whole number");
  require(object["byte_size"].get(region.bytes) == simdjson::SUCCESS,
          "a shared memory region has a 'byte_size', which is a whole number");
  return region;
}

std::string error_json(std::string_view message) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().member("error", message).end_object();
  return text;
}

}  // namespace tandem
