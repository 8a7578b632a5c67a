#include "serving/load/grpc_load_client.h"

#include <grpcpp/generic/generic_stub.h>

#include <optional>
#include <utility>

#include "serving/load/grpc_call.h"
#include "serving/load/grpc_client-inl.h"
#include "serving/load/in_turn.h"

namespace tandem {

struct GrpcLoadClient::Impl {
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

  Impl(const std::vector<std::string>& bytes, const Clock& clock) : clock(clock), requests(load_detail::buffers_of(bytes)) {}

  void take(void* tag, std::vector<LoadAnswer>& answers) {
    const auto connection = static_cast<int>(reinterpret_cast<uintptr_t>(tag));
    Connection& own = *connections[static_cast<size_t>(connection)];
    const AnswerKind kind = load_detail::kind_of(own.status);
    if (kind != AnswerKind::kOk && problem.empty())
      problem = std::to_string(own.status.error_code()) + " " + own.status.error_message();
    answers.push_back({connection, kind, clock.now()});
  }

  const Clock& clock;
  InTurn<grpc::ByteBuffer> requests;
  const std::string path = inference_path("ModelInfer");
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<Connection>> connections;
  std::string problem;
};

GrpcLoadClient::GrpcLoadClient(const std::string& target, const std::vector<std::string>& requests, int connections, const Clock& clock)
    : impl_(std::make_unique<Impl>(requests, clock)) {
  for (auto& channel : load_detail::connected_channels(target, connections))
    impl_->connections.push_back(std::make_unique<Impl::Connection>(std::move(channel)));
}

GrpcLoadClient::~GrpcLoadClient() {
  for (const auto& one : impl_->connections)
    if (one->context) one->context->TryCancel();
  load_detail::drain(impl_->queue);
}

int GrpcLoadClient::connections() const { return static_cast<int>(impl_->connections.size()); }
const std::string& GrpcLoadClient::first_problem() const { return impl_->problem; }

void GrpcLoadClient::send(int connection) {
  Impl::Connection& own = *impl_->connections[static_cast<size_t>(connection)];
  own.reader.reset();
  own.context.emplace();
  own.reader = own.stub.PrepareUnaryCall(&*own.context, impl_->path, impl_->requests.next(), &impl_->queue);
  own.reader->StartCall();
  own.reader->Finish(&own.answer, &own.status, reinterpret_cast<void*>(static_cast<uintptr_t>(connection)));
}

void GrpcLoadClient::wait(Clock::TimePoint from, Clock::TimePoint until, std::vector<LoadAnswer>& answers) {
  load_detail::take_answers(impl_->queue, impl_->clock, from, until, answers, [&](void* tag, bool) { impl_->take(tag, answers); });
}

}  // namespace tandem
