// The Open Inference Protocol v2 over HTTP: routes a request to repository, scheduler and protocol, and turns errors into
// statuses. Knows no socket; an HttpServer calls handle().
//
// The life of an inference request: parsed and held against the model's signature on the network thread, queued, run on a lane,
// its answer written from the executor's memory on that same lane, sent by the network thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "runtime/device/lane.h"
#include "runtime/graph/limits.h"
#include "serving/engine/repository.h"
#include "serving/engine/shared_memory.h"
#include "serving/http/http_message.h"
#include "serving/http/route.h"
#include "serving/monitor/server_metrics.h"

namespace tandem {

struct V2Options {
  std::string server_name = "tandem";
  std::string version;
  int lanes = 1;
  Limits limits;
  SharedMemory* shared_memory = nullptr;  // null: clients may use none
};

class V2Service {
 public:
  // Everything must outlive the service. Models are loaded and unloaded on the thread of `control`.
  V2Service(ModelRepository& repository, ServerMetrics& metrics, Lane& control, const Clock& clock, const V2Options& options);

  void handle(const HttpRequest& request, const HttpRespond& respond);
  // From now on not ready: load balancers look elsewhere while what was begun is finished.
  void drain() { draining_ = true; }

 private:
  void serve(const Route& route, const HttpRequest& request, const HttpRespond& respond);
  HttpResponse answer(const Route& route, const HttpRequest& request) const;
  HttpResponse index_page() const;
  HttpResponse server_ready() const;
  HttpResponse metrics_text() const;
  HttpResponse model_metadata(const Route& route) const;
  HttpResponse statistics(const Route& route) const;
  HttpResponse shared_memory(const Route& route, const HttpRequest& request) const;
  void change(const Route& route, const HttpRequest& request, const HttpRespond& respond);
  void infer(const Route& route, const HttpRequest& request, const HttpRespond& respond) const;

  ModelRepository& repository_;
  ServerMetrics& metrics_;
  Lane& control_;
  const Clock& clock_;
  V2Options options_;
  std::atomic<bool> draining_{false};
};

// The status that an error is answered with.
int http_status(ErrorCode code);

}  // namespace tandem
