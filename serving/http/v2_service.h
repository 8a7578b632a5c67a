// The Open Inference Protocol v2 over HTTP: routes a request to repository, scheduler and protocol, and turns errors into
// statuses. Knows no socket; an HttpServer calls handle().
//
// The life of an inference request: parsed and held against the model's signature on the network thread, queued, run on a lane,
// its answer written from the executor's memory on that same lane, sent by the network thread.
#pragma once

#include <atomic>

#include "runtime/graph/limits.h"
#include "serving/gate/backend.h"
#include "serving/http/content_coding.h"
#include "serving/http/failure.h"
#include "serving/http/http_message.h"
#include "serving/http/route.h"

namespace tandem {

class V2Service {
 public:
  // What `backend` names outlives the service.
  V2Service(const Backend& backend, const ServerIdentity& identity, const Limits& limits);

  void handle(const HttpRequest& request, const HttpRespond& respond);
  // The answer to an inference request whose body is not needed for it, since its model is overloaded.
  std::optional<HttpResponse> overload(const HttpRequest& request) const;
  // From now on not ready: load balancers look elsewhere while what was begun is finished.
  void drain() { draining_ = true; }

 private:
  void serve(const Route& route, const HttpRequest& request, const HttpRespond& respond);
  HttpResponse answer(const Route& route, const HttpRequest& request) const;
  // Of the version that is named. Throws what ModelRepository::find throws.
  std::shared_ptr<ServedModel> find(const Route& route) const;
  // "": it is ready.
  std::string why_not_ready() const;
  HttpResponse server_ready() const;
  HttpResponse overview() const;
  HttpResponse metrics_text() const;
  HttpResponse model_metadata(const Route& route) const;
  HttpResponse statistics(const Route& route) const;
  HttpResponse shared_memory(const Route& route, const HttpRequest& request) const;
  HttpResponse log_settings(const HttpRequest& request) const;
  HttpResponse trace_settings(const Route& route, const HttpRequest& request) const;
  void change(const Route& route, const HttpRequest& request, const HttpRespond& respond);
  HttpRespond counted(const HttpRequest& request, ContentCoding accepted, const HttpRespond& respond) const;
  HttpRespond recorded(const HttpRequest& request, HttpRespond respond) const;

  const Backend backend_;
  const ServerIdentity identity_;
  const Limits limits_;
  const Clock::TimePoint begun_;
  std::atomic<bool> draining_{false};
};

}  // namespace tandem
