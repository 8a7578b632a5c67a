// Which request is meant by a method and a target: a pure function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tandem {

enum class Endpoint : uint8_t {
  kIndexPage,         // GET  /
  kOverview,          // GET  /status.json
  kMetrics,           // GET  /metrics
  kServerMetadata,    // GET  /v2
  kLive,              // GET  /v2/health/live
  kServerReady,       // GET  /v2/health/ready
  kModelMetadata,     // GET  /v2/models/{model}[/versions/{version}]
  kModelReady,        // GET  ... /ready
  kModelConfig,       // GET  ... /config
  kInfer,             // POST ... /infer
  kStatistics,        // GET  /v2/models/stats, /v2/models/{model}[/versions/{version}]/stats
  kRepositoryIndex,   // POST /v2/repository/index
  kGenerate,          // POST ... /generate
  kGenerateStream,    // POST ... /generate_stream
  kLogSettings,       // GET, POST /v2/logging
  kTraceSettings,     // GET, POST /v2/trace/setting, /v2/models/{model}/trace/setting
  kLoad,              // POST /v2/repository/models/{model}/load
  kUnload,            // POST /v2/repository/models/{model}/unload
  kRegionStatus,      // GET  /v2/{system,cuda}sharedmemory[/region/{region}]/status
  kRegisterRegion,    // POST /v2/{system,cuda}sharedmemory/region/{region}/register
  kUnregisterRegion,  // POST /v2/{system,cuda}sharedmemory[/region/{region}]/unregister
};

struct Route {
  Endpoint endpoint;
  std::string model;        // where the path names one: valid (valid_model_name)
  int64_t version = 0;      // 0: not named
  std::string label = {};   // a version by its name
  std::string region = {};  // of shared memory; "": all
  bool of_device = false;   // of CUDA's shared memory rather than the system's
};

// As ModelRepository::version_named takes it.
std::string version_text(const Route& route);

// The query is ignored; HEAD goes where GET goes. Throws HttpFault 404 for a path that is none, 405 for a wrong method, 400 for a
// model name or a version that cannot be one, whatever its encoding.
Route route_of(std::string_view method, std::string_view target);

// A refusal with its HTTP status, for what no ErrorCode says.
struct HttpFault {
  int status;
  std::string message;
  std::string allow = "";  // of a 405
};

}  // namespace tandem
