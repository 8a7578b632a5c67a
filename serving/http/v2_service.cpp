#include "serving/http/v2_service.h"

#include <chrono>

#include "serving/protocol/infer_request.h"
#include "serving/protocol/infer_response.h"
#include "serving/protocol/json_writer.h"
#include "serving/protocol/match.h"
#include "serving/protocol/metadata.h"

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

FailureReason reason_of(int status) {
  if (status == 504) return FailureReason::kTimeout;
  if (status == 503) return FailureReason::kRejected;
  return status >= 500 ? FailureReason::kInternal : FailureReason::kInvalid;
}

// No body is unpacked, so none can unpack to more than was sent.
void refuse_packed_body(const HttpRequest& request) {
  const auto encoding = request.header("Content-Encoding");
  if (encoding && *encoding != "identity")
    throw HttpFault{415, "Content-Encoding is not supported; send the body as it is, uncompressed"};
}

// Where a loaded model is served from, if that is to be told.
std::string device_note(const ModelListing& listing) {
  if (!listing.model) return "";
  const ModelDevice device = listing.model->device();
  if (device.on_device)
    return "  (on " + device.asked + (device.not_captured.empty() ? "" : ", without captured graphs: " + device.not_captured) + ")";
  if (device.problem.empty()) return "";
  return (listing.answers() ? "  (on the CPU, not on a GPU: " : "  (the GPU failed: ") + device.problem + ")";
}

