#include "serving/http/v2_service.h"

#include <chrono>
#include <exception>

#include "serving/http/content_coding.h"
#include "serving/http/failure.h"
#include "serving/http/inference.h"
#include "serving/http/status_page.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/metadata.h"
#include "serving/protocol/overview.h"
#include "serving/protocol/settings.h"
#include "serving/protocol/statistics.h"
#include "serving/protocol/triton_metrics.h"

namespace tandem {
namespace {

// A request whose body was compressed, as the client meant it.
class UnpackedRequest final : public HttpRequest {
 public:
  UnpackedRequest(const HttpRequest& request, ContentCoding coding, int64_t limit)
      : request_(request), body_(unpack(request.body(), coding, limit)) {}
  std::string_view method() const override { return request_.method(); }
  std::string_view target() const override { return request_.target(); }
  std::string_view body() const override { return body_; }
  std::optional<std::string_view> header(std::string_view name) const override { return request_.header(name); }
  std::string peer() const override { return request_.peer(); }
  void when_gone(std::function<void()> call) const override { request_.when_gone(std::move(call)); }
  const RunLater* run_later() const override { return request_.run_later(); }

 private:
  const HttpRequest& request_;
  std::string body_;
};

// Inference, pages and metrics alone are packed. Clients that name codings in all their requests (tritonclient.http.aio) unpack nothing else.
ContentCoding answer_coding(Endpoint endpoint, const HttpRequest& request) {
  switch (endpoint) {
    case Endpoint::kInfer:
    case Endpoint::kGenerate:
    case Endpoint::kGenerateStream:
    case Endpoint::kIndexPage:
    case Endpoint::kOverview:
    case Endpoint::kMetrics: return accepted_coding(request.header("Accept-Encoding").value_or(""));
    default: return ContentCoding::kIdentity;
  }
}

// Errors stay as they are.
HttpResponse packed(HttpResponse response, ContentCoding coding) {
  if (coding == ContentCoding::kIdentity || response.body.empty() || response.status >= 400) return response;
  response.body = pack(response.body, coding);
  response.headers.emplace_back("Content-Encoding", name(coding));
  response.headers.emplace_back("Vary", "Accept-Encoding");
  return response;
}

bool changes_server(const Route& route, const HttpRequest& request) {
  switch (route.endpoint) {
    case Endpoint::kLoad:
    case Endpoint::kUnload:
    case Endpoint::kRegisterRegion:
    case Endpoint::kUnregisterRegion: return true;
    case Endpoint::kLogSettings:
    case Endpoint::kTraceSettings: return request.method() == "POST";
    default: return false;
  }
}

bool is_inference(Endpoint endpoint) {
  return endpoint == Endpoint::kInfer || endpoint == Endpoint::kGenerate || endpoint == Endpoint::kGenerateStream;
}

}  // namespace

V2Service::V2Service(const Backend& backend, const ServerIdentity& identity, const Limits& limits)
    : backend_(backend), identity_(identity), limits_(limits), begun_(backend.clock.now()) {}

// The same with a line of the access log written when it is answered.
HttpRespond V2Service::recorded(const HttpRequest& request, HttpRespond respond) const {
  if (!backend_.accesses.is_wanted()) return respond;
  Access access{.protocol = "http", .peer = request.peer(), .what = {}, .status = {}};
  access.what = std::string(request.method()) + " " + std::string(request.target());
  access.bytes_in = static_cast<int64_t>(request.body_bytes());
  return [this, respond = std::move(respond), access, begun = backend_.clock.now()](HttpResponse response) mutable {
    access.status = std::to_string(response.status);
    access.bytes_out = static_cast<int64_t>(response.body.size());
    access.time = backend_.clock.now() - begun;
    backend_.accesses.record(access);
    respond(std::move(response));
  };
}

HttpRespond V2Service::counted(const HttpRequest& request, ContentCoding accepted, const HttpRespond& respond) const {
  return recorded(request, [this, respond, accepted](HttpResponse response) {
    backend_.metrics.count_http(response.status);
    respond(packed(std::move(response), accepted));
  });
}

// What is wrong with the request is told when it has come.
std::optional<HttpResponse> V2Service::overload(const HttpRequest& request) const {
  Route route{};
  std::optional<Overloaded> refusal;
  try {
    const Clock::TimePoint arrived = backend_.clock.now();
    route = route_of(request.method(), request.target());
    if (is_inference(route.endpoint)) refusal = find(route)->overload(arrived);
  } catch (...) {
  }
  std::optional<HttpResponse> answer;
  if (!refusal) return answer;
  const auto keep = [&answer](HttpResponse response) { answer = std::move(response); };
  counted(request, answer_coding(route.endpoint, request), keep)(failure(*refusal));
  return answer;
}

void V2Service::handle(const HttpRequest& request, const HttpRespond& respond) {
  Route route{};
  std::exception_ptr no_route;
  try {
    route = route_of(request.method(), request.target());
  } catch (...) {
    no_route = std::current_exception();
  }
  const HttpRespond counted =
      this->counted(request, no_route ? ContentCoding::kIdentity : answer_coding(route.endpoint, request), respond);
  HttpResponse response;
  try {
    if (no_route) std::rethrow_exception(no_route);
    const ContentCoding coding = content_coding(request.header("Content-Encoding").value_or(""));
    if (coding == ContentCoding::kIdentity) return serve(route, request, counted);
    return serve(route, UnpackedRequest(request, coding, limits_.request_bytes), counted);
  } catch (...) {
    response = failure(std::current_exception());
  }
  counted(std::move(response));
}

void V2Service::serve(const Route& route, const HttpRequest& request, const HttpRespond& respond) {
  if (changes_server(route, request) && comes_from_elsewhere(request))
    throw HttpFault{403, "a page of another site may not change this server"};
  switch (route.endpoint) {
    case Endpoint::kInfer:
    case Endpoint::kGenerate:
    case Endpoint::kGenerateStream: return begin_inference(backend_, limits_, route, request, respond);
    case Endpoint::kLoad:
    case Endpoint::kUnload: return change(route, request, respond);
    default: return respond(answer(route, request));
  }
}

HttpResponse V2Service::answer(const Route& route, const HttpRequest& request) const {
  switch (route.endpoint) {
    case Endpoint::kIndexPage:
      return wants_page(request) ? status_page() : status_text(identity_, backend_.repository.listings());
    case Endpoint::kOverview: return overview();
    case Endpoint::kMetrics: return metrics_text();
    case Endpoint::kServerMetadata:
      return {200, "application/json",
              server_metadata_json(identity_.name, identity_.version, extensions_of(backend_))};
    case Endpoint::kLive:
      check(is_alive(backend_), ErrorCode::kUnavailable, "every lane is stuck: start the server again");
      return {200, "application/json", R"({"live":true})"};
    case Endpoint::kServerReady: return server_ready();
    case Endpoint::kModelReady:
      check(find(route)->model().usable(), ErrorCode::kUnavailable,
            "model '" + route.model + "' is not ready: the GPU failed");
      return {200, "application/json", model_ready_json(route.model)};
    case Endpoint::kModelMetadata: return model_metadata(route);
    case Endpoint::kModelConfig:
      return {200, "application/json", model_config_json(find(route)->model().config())};
    case Endpoint::kStatistics: return statistics(route);
    case Endpoint::kRepositoryIndex:
      return {200, "application/json", repository_index_json(backend_.repository.listings(), parse_ready_filter(request.body()))};
    case Endpoint::kRegionStatus:
    case Endpoint::kRegisterRegion:
    case Endpoint::kUnregisterRegion: return shared_memory(route, request);
    case Endpoint::kLogSettings: return log_settings(request);
    case Endpoint::kTraceSettings: return trace_settings(route, request);
    case Endpoint::kInfer:
    case Endpoint::kGenerate:
    case Endpoint::kGenerateStream:
    case Endpoint::kLoad:
    case Endpoint::kUnload: break;
  }
  throw HttpFault{404, "Not Found"};
}

std::shared_ptr<ServedModel> V2Service::find(const Route& route) const {
  return backend_.repository.find(route.model, backend_.repository.version_named(route.model, version_text(route)));
}

std::string V2Service::why_not_ready() const { return draining_ ? "the server is shutting down" : tandem::why_not_ready(backend_); }

HttpResponse V2Service::server_ready() const {
  const std::string reason = why_not_ready();
  return reason.empty() ? HttpResponse{200, "application/json", R"({"ready":true})"} : failure(400, reason);
}

HttpResponse V2Service::overview() const {
  const Overview overview{.name = identity_.name,
                          .version = identity_.version,
                          .uptime_seconds = std::chrono::duration<double>(backend_.clock.now() - begun_).count(),
                          .not_ready = why_not_ready(),
                          .may_control = backend_.authorizer.allowed().change_models,
                          .memory_limit = backend_.repository.memory_limit()};
  return {200, "application/json", overview_json(overview, backend_.repository.listings()), {{"Cache-Control", "no-store"}}};
}

HttpResponse V2Service::metrics_text() const {
  for (const ModelListing& listing : backend_.repository.listings()) {
    if (listing.version > 0) backend_.metrics.set_ready(listing.name, listing.version, listing.answers());
    if (!listing.served) continue;
    const ModelDevice device = listing.model()->device();
    backend_.metrics.set_device(listing.name, listing.version,
                        {.on_device = device.on_device,
                         .fallen_back = !device.problem.empty(),
                         .errors = device.errors,
                         .captured_graphs = device.captured_graphs});
    backend_.metrics.set_saved_seconds(listing.name, listing.version, listing.served->saved_seconds());
  }
  if (backend_.health) {
    const std::vector<std::string> problems = backend_.health->problems();
    for (size_t lane = 0; lane < problems.size(); ++lane) backend_.metrics.set_lane(static_cast<int>(lane), problems[lane].empty());
  }
  return {200, "text/plain; version=0.0.4; charset=utf-8", backend_.metrics.text() + triton_metrics_text(backend_.repository.listings())};
}

HttpResponse V2Service::model_metadata(const Route& route) const {
  const std::shared_ptr<ServedModel> served = find(route);
  const Model& model = served->model();
  const std::vector<int64_t> versions =
      !version_text(route).empty() ? std::vector<int64_t>{model.version()} : backend_.repository.ready_versions(route.model);
  return {200, "application/json", model_metadata_json(model.name(), versions, model.signature(), model.device(), served->batching())};
}

HttpResponse V2Service::statistics(const Route& route) const {
  const std::string version = version_text(route);
  const int64_t only = !route.model.empty() && !version.empty() ? find(route)->model().version() : 0;
  if (!route.model.empty() && only == 0) find(route);  // it must be there
  std::vector<ModelListing> listings = backend_.repository.listings();
  std::erase_if(listings, [&](const ModelListing& listing) {
    return (!route.model.empty() && listing.name != route.model) || (only > 0 && listing.version != only);
  });
  return {200, "application/json", statistics_json(listings)};
}

HttpResponse V2Service::shared_memory(const Route& route, const HttpRequest& request) const {
  const bool changes = route.endpoint != Endpoint::kRegionStatus;
  const std::string what = std::string(request.method()) + " " + std::string(request.target());
  const Caller caller{"http", request.peer()};
  backend_.authorizer.authorize(Action::kShareMemory, caller, what);
  SharedMemory& memory = *backend_.shared_memory;
  if (route.of_device) {  // there is none: unregistering all of it works, as clients expect
    if (route.endpoint == Endpoint::kRegisterRegion) throw HttpFault{501, "CUDA shared memory is not supported by this server"};
    if (!route.region.empty()) fail(ErrorCode::kNotFound, "Unable to find shared memory region: " + quoted_name(route.region));
    return {200, "application/json", changes ? "" : "[]", {}};
  }
  if (!changes) return {200, "application/json", region_status_json(memory.status(route.region)), {}};
  if (route.endpoint == Endpoint::kRegisterRegion)
    memory.add(parse_region(route.region, request.body()));
  else if (route.region.empty())
    memory.remove_all();
  else
    memory.remove(route.region);
  backend_.authorizer.audit(caller, what, "done");
  return {};
}

HttpResponse V2Service::log_settings(const HttpRequest& request) const {
  if (request.method() != "POST") return {200, "application/json", log_settings_json(backend_.log.settings()), {}};
  const Caller caller{"http", request.peer()};
  backend_.authorizer.authorize(Action::kChangeSettings, caller, "change log settings");
  const LogUpdate update = parse_log_update(request.body());
  backend_.authorizer.audit(caller, "change log settings", "done");  // before they might forbid this line
  return {200, "application/json", log_settings_json(backend_.log.update(update)), {}};
}

HttpResponse V2Service::trace_settings(const Route& route, const HttpRequest& request) const {
  if (!route.model.empty()) backend_.repository.find(route.model);  // it must be there
  const auto answered = [&](const TraceSettings& settings) {
    return HttpResponse{200, "application/json", trace_settings_json(settings, backend_.tracer.path()), {}};
  };
  if (request.method() != "POST") return answered(backend_.tracer.settings(route.model));
  const Caller caller{"http", request.peer()};
  authorize_tracing(backend_, caller);
  const TraceSettings settings = backend_.tracer.update(route.model, parse_trace_update(request.body()));
  backend_.authorizer.audit(caller, "change trace settings", "done");
  return answered(settings);
}

// The network goes on while a model is loaded.
void V2Service::change(const Route& route, const HttpRequest& request, const HttpRespond& respond) {
  const bool loads = route.endpoint == Endpoint::kLoad;
  const Caller caller{"http", request.peer()};
  const std::string what = (loads ? "load '" : "unload '") + route.model + "'";
  backend_.authorizer.authorize(Action::kChangeModels, caller, what);
  LoadOverrides overrides;
  if (loads)
    overrides = parse_load_request(request.body());
  else
    check_unload_parameters(request.body());
  const auto run = [this, loads, model = route.model, overrides = std::move(overrides), respond] {
    std::string answer;
    if (!loads)
      backend_.repository.unload(model);
    else if (overrides.dry_run)
      answer = forecast_json(backend_.repository.forecast(model, overrides), backend_.repository.memory_limit());
    else
      backend_.repository.load(model, overrides);
    respond({200, "application/json", std::move(answer), {}});
  };
  change_models(backend_, caller, what, run, [respond](const std::exception_ptr& thrown) { respond(failure(thrown)); });
}

}  // namespace tandem
