#include "serving/http/inference_server.h"

#include <algorithm>
#include <future>
#include <limits>
#include <optional>

#include "kernels/base/error.h"
#include "kernels/base/program_pages.h"
#include "runtime/device/topology.h"
#include "serving/batching/alarm.h"
#include "serving/batching/dispatcher.h"
#include "serving/batching/lane_workers.h"
#include "serving/grpc/grpc_server.h"
#include "serving/http/failure.h"
#include "serving/http/v2_service.h"
#include "serving/monitor/heap_keeper.h"
#include "serving/monitor/process_room.h"

namespace tandem {
namespace {

constexpr std::chrono::seconds kCheckup{2};  // between two looks at the lanes
constexpr int64_t kOtherThreads = 32;      // timers, control, and gRPC's own
constexpr int64_t kDescriptors = 24;       // open once the server is ready, and some for files

LaneSetOptions lane_options(const InferenceServerOptions& options) {
  require(options.threads >= 1, "threads of a lane must be at least 1", options.threads);
  require(options.lanes >= 0, "lanes must be at least 1, or 0 for as many as the processors allow", options.lanes);
  require(options.max_batch >= 1, "max-batch must be at least 1", options.max_batch);
  require(options.max_dimension >= 1, "max-dimension must be at least 1", options.max_dimension);
  LaneSetOptions lanes;
  lanes.threads = options.threads;
  lanes.lanes = options.lanes > 0 ? options.lanes : std::max(1, allowed_cpus().threads / options.threads);
  lanes.queue_capacity = std::numeric_limits<size_t>::max();  // queues are bounded by model, in the scheduler
  return lanes;
}

ServingDevice open_device_of(const InferenceServerOptions& options, ServerLog& log) {
  ServingDevice device = open_serving_device(options.device, options.strict_device);
  device.fast_math = options.fast_math;
  device.tuning = options.tuning;
  device.precision = options.precision;
  device.log = [&log](const std::string& line) { log.write(Severity::kWarning, line); };
  return device;
}

ModelOptions model_options(const InferenceServerOptions& options, int lanes, ServerLog& log, MemoryBudget& budget) {
  ModelOptions model;
  model.lanes = lanes;
  model.threads = options.threads;
  model.max_batch = options.max_batch;
  model.max_dimension = options.max_dimension;
  model.budget = &budget;
  if (options.batch_sizes) check_batch_sizes(*options.batch_sizes, options.max_batch);
  model.batch_sizes = options.batch_sizes;
  model.device = open_device_of(options, log);
  return model;
}

RepositoryOptions repository_options(const InferenceServerOptions& options, MemoryBudget& budget) {
  RepositoryOptions models = options.models;
  models.limits = options.http.limits;
  models.budget = &budget;
  return models;
}

// Lanes have the processors; a quarter as many threads feed them.
int network_threads(const InferenceServerOptions& options, int least) {
  require(options.network_threads >= 0, "network-threads must be at least 1, or 0 for what the processors suggest", options.network_threads);
  return options.network_threads > 0 ? options.network_threads : std::max(least, allowed_cpus().threads / 4);
}

HttpServerOptions http_options(const InferenceServerOptions& options) {
  HttpServerOptions http = options.http;
  http.threads = network_threads(options, 2);
  return http;
}

GrpcServerOptions grpc_options(const InferenceServerOptions& options) {
  return {.host = options.http.host,
          .port = *options.grpc_port,
          .threads = network_threads(options, 1),
          .identity = {.version = options.version},
          .limits = options.http.limits};
}

}  // namespace

// In the order in which they need each other; the destructor ends what runs before anything goes.
struct InferenceServer::Parts {
  explicit Parts(const InferenceServerOptions& options)
      : budget(options.memory_limit),
        log(options.log),
        accesses(options.access_log, log),
        tracer(options.trace_file),
        authorizer({.change_models = options.models.control == ModelControl::kExplicit,
                    .share_memory = options.allow_client_shm,
                    .change_settings = options.allow_settings},
                   log),
        lanes(lane_options(options)),
        workers(lanes, options.threads == 1 && options.device == "cpu"),
        watch(static_cast<int>(lanes.size())),
        metrics(options.version),
        dispatcher(workers, clock, [this](std::optional<Clock::TimePoint> time) { alarm.set(time); }),
        alarm([this] { dispatcher.tick(); }),
        control({.name = "control"}),
        repository(options.repository, repository_options(options, budget),
                   onnx_loader(model_options(options, static_cast<int>(lanes.size()), log, budget), options.http.limits),
                   {dispatcher, metrics, clock, static_cast<int>(lanes.size()), &tracer, &watch}),
        health(workers, watch, clock, options.health, product_probe(static_cast<int>(lanes.size()), options.threads, open_device_of(options, log)),
               [this](const std::string& line) { log.write(Severity::kWarning, line); }),
        service(backend(options), {.version = options.version}, options.http.limits) {
    if (options.models.control == ModelControl::kPoll) poll(options.poll_interval);
    look_after_lanes();
    http.emplace(http_options(options),
                 [this](const HttpRequest& request, const HttpRespond& respond) { service.handle(request, respond); },
                 [this](const HttpRequest& request) { return service.overload(request); });
    if (options.metrics_port) listen_for_metrics(options);
    if (options.grpc_port) grpc.emplace(grpc_options(options), backend(options));
  }
  ~Parts() {
    poller.reset();
    checkup.reset();
    control.stop(Lane::Stop::kDrop);
    lanes.stop(Lane::Stop::kDrop);  // first: what they finish may still be sent
    dispatcher.stop();
    grpc.reset();
    metrics_http.reset();
    http.reset();
  }

