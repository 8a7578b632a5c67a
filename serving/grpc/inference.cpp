#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/impl/codegen/proto_buffer_reader.h>

#include "inference_service.pb.h"
#include "serving/batching/overloaded.h"
#include "serving/grpc/call_bytes-inl.h"
#include "serving/grpc/inference-inl.h"
#include "serving/protocol/answer_message.h"
#include "serving/protocol/infer_message.h"
#include "serving/protocol/match.h"

namespace tandem::grpc_detail {
namespace {

using std::chrono::microseconds;
using std::chrono::system_clock;

constexpr microseconds kLongestTimeout = std::chrono::hours(24 * 365);  // beyond, nanoseconds would overflow

// Of a message that begins with them, as libraries write it; else with an empty name. Large tensors behind are not looked at.
struct ModelAsked {
  std::string name, version;
};

ModelAsked model_asked(const grpc::ByteBuffer& bytes) {
  using Message = inference::ModelInferRequest;
  constexpr uint32_t kName = Message::kModelNameFieldNumber << 3 | 2, kVersion = Message::kModelVersionFieldNumber << 3 | 2;  // 2: bytes behind their count
  ModelAsked asked;
  grpc::ByteBuffer shared(bytes);  // the reader wants one that it might change
  grpc::ProtoBufferReader reader(&shared);
  google::protobuf::io::CodedInputStream in(&reader);
  for (;;) {
    const uint32_t tag = in.ReadTag();
    if (tag != kName && tag != kVersion) return asked;
    int length = 0;
    if (!in.ReadVarintSizeAsInt(&length) || !in.ReadString(tag == kName ? &asked.name : &asked.version, length)) return {};
  }
}

// What a request is refused with before it is read. What is wrong with it is told when it is.
std::optional<Overloaded> overload_of(const ModelRepository& models, const ModelAsked& asked, Clock::TimePoint arrived) {
  try {
    if (!asked.name.empty()) return models.find(asked.name, models.version_named(asked.name, asked.version))->overload(arrived);
  } catch (const Error&) {
  }
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> retry_after(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Overloaded& refusal) {
    return refusal.retry_after();
  } catch (...) {
    return std::nullopt;
  }
}

// What the answer needs of the request. The message is kept by the tensors that lie in it, and here for its names.
struct Asked {
  std::shared_ptr<inference::ModelInferRequest> message;
  AnswerForm form;
  Done done;
  const Backend& backend;
  Clock::TimePoint arrived{};
  std::string peer{};
  std::shared_ptr<ServedModel> served{};
  int64_t bytes_in = 0;
  std::vector<OutputChoice> outputs{};
  bool is_explained = false;

  void fail(const std::exception_ptr& thrown) const {
    end(status_of(thrown), retry_after(thrown));
  }

  void refuse(const Overloaded& refusal) const { end({grpc::RESOURCE_EXHAUSTED, refusal.what()}, refusal.retry_after()); }

  // Of what failed.
  void end(const grpc::Status& status, std::optional<std::chrono::milliseconds> later) const {
    const bool has_answer = form == AnswerForm::kStream;
    const InferMessageHead head{.model = message->model_name(),
                                .version = served ? served->model().version() : 0,
                                .id = message->id(),
                                .final_response = true};
    count(status);
    done({status, has_answer ? bytes_of(write_stream_error(status.error_message(), head)) : grpc::ByteBuffer(), later});
  }

  void answer(std::span<const ConstTensorView> results, const RunRecord& run) const {
    const Model& model = served->model();
    const Signature& signature = model.signature();
    std::vector<AnswerTensor> answers;
    for (const OutputChoice& choice : outputs)
      answers.push_back({signature.outputs[choice.index].name, results[choice.index], true, choice.classes, signature.batched, choice.region});
    const bool stream = form == AnswerForm::kStream;
    InferMessageHead head{.model = model.name(), .version = model.version(), .id = message->id(), .final_response = stream};
    if (is_explained) head.explanation = explain(run, arrived);
    std::string bytes = stream ? write_stream_message(head, answers, backend.shared_memory)
                               : write_infer_message(head, answers, backend.shared_memory);
    count(grpc::Status::OK, static_cast<int64_t>(bytes.size()));
    done({grpc::Status::OK, bytes_of(std::move(bytes))});
  }

  void count(const grpc::Status& status, int64_t bytes = 0) const {
    const std::string_view call = form == AnswerForm::kStream ? "ModelStreamInfer " : "ModelInfer ";
    record_call(backend, std::string(call) + message->model_name(), status, arrived, {peer, bytes_in, bytes});
  }
};

// In time of the queues' clock.
std::optional<Clock::TimePoint> deadline_of(system_clock::time_point deadline, Clock::TimePoint now) {
  const auto left = deadline - system_clock::now();
  if (left >= kLongestTimeout) return std::nullopt;
  return now + std::chrono::duration_cast<Clock::TimePoint::duration>(left);
}

void read_request(const InferenceContext& context, Asked& asked, InferenceCall& call) {
  const InferRequest parsed = read_infer_message(asked.message, context.limits, context.backend.shared_memory);
  const Signature& signature = asked.served->model().signature();
  call.inputs = match_inputs(parsed, asked.message->model_name(), signature);
  asked.outputs = match_outputs(parsed, asked.message->model_name(), signature);
  asked.is_explained = parsed.explain;
  call.id = asked.message->id();
  call.priority = parsed.priority;
  if (!parsed.timeout) return;
  call.timeout = std::min(*parsed.timeout, kLongestTimeout);
  const Clock::TimePoint latest = call.arrived + call.timeout;
  call.deadline = std::min(call.deadline.value_or(latest), latest);
}

}  // namespace

std::shared_ptr<InferenceCall> begin_inference(const InferenceContext& context, const grpc::ByteBuffer& request,
                                               system_clock::time_point deadline, AnswerForm form, Done done) {
  const Clock::TimePoint arrived = context.backend.clock.now();
  const auto asked = std::make_shared<Asked>(Asked{std::make_shared<inference::ModelInferRequest>(), form, std::move(done),
                                                         context.backend, arrived, context.peer});
  asked->bytes_in = static_cast<int64_t>(request.Length());
  if (form == AnswerForm::kUnary) {
    const ModelAsked model = model_asked(request);
    if (const auto refusal = overload_of(context.backend.repository, model, arrived)) {
      asked->message->set_model_name(model.name);
      asked->refuse(*refusal);
      return nullptr;
    }
  }
  try {
    read_message(request, context.limits, *asked->message);
    const ModelRepository& models = context.backend.repository;
    const std::string& name = asked->message->model_name();
    asked->served = models.find(name, models.version_named(name, asked->message->model_version()));
  } catch (...) {
    asked->fail(std::current_exception());
    return nullptr;
  }
  const auto call = std::make_shared<InferenceCall>(
      [asked](std::span<const ConstTensorView> outputs, const RunRecord& run) { asked->answer(outputs, run); },
      [asked](const std::exception_ptr& thrown) { asked->fail(thrown); });
  call->arrived = arrived;
  call->deadline = deadline_of(deadline, arrived);
  call->here = context.here;
  try {
    read_request(context, *asked, *call);
  } catch (...) {
    asked->served->refuse(std::current_exception(), arrived);
    asked->fail(std::current_exception());
    return nullptr;
  }
  asked->served->infer(call);
  return call;
}

}  // namespace tandem::grpc_detail
