#include "serving/http/inference.h"

#include <chrono>

#include "serving/http/failure.h"
#include "serving/protocol/generate.h"
#include "serving/protocol/infer_request.h"
#include "serving/protocol/infer_response.h"
#include "serving/protocol/match.h"
#include "serving/protocol/raw_request.h"

namespace tandem {
namespace {

constexpr std::chrono::microseconds kLongestTimeout = std::chrono::hours(24 * 365);  // beyond, nanoseconds would overflow

// What is kept of a request until its answer is written.
struct Answer {
  const Model& model;  // the call keeps it alive
  const SharedMemory* memory;
  Endpoint form;
  Clock::TimePoint arrived;
  std::optional<std::string> id = {};
  std::vector<OutputChoice> outputs = {};
  bool is_explained = false;
};

HttpResponse write_generated(const Answer& request, std::span<const AnswerTensor> answers) {
  const std::string json = generate_response_json(request.model.name(), request.model.version(), request.id, answers, request.model.signature());
  if (request.form == Endpoint::kGenerate) return {200, "application/json", json, {}};
  return {200, "text/event-stream; charset=utf-8", event_of(json), {}};
}

HttpResponse write(const Answer& request, std::span<const ConstTensorView> outputs, const RunRecord& run) {
  const Signature& signature = request.model.signature();
  std::vector<AnswerTensor> answers;
  for (const OutputChoice& choice : request.outputs)
    answers.push_back({signature.outputs[choice.index].name, outputs[choice.index], choice.binary, choice.classes,
                       signature.batched, choice.region});
  if (request.form != Endpoint::kInfer) return write_generated(request, answers);
  const auto explanation = request.is_explained ? std::optional(explain(run, request.arrived)) : std::nullopt;
  InferResponse answer =
      write_infer_response(request.model.name(), request.model.version(), request.id, answers, request.memory, explanation);
  HttpResponse response{200, "application/json", std::move(answer.body), {}};
  if (answer.json_bytes) {
    response.content_type = "application/octet-stream";
    response.headers.emplace_back("Inference-Header-Content-Length", std::to_string(*answer.json_bytes));
  }
  return response;
}

InferRequest parse(const Backend& backend, const Limits& limits, const Route& route, const HttpRequest& request,
                   const Signature& signature) {
  if (route.endpoint != Endpoint::kInfer) return parse_generate_request(request.body(), route.model, signature, limits);
  const auto json_bytes = request.header("Inference-Header-Content-Length");
  if (json_bytes == "0") return parse_raw_request(request.body(), route.model, signature, request.body_memory());
  return parse_infer_request(request.body(), json_bytes, limits, backend.shared_memory, request.body_memory());
}

void take(InferRequest parsed, const Route& route, const Signature& signature, Answer& answer, InferenceCall& call) {
  call.inputs = match_inputs(parsed, route.model, signature);
  answer.outputs = match_outputs(parsed, route.model, signature);
  answer.is_explained = parsed.explain;
  answer.id = std::move(parsed.id);
  call.id = answer.id.value_or("");
  call.priority = parsed.priority;
  if (!parsed.timeout) return;
  call.timeout = std::min(*parsed.timeout, kLongestTimeout);
  call.deadline = call.arrived + call.timeout;
}

}  // namespace

void begin_inference(const Backend& backend, const Limits& limits, const Route& route, const HttpRequest& request,
                     const HttpRespond& respond) {
  const Clock::TimePoint arrived = backend.clock.now();
  const std::shared_ptr<ServedModel> served = backend.repository.find(route.model, backend.repository.version_named(route.model, version_text(route)));
  if (const auto refusal = served->overload(arrived)) return respond(failure(*refusal));
  const auto answer = std::make_shared<Answer>(Answer{served->model(), backend.shared_memory, route.endpoint, arrived});
  const auto call =
      std::make_shared<InferenceCall>([answer, respond](std::span<const ConstTensorView> outputs,
                                                        const RunRecord& run) { respond(write(*answer, outputs, run)); },
                                      [respond](const std::exception_ptr& thrown) { respond(failure(thrown)); });
  call->arrived = arrived;
  call->here = request.run_later();
  try {
    const Signature& signature = served->model().signature();
    take(parse(backend, limits, route, request, signature), route, signature, *answer, *call);
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