  Backend backend(const InferenceServerOptions& options) {
    return {repository, metrics, control, clock, log, accesses, tracer, authorizer, options.allow_client_shm ? &shared_memory : nullptr, &health};
  }

  // A port that a monitoring system may reach though the clients' is closed to it.
  void listen_for_metrics(const InferenceServerOptions& options) {
    HttpServerOptions own = options.http;
    own.port = *options.metrics_port;
    own.threads = 1;
    metrics_http.emplace(own, [this](const HttpRequest& request, const HttpRespond& respond) {
      const std::string_view path = request.target().substr(0, request.target().find('?'));
      if (path == "/metrics" || path.starts_with("/v2/health/")) return service.handle(request, respond);
      respond(failure(404, "Not Found: this port has /metrics and /v2/health"));
    });
  }

  void look_after_lanes() {
    checkup.emplace([this] {
      health.tick();
      checkup->set(clock.now() + kCheckup);
    });
    checkup->set(clock.now());
  }

  void poll(std::chrono::milliseconds interval) {
    poller.emplace([this, interval] {
      repository.poll();
      poller->set(clock.now() + interval);
    });
    poller->set(clock.now() + interval);
  }

  HeapKeeper heap;
  MemoryBudget budget;
  SteadyClock clock;
  ServerLog log;
  AccessLog accesses;
  RequestTracer tracer;
  Authorizer authorizer;
  LaneSet lanes;
  LaneWorkers workers;
  LaneWatch watch;
  ServerMetrics metrics;
  Dispatcher dispatcher;
  Alarm alarm;
  Lane control;
  SharedMemory shared_memory;
  ModelRepository repository;
  HealthMonitor health;
  V2Service service;
  std::optional<Alarm> poller, checkup;
  std::optional<HttpServer> http;
  std::optional<HttpServer> metrics_http;
  std::optional<GrpcServer> grpc;
};

namespace {

// A repository of which nothing is served, and what it stands on; `use` looks at it.
void with_idle_repository(const InferenceServerOptions& options, const std::function<void(ModelRepository&)>& use) {
  LaneSetOptions lane = lane_options(options);
  const int lanes = lane.lanes;
  lane.lanes = 1;  // none computes
  LaneSet set(lane);
  LaneWorkers workers(set);
  const SteadyClock clock;
  Dispatcher dispatcher(workers, clock);
  ServerMetrics metrics(options.version);
  ServerLog log(options.log);
  MemoryBudget budget(options.memory_limit);
  RepositoryOptions models = repository_options(options, budget);
  models.dry_run = true;
  ModelRepository repository(options.repository, models, onnx_loader(model_options(options, lanes, log, budget), options.http.limits),
                             {dispatcher, metrics, clock, lanes});
  use(repository);
  set.stop(Lane::Stop::kDrop);
  dispatcher.stop();
}

}  // namespace

std::vector<MemoryForecast> forecast_memory(const InferenceServerOptions& options) {
  std::vector<MemoryForecast> all;
  with_idle_repository(options, [&](ModelRepository& repository) {
    for (const std::string& name : repository.model_folders())
      for (MemoryForecast& forecast : repository.forecast(name)) all.push_back(std::move(forecast));
  });
  return all;
}

std::vector<ModelCheck> check_models(const InferenceServerOptions& options, const std::string& only,
                                     const std::function<void(const std::string& name, size_t done, size_t all)>& begin) {
  std::vector<ModelCheck> all;
  with_idle_repository(options, [&](ModelRepository& repository) {
    std::vector<std::string> names = repository.model_folders();
    if (!only.empty()) std::erase_if(names, [&](const std::string& name) { return name != only; });
    check(only.empty() || !names.empty(), ErrorCode::kNotFound, "no such model in the repository", only);
    for (size_t i = 0; i < names.size(); ++i) {
      begin(names[i], i, names.size());
      for (ModelCheck& one : repository.examine(names[i])) all.push_back(std::move(one));
    }
  });
  return all;
}

InferenceServer::InferenceServer(const InferenceServerOptions& options) {
  const LaneSetOptions lanes = lane_options(options);
  const int network = network_threads(options, 2) + network_threads(options, 1);
  const int teams = options.models.slo ? 3 : 1;  // those of lanes, of batches that several run together, and of what measures both at load
  check_room_for(static_cast<int64_t>(teams) * lanes.lanes * lanes.threads + network + kOtherThreads, kDescriptors);
  parts_ = std::make_unique<Parts>(options);
  return_program_pages();  // of all that begins once
}
InferenceServer::~InferenceServer() = default;
int InferenceServer::port() const { return parts_->http->port(); }
std::optional<int> InferenceServer::grpc_port() const {
  return parts_->grpc ? std::optional(parts_->grpc->port()) : std::nullopt;
}
std::optional<int> InferenceServer::metrics_port() const {
  return parts_->metrics_http ? std::optional(parts_->metrics_http->port()) : std::nullopt;
}
int InferenceServer::lanes() const { return static_cast<int>(parts_->lanes.size()); }
const ModelRepository& InferenceServer::repository() const { return parts_->repository; }

bool InferenceServer::stop(std::chrono::milliseconds timeout) {
  parts_->service.drain();
  if (!parts_->grpc) return parts_->http->stop(timeout);
  auto grpc = std::async(std::launch::async, [&] { return parts_->grpc->stop(timeout); });
  const bool http = parts_->http->stop(timeout);
  return grpc.get() && http;
}

}  // namespace tandem
