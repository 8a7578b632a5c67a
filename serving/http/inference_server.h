// The whole server, put together: repository, lanes, metrics, the v2 service and its HTTP front end. What `tandem serve` starts.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "serving/engine/health_monitor.h"
#include "serving/engine/repository.h"
#include "serving/http/http_server.h"

namespace tandem {

struct InferenceServerOptions {
  std::filesystem::path repository;
  RepositoryOptions models;
  std::chrono::milliseconds poll_interval{15'000};  // with ModelControl::kPoll
  HttpServerOptions http;                           // its host and its limits hold for everything
  std::optional<int> metrics_port = {};             // of /metrics and health alone; 0: any free one; nothing: on the other port only
  std::optional<int> grpc_port = {};                // 0: any free one; nothing: no gRPC
  int lanes = 0;                                    // 0: as many as the processors allow
  int threads = 1;                                  // of each lane
  int network_threads = 0;                          // of each protocol, to read, parse and answer; 0: by the number of processors
  int64_t max_batch = 1024;
  int64_t max_dimension = 65'536;  // any other dimension that requests choose, at most
  HealthOptions health;
  int64_t memory_limit = INT64_MAX;            // bytes of all models together
  bool allow_settings = false;                 // clients may change settings of log and trace
  std::string access_log = {};                 // a file, or "-": a line of JSON for each request
  std::string trace_file = {};                 // what the trace extension writes; "": no traces
  bool allow_client_shm = false;               // clients on this machine may register shared memory
  std::optional<BatchSizes> batch_sizes = {};  // of models that declare none
  std::string version;                         // of the program
  std::string device = "cpu";                  // as open_device takes it
  bool strict_device = false;                  // no device, no server; a model that does not fit the device is not ready
  bool fast_math = false;
  std::shared_ptr<Tuning> tuning = {};  // as in PlanOptions
  DType precision = DType::kF32;  // of products on the CPU: f32 or bf16
  std::function<void(const std::string& line)> log = {};  // called from any thread
};

// What each model of the repository would take, without serving any. Throws what the constructor of InferenceServer throws.
std::vector<MemoryForecast> forecast_memory(const InferenceServerOptions& options);

// What each model of the repository, or the one named, would fail of, without serving any. `begin` is called before each model. Throws as above.
std::vector<ModelCheck> check_models(const InferenceServerOptions& options, const std::string& only,
                                     const std::function<void(const std::string& name, size_t done, size_t all)>& begin);

class InferenceServer {
 public:
  // Loads the models, then listens. Throws what ModelRepository, LaneSet and HttpServer throw.
  explicit InferenceServer(const InferenceServerOptions& options);
  ~InferenceServer();

  int port() const;
  std::optional<int> grpc_port() const;
  std::optional<int> metrics_port() const;
  int lanes() const;
  const ModelRepository& repository() const;
  // Not ready any more, no new connections, answers what was begun. False if `timeout` did not suffice. To be called once.
  bool stop(std::chrono::milliseconds timeout);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace tandem
