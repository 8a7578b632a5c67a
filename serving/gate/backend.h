// What both front ends answer from. All of it outlives them.
#pragma once

#include <exception>
#include <functional>
#include <string>

#include "runtime/device/lane.h"
#include "serving/batching/clock.h"
#include "serving/engine/health_monitor.h"
#include "serving/engine/repository.h"
#include "serving/engine/shared_memory.h"
#include "serving/gate/access_log.h"
#include "serving/gate/authorizer.h"
#include "serving/monitor/request_tracer.h"
#include "serving/monitor/server_log.h"
#include "serving/monitor/server_metrics.h"
#include "serving/protocol/metadata.h"

namespace tandem {

struct Backend {
  ModelRepository& repository;
  ServerMetrics& metrics;
  Lane& control;  // models are loaded and unloaded on its thread
  const Clock& clock;
  ServerLog& log;
  AccessLog& accesses;
  RequestTracer& tracer;
  const Authorizer& authorizer;
  SharedMemory* shared_memory = nullptr;  // null: clients may use none
  const HealthMonitor* health = nullptr;  // null: lanes are taken to be well
};

// What the server says of itself.
struct ServerIdentity {
  std::string name = "tandem";
  std::string version;  // of the program
};

// What the server's flags let clients use.
Extensions extensions_of(const Backend& backend);

// Why requests should go elsewhere: a model that should be served is not, or a lane is stuck or computes wrongly. "": they need not.
std::string why_not_ready(const Backend& backend);
// False once every lane is stuck: only a new start helps.
bool is_alive(const Backend& backend);

// Throws NotEnabled unless clients may change settings, and there is a file to trace to.
void authorize_tracing(const Backend& backend, const Caller& caller);

// Runs `change` on the control lane, with an audit line of how it ended; what it throws, and a lane that has stopped, goes to `failed`.
void change_models(const Backend& backend, const Caller& caller, const std::string& what, std::function<void()> change,
                   std::function<void(const std::exception_ptr& thrown)> failed);

}  // namespace tandem
