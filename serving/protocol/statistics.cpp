#include "serving/protocol/statistics.h"

#include "serving/protocol/json_writer.h"

namespace tandem {
namespace {

void write_sum(JsonWriter& json, std::string_view key, const DurationSum& sum) {
  json.key(key).begin_object().member("count", sum.count).member("ns", static_cast<uint64_t>(sum.time.count())).end_object();
}

void write_batches(JsonWriter& json, const ModelStatistics& statistics) {
  json.key("batch_stats").begin_array();
  for (const auto& [rows, batch] : statistics.batches) {
    json.begin_object().member("batch_size", rows);
    write_sum(json, "compute_input", batch.input);
    write_sum(json, "compute_infer", batch.infer);
    write_sum(json, "compute_output", batch.output);
    json.end_object();
  }
  json.end_array();
}

void write_model(JsonWriter& json, const ModelListing& listing) {
  const ModelStatistics statistics = listing.served->statistics();
  json.begin_object().member("name", listing.name).member("version", std::to_string(listing.version));
  json.member("last_inference", statistics.last_inference_ms).member("inference_count", statistics.inferences);
  json.member("execution_count", statistics.executions).key("inference_stats").begin_object();
  write_sum(json, "success", statistics.success);
  write_sum(json, "fail", statistics.fail);
  write_sum(json, "queue", statistics.queue);
  write_sum(json, "compute_input", statistics.input);
  write_sum(json, "compute_infer", statistics.infer);
  write_sum(json, "compute_output", statistics.output);
  for (std::string_view key : {"cache_hit", "cache_miss"}) write_sum(json, key, {});
  json.end_object().key("response_stats").begin_object().end_object();
  write_batches(json, statistics);
  json.key("memory_usage").begin_array().begin_object().member("type", "CPU").member("id", 0);
  json.member("byte_size", listing.model()->peak_bytes()).end_object().end_array().end_object();
}

}  // namespace

std::string statistics_json(std::span<const ModelListing> listings) {
  std::string text;
  JsonWriter json(text);
  json.begin_object().key("model_stats").begin_array();
  for (const ModelListing& listing : listings)
    if (listing.served) write_model(json, listing);
  json.end_array().end_object();
  return text;
}

}  // namespace tandem
