#include "serving/http/v2_service.h"

#include <chrono>

#include "serving/http/content_coding.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/infer_response.h"
#include "serving/protocol/json_writer.h"
#include "serving/protocol/match.h"
#include "serving/protocol/metadata.h"
#include "serving/protocol/raw_request.h"
#include "serving/protocol/statistics.h"

namespace tandem {
namespace {

constexpr std::chrono::microseconds kLongestTimeout = std::chrono::hours(24 * 365);  // beyond, nanoseconds would overflow

HttpResponse failure(int status, std::string_view message) { return {status, "application/json", error_json(message)}; }

// The answer to what was thrown. A defect of our own is not explained to clients.
HttpResponse failure(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const HttpFault& fault) {
    HttpResponse response = failure(fault.status, fault.message);
    if (!fault.allow.empty()) response.headers.emplace_back("Allow", fault.allow);
    if (fault.status == 415) response.headers.emplace_back("Accept-Encoding", "gzip, deflate");
    return response;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal || error.code() == ErrorCode::kDevice) return failure(500, "internal error");
    return failure(http_status(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return failure(503, "out of memory");
  } catch (...) {
    return failure(500, "internal error");
  }
}

// A request whose body was compressed, as the client meant it.
class UnpackedRequest final : public HttpRequest {
 public:
  UnpackedRequest(const HttpRequest& request, ContentCoding coding, int64_t limit)
      : request_(request), body_(unpack(request.body(), coding, limit)) {}
  std::string_view method() const override { return request_.method(); }
  std::string_view target() const override { return request_.target(); }
  std::string_view body() const override { return body_; }
  std::optional<std::string_view> header(std::string_view name) const override { return request_.header(name); }
  void when_gone(std::function<void()> call) const override { request_.when_gone(std::move(call)); }

 private:
  const HttpRequest& request_;
  std::string body_;
};

HttpResponse packed(HttpResponse response, ContentCoding coding) {
  if (coding == ContentCoding::kIdentity || response.body.empty()) return response;
  response.body = pack(response.body, coding);
  response.headers.emplace_back("Content-Encoding", name(coding));
  response.headers.emplace_back("Vary", "Accept-Encoding");
  return response;
}

// Where a loaded model is served from, if that is to be told.
std::string device_note(const ModelListing& listing) {
  if (!listing.served) return "";
  const ModelDevice device = listing.model()->device();
  if (device.on_device)
    return "  (on " + device.asked + (device.not_captured.empty() ? "" : ", without captured graphs: " + device.not_captured) +
           ")";
  if (device.problem.empty()) return "";
  return (listing.answers() ? "  (on the CPU, not on a GPU: " : "  (the GPU failed: ") + device.problem + ")";
}

std::optional<int64_t> version_of(const Route& route) {
  return route.version > 0 ? std::optional<int64_t>(route.version) : std::nullopt;
}

// What is kept of a request until its answer is written.
struct Answer {
  const Model& model;  // the call keeps it alive
  const SharedMemory* memory;
  std::optional<std::string> id;
  std::vector<OutputChoice> outputs;
  Clock::TimePoint arrived;
  bool explain = false;

  std::optional<Explanation> explanation(const RunRecord& run) const {
    if (!explain) return std::nullopt;
    const auto waited = std::chrono::duration_cast<std::chrono::microseconds>(run.begun - arrived);
    return Explanation{waited.count(), run.batch_rows, run.first_row, run.lane};
  }
};

HttpResponse write(const Answer& request, std::span<const ConstTensorView> outputs, const RunRecord& run) {
  const Signature& signature = request.model.signature();
  std::vector<AnswerTensor> answers;
  for (const OutputChoice& choice : request.outputs)
    answers.push_back({signature.outputs[choice.index].name, outputs[choice.index], choice.binary, choice.classes,
                       signature.batched, choice.region});
  InferResponse answer = write_infer_response(request.model.name(), request.model.version(), request.id, answers, request.memory,
                                              request.explanation(run));
  HttpResponse response{200, "application/json", std::move(answer.body), {}};
  if (answer.json_bytes) {
    response.content_type = "application/octet-stream";
    response.headers.emplace_back("Inference-Header-Content-Length", std::to_string(*answer.json_bytes));
  }
  return response;
}

}  // namespace

int http_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kCancelled: return 400;
    case ErrorCode::kNotFound: return 404;
    case ErrorCode::kOutOfMemory:
    case ErrorCode::kUnavailable: return 503;
    case ErrorCode::kDeadlineExceeded: return 504;
    case ErrorCode::kDevice:
    case ErrorCode::kInternal: return 500;
  }
  return 500;
}

