#include "serving/protocol/overview.h"

#include "serving/monitor/process_stats.h"
#include "serving/protocol/json_writer.h"

namespace tandem {
namespace {

void write_server(JsonWriter& json, const Overview& overview) {
  json.key("server").begin_object();
  json.member("name", overview.name).member("version", overview.version).member("uptime_seconds", overview.uptime_seconds);
  json.member("ready", overview.not_ready.empty()).member("reason", overview.not_ready).member("may_control", overview.may_control);
  if (overview.memory_limit != INT64_MAX) json.member("memory_limit", overview.memory_limit);
  json.end_object();
}

void write_process(JsonWriter& json) {
  const ProcessStats process = process_stats();
  json.key("process").begin_object();
  json.member("resident_bytes", process.resident_bytes).member("cpu_seconds", process.cpu_seconds);
  json.member("open_fds", process.open_fds).end_object();
}

template <class First, class Second>
void write_pair(JsonWriter& json, First first, Second second) {
  json.begin_array().value(first).value(second).end_array();
}

void write_counters(JsonWriter& json, const ServedModel& served) {
  const Model& model = served.model();
  const ModelStatistics statistics = served.statistics();
  const ModelDevice device = model.device();
  json.member("device", device.on_device ? device.asked : std::string("cpu")).member("fallback", device.problem);
  json.member("bytes", model.memory().need.total()).member("queued", served.queued());
  json.member("requests", statistics.success.count).member("failures", statistics.fail.count).member("rows", statistics.inferences);
  json.key("batches").begin_array();
  for (const auto& [rows, batch] : statistics.batches) write_pair(json, rows, batch.infer.count);
  json.end_array().key("latency_ns").begin_array();
  for (const auto& [up_to, count] : served.latencies()) write_pair(json, up_to, count);
  json.end_array();
}

}  // namespace

std::string overview_json(const Overview& overview, std::span<const ModelListing> listings) {
  std::string text;
  JsonWriter json(text);
  json.begin_object();
  write_server(json, overview);
  write_process(json);
  json.key("models").begin_array();
  for (const ModelListing& listing : listings) {
    const bool failed = listing.served && !listing.answers();
    json.begin_object().member("name", listing.name).member("version", listing.version > 0 ? std::to_string(listing.version) : "");
    json.member("state", failed ? name(ModelState::kUnavailable) : name(listing.state));
    json.member("reason", failed ? "the GPU failed" : listing.reason);
    if (listing.served) write_counters(json, *listing.served);
    json.end_object();
  }
  json.end_array().end_object();
  return text;
}

}  // namespace tandem
