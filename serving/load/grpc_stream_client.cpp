#include "serving/load/grpc_stream_client.h"

#include <grpcpp/generic/generic_stub.h>

#include <optional>
#include <utility>

#include "inference_service.pb.h"
#include "serving/load/grpc_call.h"
#include "serving/load/grpc_client-inl.h"
#include "serving/load/in_turn.h"

namespace tandem {
namespace {

const std::string kStreamInfer = inference_path("ModelStreamInfer");

enum class Event : uintptr_t { kStarted, kWritten, kRead, kFinished };
constexpr uintptr_t kEvents = 4;

// Answers are not parsed, which would take time from those that wait: their first field tells. What failed is named by it.
std::optional<std::string> error_of(const grpc::ByteBuffer& message) {
  std::vector<grpc::Slice> slices;
  if (!message.Dump(&slices).ok() || slices.empty() || slices[0].size() == 0) return "an empty answer in a stream";
  constexpr uint8_t kErrorMessage = 1 << 3 | 2;
  if (*slices[0].begin() != kErrorMessage) return std::nullopt;
  inference::ModelStreamInferResponse response;
  response.ParseFromString(load_detail::bytes_of(message));
  return response.error_message();
}

class GrpcStreamClient final : public LoadClient {
 public:
  GrpcStreamClient(const std::string& target, const std::vector<std::string>& requests, int connections, const Clock& clock)
      : clock_(clock), requests_(load_detail::buffers_of(requests)) {
    for (auto& channel : load_detail::connected_channels(target, connections)) streams_.push_back(std::make_unique<Stream>(std::move(channel)));
  }
  ~GrpcStreamClient() override {
    for (const auto& one : streams_)
      if (one->context) one->context->TryCancel();
    load_detail::drain(queue_);
  }

  int connections() const override { return static_cast<int>(streams_.size()); }
  const std::string& first_problem() const override { return problem_; }
  void send(int connection) override {
    Stream& own = *streams_[static_cast<size_t>(connection)];
    own.request = &requests_.next();
    if (own.call) return write(connection);
    own.context.emplace();
    own.context->AddMetadata("triton_grpc_error", "true");
    own.call = own.stub.PrepareCall(&*own.context, kStreamInfer, &queue_);
    own.call->StartCall(expect(connection, Event::kStarted));
  }
  void wait(Clock::TimePoint from, Clock::TimePoint until, std::vector<LoadAnswer>& answers) override {
    load_detail::take_answers(queue_, clock_, from, until, answers, [&](void* tag, bool ok) { take(tag, ok, answers); });
  }

 private:
  // One connection, its stream, and the request under way.
  struct Stream {
    explicit Stream(std::shared_ptr<grpc::Channel> own) : channel(std::move(own)), stub(channel) {}
    std::shared_ptr<grpc::Channel> channel;
    grpc::GenericStub stub;
    std::optional<grpc::ClientContext> context;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;  // null: none is open
    const grpc::ByteBuffer* request = nullptr;                    // null: none is under way
    grpc::ByteBuffer answer;
    std::optional<AnswerKind> kind;  // of the answer that was read
    grpc::Status status;
    int events = 0;  // that are still to come
    bool is_writing = false, has_ended = false;
  };

  void* expect(int connection, Event event) {
    ++streams_[static_cast<size_t>(connection)]->events;
    return reinterpret_cast<void*>(static_cast<uintptr_t>(connection) * kEvents + static_cast<uintptr_t>(event));
  }

  void write(int connection) {
    Stream& own = *streams_[static_cast<size_t>(connection)];
    own.is_writing = true;
    own.call->Write(*own.request, expect(connection, Event::kWritten));
  }
  void read(int connection) {
    Stream& own = *streams_[static_cast<size_t>(connection)];
    own.call->Read(&own.answer, expect(connection, Event::kRead));
  }

  void take(void* tag, bool ok, std::vector<LoadAnswer>& answers) {
    const auto number = reinterpret_cast<uintptr_t>(tag);
    const auto connection = static_cast<int>(number / kEvents);
    Stream& own = *streams_[static_cast<size_t>(connection)];
    --own.events;
    switch (static_cast<Event>(number % kEvents)) {
      case Event::kStarted:
        if (ok) write(connection), read(connection);
        break;
      case Event::kWritten:
        own.is_writing = false;
        return settle(connection, answers);  // one that failed is told by the read beside it
      case Event::kRead:
        if (ok) took_answer(own), read(connection);
        break;
      case Event::kFinished:
        own.has_ended = true;
        return settle(connection, answers);
    }
    if (!ok) own.call->Finish(&own.status, expect(connection, Event::kFinished));
    settle(connection, answers);
  }

  void took_answer(Stream& own) {
    if (!own.request) return;  // more answers than requests
    const std::optional<std::string> error = error_of(own.answer);
    own.kind = error ? AnswerKind::kFailed : AnswerKind::kOk;
    if (error) tell(*error);
  }

  // The request under way is answered when its answer was read, or its stream is over, and nothing is written any more.
  void settle(int connection, std::vector<LoadAnswer>& answers) {
    Stream& own = *streams_[static_cast<size_t>(connection)];
    if (own.has_ended && own.events == 0) {
      if (own.request && !own.kind) {
        own.kind = own.status.ok() ? AnswerKind::kFailed : load_detail::kind_of(own.status);
        tell(own.status.ok() ? "the server ended a stream" : load_detail::text_of(own.status));
      }
      own.call.reset();
      own.has_ended = false;
    } else if (own.is_writing) {
      return;
    }
    if (!own.request || !own.kind) return;
    answers.push_back({connection, *own.kind, clock_.now()});
    own.request = nullptr;
    own.kind.reset();
  }

  void tell(const std::string& text) {
    if (problem_.empty()) problem_ = text;
  }

  const Clock& clock_;
  InTurn<grpc::ByteBuffer> requests_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::string problem_;
};

}  // namespace

std::unique_ptr<LoadClient> grpc_stream_client(const std::string& target, const std::vector<std::string>& requests, int connections, const Clock& clock) {
  return std::make_unique<GrpcStreamClient>(target, requests, connections, clock);
}

std::string grpc_stream_exchange(const std::string& target, const std::string& request) {
  const GrpcAnswer answer = grpc_call({.target = target, .path = kStreamInfer, .messages = {request}});
  inference::ModelStreamInferResponse response;
  const bool has_answer = answer.status == 0 && answer.messages.size() == 1 && response.ParseFromString(answer.messages[0]);
  check(has_answer && response.error_message().empty(), ErrorCode::kUnavailable, target + " did not answer in a stream",
        has_answer ? response.error_message() : answer.text);
  return response.infer_response().SerializeAsString();
}

}  // namespace tandem