V2Service::V2Service(ModelRepository& repository, ServerMetrics& metrics, Lane& control, const Clock& clock,
                     const V2Options& options)
    : repository_(repository), metrics_(metrics), control_(control), clock_(clock), options_(options) {}

void V2Service::handle(const HttpRequest& request, const HttpRespond& respond) {
  const ContentCoding accepted = accepted_coding(request.header("Accept-Encoding").value_or(""));
  const HttpRespond counted = [this, respond, accepted](HttpResponse response) {
    metrics_.count_http(response.status);
    respond(packed(std::move(response), accepted));
  };
  HttpResponse response;
  try {
    const Route route = route_of(request.method(), request.target());
    const ContentCoding coding = content_coding(request.header("Content-Encoding").value_or(""));
    if (coding == ContentCoding::kIdentity) return serve(route, request, counted);
    return serve(route, UnpackedRequest(request, coding, options_.limits.request_bytes), counted);
  } catch (...) {
    response = failure(std::current_exception());
  }
  counted(std::move(response));
}

void V2Service::serve(const Route& route, const HttpRequest& request, const HttpRespond& respond) {
  switch (route.endpoint) {
    case Endpoint::kInfer: return infer(route, request, respond);
    case Endpoint::kLoad:
    case Endpoint::kUnload: return change(route, request, respond);
    default: return respond(answer(route, request));
  }
}

HttpResponse V2Service::answer(const Route& route, const HttpRequest& request) const {
  switch (route.endpoint) {
    case Endpoint::kIndexPage: return index_page();
    case Endpoint::kMetrics: return metrics_text();
    case Endpoint::kServerMetadata:
      return {200, "application/json",
              server_metadata_json(options_.server_name, options_.version, options_.shared_memory != nullptr)};
    case Endpoint::kLive: return {};
    case Endpoint::kServerReady: return server_ready();
    case Endpoint::kModelReady:
      check(repository_.find(route.model, version_of(route))->model().usable(), ErrorCode::kUnavailable,
            "model '" + route.model + "' is not ready: the GPU failed");
      return {};
    case Endpoint::kModelMetadata: return model_metadata(route);
    case Endpoint::kModelConfig:
      return {200, "application/json", model_config_json(repository_.find(route.model, version_of(route))->model().config())};
    case Endpoint::kStatistics: return statistics(route);
    case Endpoint::kRepositoryIndex:
      return {200, "application/json", repository_index_json(repository_.listings(), parse_ready_filter(request.body()))};
    case Endpoint::kRegionStatus:
    case Endpoint::kRegisterRegion:
    case Endpoint::kUnregisterRegion: return shared_memory(route, request);
    case Endpoint::kInfer:
    case Endpoint::kLoad:
    case Endpoint::kUnload: break;
  }
  throw HttpFault{404, "Not Found"};
}

HttpResponse V2Service::server_ready() const {
  if (draining_) return failure(400, "the server is shutting down");
  for (const ModelListing& listing : repository_.listings())
    if (!listing.answers() && listing.is_wanted())
      return failure(400, "model '" + listing.name + "' is not ready: " + (listing.served ? "the GPU failed" : listing.reason));
  return {};
}

HttpResponse V2Service::metrics_text() const {
  for (const ModelListing& listing : repository_.listings()) {
    if (listing.version > 0) metrics_.set_ready(listing.name, listing.version, listing.answers());
    if (!listing.served) continue;
    const ModelDevice device = listing.model()->device();
    metrics_.set_device(listing.name, listing.version,
                        {.on_device = device.on_device,
                         .fallen_back = !device.problem.empty(),
                         .errors = device.errors,
                         .captured_graphs = device.captured_graphs});
  }
  return {200, "text/plain; version=0.0.4; charset=utf-8", metrics_.text()};
}

HttpResponse V2Service::model_metadata(const Route& route) const {
  const std::shared_ptr<ServedModel> served = repository_.find(route.model, version_of(route));
  const Model& model = served->model();
  const std::vector<int64_t> versions =
      route.version > 0 ? std::vector<int64_t>{route.version} : repository_.ready_versions(route.model);
  return {200, "application/json", model_metadata_json(model.name(), versions, model.signature(), model.device())};
}

HttpResponse V2Service::statistics(const Route& route) const {
  if (!route.model.empty()) repository_.find(route.model, version_of(route));  // it must be there
  std::vector<ModelListing> listings = repository_.listings();
  std::erase_if(listings, [&](const ModelListing& listing) {
    return (!route.model.empty() && listing.name != route.model) || (route.version > 0 && listing.version != route.version);
  });
  return {200, "application/json", statistics_json(listings)};
}

