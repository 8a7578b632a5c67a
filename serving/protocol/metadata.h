// The protocol's descriptions as JSON: server, models, configurations, repository index, errors.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serving/core/signature.h"
#include "serving/engine/repository.h"
#include "serving/engine/shared_memory.h"

namespace tandem {

// What clients may use beside what always works.
struct Extensions {
  bool shared_memory = false, logging = false, trace = false;
};
// What is announced, because it works.
std::vector<std::string_view> server_extensions(const Extensions& allowed = {});
// A model that is ready.
std::string model_ready_json(std::string_view name);
std::string server_metadata_json(std::string_view name, std::string_view version, const Extensions& allowed = {});

// `versions`: those that are ready, or the one asked for. Unknown dimensions are -1. A model for which a GPU was asked says in
// `parameters` where it runs ("device") and, if that is the CPU, why ("fallback"); on a GPU how many graphs are captured
// ("captured_graphs") and, if a capture failed, why ("not_captured"). One with a target of latency says it ("slo") and how many lanes run a batch
// together ("lanes_per_batch").
std::string model_metadata_json(std::string_view name, std::span<const int64_t> versions, const Signature& signature,
                                const ModelDevice& device = {}, const BatchingOptions& batching = {});

// A model's configuration as Triton prints its ModelConfig.
std::string model_config_json(const ServingConfig& config);

struct IndexEntry {
  std::string name, version, state, reason;  // what does not apply is empty
};
// A version that fell back to the CPU, or whose capture failed, is READY with a reason.
std::vector<IndexEntry> index_entries(std::span<const ModelListing> listings, bool ready_only);
// [{"name", "version", "state", "reason"}]; a version that fell back to the CPU, or whose capture failed, is READY with a reason.
std::string repository_index_json(std::span<const ModelListing> listings, bool ready_only);

// The body of POST /v2/repository/index: empty, or {"ready": bool}. Throws InvalidArgument.
bool parse_ready_filter(std::string_view body);

// What loading versions would take: [{"name", "version", "bytes", "weights", "packed", "lane", "lanes", "additional", "memory_limit"?}], or
// {"name", "version", "problem"} for one that cannot be loaded.
std::string forecast_json(std::span<const MemoryForecast> forecasts, int64_t limit);
// How long a model that was loaded is to stay. Throws InvalidArgument.
std::chrono::milliseconds checked_lease(int64_t ms);

// The body of POST /v2/repository/models/{model}/load: empty, or {"parameters": {"pin": bool, "lease_ms": number, "dry_run": bool, "config": "<ModelConfig as JSON>",
// "file:<version>/<path>":
// "<base64>"}}. Files come with a config. Throws InvalidArgument.
LoadOverrides parse_load_request(std::string_view body);
// That of .../unload: empty, or {"parameters": {"unload_dependents": bool}}. Throws InvalidArgument.
void check_unload_parameters(std::string_view body);

// [{"name", "key", "offset", "byte_size"}]
std::string region_status_json(std::span<const RegionStatus> regions);
// The body that registers a region of this name: {"key", "offset"?, "byte_size"}. Throws InvalidArgument.
RegionStatus parse_region(std::string_view name, std::string_view body);

std::string error_json(std::string_view message);

}  // namespace tandem