std::optional<int64_t> version_of(const Route& route) {
  return route.version > 0 ? std::optional<int64_t>(route.version) : std::nullopt;
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

struct V2Service::Served {
  std::unique_ptr<Scheduler> scheduler;
  ModelMetrics& metrics;
};

struct V2Service::Call {
  std::shared_ptr<Model> model;
  ModelMetrics& metrics;
  HttpRespond respond;
  Clock::TimePoint arrived;
  std::optional<std::string> id{};
  std::vector<Tensor> inputs{};  // own what the views show
  std::vector<ConstTensorView> views{};
  std::vector<OutputChoice> outputs{};

  void finish_with(const std::exception_ptr& thrown) {
    HttpResponse response = failure(thrown);
    metrics.fail(reason_of(response.status));
    respond(std::move(response));
  }
};

V2Service::V2Service(const ModelRepository& repository, ServerMetrics& metrics, Workers& workers, const Clock& clock,
                     const V2Options& options)
    : repository_(repository), metrics_(metrics), clock_(clock), options_(options) {
  for (const ModelListing& listing : repository.listings()) {
    if (listing.version > 0) metrics.set_ready(listing.name, listing.version, listing.ready);
    if (!listing.ready) continue;
    std::vector<std::string> text_inputs;
    for (const auto& [input, known] : listing.model->categories().by_input()) text_inputs.push_back(input);
    served_.emplace(listing.model.get(),
                    std::make_unique<Served>(
                        Served{std::make_unique<ImmediateScheduler>(listing.name, options.limits.queue_length, workers, clock),
                               metrics.add_model(listing.name, listing.version, text_inputs)}));
  }
}
V2Service::~V2Service() = default;

void V2Service::handle(const HttpRequest& request, const HttpRespond& respond) {
  const HttpRespond counted = [this, respond](HttpResponse response) {
    metrics_.count_http(response.status);
    respond(std::move(response));
  };
  HttpResponse response;
  try {
    const Route route = route_of(request.method(), request.target());
    refuse_packed_body(request);
    if (route.endpoint == Endpoint::kInfer) return infer(route, request, counted);
    response = answer(route, request);
  } catch (...) {
    response = failure(std::current_exception());
  }
  counted(std::move(response));
}

HttpResponse V2Service::answer(const Route& route, const HttpRequest& request) const {
  switch (route.endpoint) {
    case Endpoint::kIndexPage: return index_page();
    case Endpoint::kMetrics: return metrics_text();
    case Endpoint::kServerMetadata:
      return {200, "application/json", server_metadata_json(options_.server_name, options_.version)};
    case Endpoint::kLive: return {};
    case Endpoint::kServerReady: return server_ready();
    case Endpoint::kModelReady:
      check(repository_.find(route.model, version_of(route))->usable(), ErrorCode::kUnavailable,
            "model '" + route.model + "' is not ready: the GPU failed");
      return {};
    case Endpoint::kModelMetadata: return model_metadata(route);
    case Endpoint::kModelConfig:
      return {200, "application/json", model_config_json(repository_.find(route.model, version_of(route))->config())};
    case Endpoint::kRepositoryIndex:
      return {200, "application/json", repository_index_json(repository_.listings(), parse_ready_filter(request.body()))};
    case Endpoint::kInfer: break;
  }
  throw HttpFault{404, "Not Found"};
}

HttpResponse V2Service::server_ready() const {
  if (draining_) return failure(400, "the server is shutting down");
  for (const ModelListing& listing : repository_.listings())
    if (!listing.answers())
      return failure(400, "model '" + listing.name + "' is not ready: " + (listing.ready ? "the GPU failed" : listing.reason));
  return {};
}

HttpResponse V2Service::metrics_text() const {
  for (const ModelListing& listing : repository_.listings()) {
    if (!listing.ready) continue;
    const ModelDevice device = listing.model->device();
    metrics_.set_ready(listing.name, listing.version, listing.answers());
    metrics_.set_device(listing.name, listing.version,
                        {.on_device = device.on_device,
                         .fallen_back = !device.problem.empty(),
                         .errors = device.errors,
                         .captured_graphs = device.captured_graphs});
  }
  return {200, "text/plain; version=0.0.4; charset=utf-8", metrics_.text()};
}

HttpResponse V2Service::model_metadata(const Route& route) const {
  const std::shared_ptr<Model> model = repository_.find(route.model, version_of(route));
  const std::vector<int64_t> versions =
      route.version > 0 ? std::vector<int64_t>{route.version} : repository_.ready_versions(route.model);
  return {200, "application/json", model_metadata_json(model->name(), versions, model->signature(), model->device())};
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

void V2Service::infer(const Route& route, const HttpRequest& request, const HttpRespond& respond) {
  const Clock::TimePoint arrived = clock_.now();
  const std::shared_ptr<Model> model = repository_.find(route.model, version_of(route));
  Served& served = *served_.at(model.get());
  served.metrics.begin();
  const auto call = std::make_shared<Call>(Call{model, served.metrics, respond, arrived});
  try {
    InferRequest parsed = parse_infer_request(request.body(), request.header("Inference-Header-Content-Length"), options_.limits);
    call->id = std::move(parsed.id);
    call->inputs = match_inputs(parsed, model->name(), model->signature());
    call->outputs = match_outputs(parsed, model->name(), model->signature());
    for (size_t i = 0; i < call->inputs.size(); ++i) {
      call->views.push_back(std::as_const(call->inputs[i]).view());
      served.metrics.unknown_categories(model->signature().inputs[i].name,
                                        model->categories().count_unknown(model->signature().inputs[i].name, call->views[i]));
    }
    model->check_limits(call->views);
    Work work;
    if (model->signature().batched) work.rows = call->views[0].shape[0];
    if (parsed.timeout) work.deadline = arrived + std::min(*parsed.timeout, kLongestTimeout);
    work.run = [this, call](int lane, Clock::TimePoint begun) { run(*call, lane, begun); };
    work.drop = [call](const Error& reason) { call->finish_with(std::make_exception_ptr(reason)); };
    served.scheduler->submit(std::move(work));
  } catch (...) {
    call->finish_with(std::current_exception());
  }
}

void V2Service::run(Call& call, int lane, Clock::TimePoint begun) const {
  HttpResponse response;
  const Signature& signature = call.model->signature();
  try {
    const std::span<const ConstTensorView> results = call.model->run(lane, call.views);
    std::vector<AnswerTensor> answers;
    for (const OutputChoice& choice : call.outputs)
      answers.push_back(
          {signature.outputs[choice.index].name, results[choice.index], choice.binary, choice.classes, signature.batched});
    InferResponse answer = write_infer_response(call.model->name(), call.model->version(), call.id, answers);
    response.body = std::move(answer.body);
    if (answer.json_bytes) {
      response.content_type = "application/octet-stream";
      response.headers.emplace_back("Inference-Header-Content-Length", std::to_string(*answer.json_bytes));
    }
  } catch (...) {
    return call.finish_with(std::current_exception());
  }
  const auto seconds = [](Clock::TimePoint::duration time) { return std::chrono::duration<double>(time).count(); };
  call.metrics.succeed(seconds(clock_.now() - call.arrived), seconds(begun - call.arrived),
                       signature.batched ? call.views[0].shape[0] : 1);
  call.respond(std::move(response));
}

}  // namespace tandem
