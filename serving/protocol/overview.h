// What the built-in page shows, as one JSON object: the server, its process and memory, and what each model version has done so far.
// Counters only grow; rates and percentiles are made by whoever compares two of these.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "serving/engine/repository.h"

namespace tandem {

struct Overview {
  std::string_view name, version;  // of the server
  double uptime_seconds = 0;
  std::string not_ready;     // why; "": it is ready
  bool may_control = false;  // clients may load and unload
  int64_t memory_limit = INT64_MAX;
};

// {"server": {...}, "process": {...}, "models": [{"name", "version", "state", "reason", "device", "bytes", "queued", "requests", "failures",
// "rows", "batches": [[rows, how many]], "latency_ns": [[up to, how many]]}]}; a model that is not loaded has name, version, state and
// reason alone.
std::string overview_json(const Overview& overview, std::span<const ModelListing> listings);

}  // namespace tandem