HttpResponse V2Service::shared_memory(const Route& route, const HttpRequest& request) const {
  SharedMemory* const memory = options_.shared_memory;
  if (!memory) throw HttpFault{501, "shared memory of clients is not allowed: start the server with --allow-client-shm"};
  const bool changes = route.endpoint != Endpoint::kRegionStatus;
  if (route.of_device) {  // there is none: unregistering all of it works, as clients expect
    if (route.endpoint == Endpoint::kRegisterRegion) throw HttpFault{501, "CUDA shared memory is not supported by this server"};
    if (!route.region.empty()) fail(ErrorCode::kNotFound, "Unable to find shared memory region: " + quoted_name(route.region));
    return {200, "application/json", changes ? "" : "[]", {}};
  }
  if (!changes) return {200, "application/json", region_status_json(memory->status(route.region)), {}};
  if (route.endpoint == Endpoint::kRegisterRegion)
    memory->add(parse_region(route.region, request.body()));
  else if (route.region.empty())
    memory->remove_all();
  else
    memory->remove(route.region);
  return {};
}

// The network goes on while a model is loaded.
void V2Service::change(const Route& route, const HttpRequest& request, const HttpRespond& respond) {
  check(repository_.control() == ModelControl::kExplicit, ErrorCode::kUnavailable,
        "explicit model load / unload is not allowed: start the server with --model-control explicit");
  const bool loads = route.endpoint == Endpoint::kLoad;
  LoadOverrides overrides;
  if (loads)
    overrides = parse_load_request(request.body());
  else
    check_unload_parameters(request.body());
  const auto run = [this, loads, model = route.model, overrides = std::move(overrides), respond] {
    HttpResponse response{200, "application/json", "", {}};
    try {
      loads ? repository_.load(model, overrides) : repository_.unload(model);
    } catch (...) {
      response = failure(std::current_exception());
    }
    respond(std::move(response));
  };
  control_.submit(Task(run, [respond](const Error& error) { respond(failure(std::make_exception_ptr(error))); }));
}

// For a person with a browser or curl: what is here.
HttpResponse V2Service::index_page() const {
  std::string text = options_.server_name + " " + options_.version + ": Open Inference Protocol v2\n\n";
  for (const ModelListing& listing : repository_.listings()) {
    text += (listing.answers() ? "ready        /v2/models/" : "UNAVAILABLE  /v2/models/") + listing.name;
    if (listing.version > 0) text += "/versions/" + std::to_string(listing.version);
    text += (listing.reason.empty() ? device_note(listing) : "  (" + listing.reason + ")") + "\n";
  }
  return {200, "text/plain; charset=utf-8", text + "\nPOST .../infer runs a model. See also /v2, /v2/health/ready, /metrics.\n"};
}

void V2Service::infer(const Route& route, const HttpRequest& request, const HttpRespond& respond) const {
  const Clock::TimePoint arrived = clock_.now();
  const std::shared_ptr<ServedModel> served = repository_.find(route.model, version_of(route));
  const auto answer = std::make_shared<Answer>(Answer{served->model(), options_.shared_memory, {}, {}, arrived});
  const auto call =
      std::make_shared<InferenceCall>([answer, respond](std::span<const ConstTensorView> outputs,
                                                        const RunRecord& run) { respond(write(*answer, outputs, run)); },
                                      [respond](const std::exception_ptr& thrown) { respond(failure(thrown)); });
  call->arrived = arrived;
  try {
    const Signature& signature = served->model().signature();
    const auto json_bytes = request.header("Inference-Header-Content-Length");
    InferRequest parsed = json_bytes == "0"
                              ? parse_raw_request(request.body(), route.model, signature)
                              : parse_infer_request(request.body(), json_bytes, options_.limits, options_.shared_memory);
    answer->id = std::move(parsed.id);
    answer->explain = parsed.explain;
    call->inputs = match_inputs(parsed, route.model, signature);
    answer->outputs = match_outputs(parsed, route.model, signature);
    call->priority = parsed.priority;
    if (parsed.timeout) {
      call->timeout = std::min(*parsed.timeout, kLongestTimeout);
      call->deadline = arrived + call->timeout;
    }
  } catch (...) {
    served->refuse(std::current_exception(), arrived);
    return respond(failure(std::current_exception()));
  }
  request.when_gone([call = std::weak_ptr(call)] {
    if (const auto waiting = call.lock()) waiting->cancel();
  });
  served->infer(call);
}

}  // namespace tandem
