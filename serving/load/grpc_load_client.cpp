#include "serving/load/grpc_load_client.h"

#include <grpcpp/generic/generic_stub.h>

#include <optional>
#include <utility>

#include "serving/load/grpc_call.h"
#include "serving/load/grpc_client-inl.h"
#include "serving/load/in_turn.h"

namespace tandem {

namespace {

class GrpcLoadClient final : public LoadClient {
 public:
  GrpcLoadClient(const std::string& target, const std::vector<std::string>& requests, int connections, const Clock& clock)
      : clock_(clock), requests_(load_detail::buffers_of(requests)) {
    for (auto& channel : load_detail::connected_channels(target, connections)) connections_.push_back(std::make_unique<Connection>(std::move(channel)));
  }
  ~GrpcLoadClient() override {
    for (const auto& one : connections_)
      if (one->context) one->context->TryCancel();
    load_detail::drain(queue_);
  }

  int connections() const override { return static_cast<int>(connections_.size()); }
  const std::string& first_problem() const override { return problem_; }
  void send(int connection) override {
    Connection& own = *connections_[static_cast<size_t>(connection)];
    own.reader.reset();
    own.context.emplace();
    own.reader = own.stub.PrepareUnaryCall(&*own.context, path_, requests_.next(), &queue_);
    own.reader->StartCall();
    own.reader->Finish(&own.answer, &own.status, reinterpret_cast<void*>(static_cast<uintptr_t>(connection)));
  }
  void wait(Clock::TimePoint from, Clock::TimePoint until, std::vector<LoadAnswer>& answers) override {
    load_detail::take_answers(queue_, clock_, from, until, answers, [&](void* tag, bool) { take(tag, answers); });
  }

 private:
  // One connection, and its call under way.
  struct Connection {
    explicit Connection(std::shared_ptr<grpc::Channel> own) : channel(std::move(own)), stub(channel) {}
    std::shared_ptr<grpc::Channel> channel;
    grpc::GenericStub stub;
    std::optional<grpc::ClientContext> context;
    std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
    grpc::ByteBuffer answer;
    grpc::Status status;
  };

  void take(void* tag, std::vector<LoadAnswer>& answers) {
    const auto connection = static_cast<int>(reinterpret_cast<uintptr_t>(tag));
    const grpc::Status& status = connections_[static_cast<size_t>(connection)]->status;
    const AnswerKind kind = load_detail::kind_of(status);
    if (kind != AnswerKind::kOk && problem_.empty()) problem_ = load_detail::text_of(status);
    answers.push_back({connection, kind, clock_.now()});
  }

  const Clock& clock_;
  InTurn<grpc::ByteBuffer> requests_;
  const std::string path_ = inference_path("ModelInfer");
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::string problem_;
};

}  // namespace

std::unique_ptr<LoadClient> grpc_load_client(const std::string& target, const std::vector<std::string>& requests, int connections, const Clock& clock) {
  return std::make_unique<GrpcLoadClient>(target, requests, connections, clock);
}

}  // namespace tandem
