#include "serving/load/grpc_load_client.h"

#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <vector>

#include "kernels/base/error.h"
#include "serving/load/grpc_call.h"
#include "serving/load/grpc_channel-inl.h"

namespace tandem {
namespace {

using std::chrono::system_clock;

constexpr std::chrono::seconds kPatience{30};

AnswerKind kind_of(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::OK: return AnswerKind::kOk;
    case grpc::RESOURCE_EXHAUSTED:
    case grpc::UNAVAILABLE: return AnswerKind::kShed;
    case grpc::DEADLINE_EXCEEDED: return AnswerKind::kLate;
    default: return AnswerKind::kFailed;
  }
}

}  // namespace

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

  explicit Impl(const Clock& clock) : clock(clock) {}

  void take(void* tag, std::vector<LoadAnswer>& answers) {
    const auto connection = static_cast<int>(reinterpret_cast<uintptr_t>(tag));
    Connection& own = *connections[static_cast<size_t>(connection)];
    const AnswerKind kind = kind_of(own.status);
    if (kind != AnswerKind::kOk && problem.empty())
      problem = std::to_string(own.status.error_code()) + " " + own.status.error_message();
    answers.push_back({connection, kind, clock.now()});
  }

  const Clock& clock;
  grpc::ByteBuffer request;
  const std::string path = inference_path("ModelInfer");
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<Connection>> connections;
  std::string problem;
};

GrpcLoadClient::GrpcLoadClient(const std::string& target, const std::string& request, int connections, const Clock& clock)
    : impl_(std::make_unique<Impl>(clock)) {
  impl_->request = load_detail::buffer_of(request);
  for (int i = 0; i < connections; ++i) {
    impl_->connections.push_back(std::make_unique<Impl::Connection>(load_detail::own_channel(target)));
    impl_->connections.back()->channel->GetState(true);
  }
  for (const auto& one : impl_->connections)
    check(one->channel->WaitForConnected(system_clock::now() + kPatience), ErrorCode::kUnavailable,
          "cannot connect to " + target);
}

GrpcLoadClient::~GrpcLoadClient() {
  for (const auto& one : impl_->connections)
    if (one->context) one->context->TryCancel();
  impl_->queue.Shutdown();
  void* tag = nullptr;
  for (bool ok = false; impl_->queue.Next(&tag, &ok);) {
  }
}

int GrpcLoadClient::connections() const { return static_cast<int>(impl_->connections.size()); }
const std::string& GrpcLoadClient::first_problem() const { return impl_->problem; }

void GrpcLoadClient::send(int connection) {
  Impl::Connection& own = *impl_->connections[static_cast<size_t>(connection)];
  own.reader.reset();
  own.context.emplace();
  own.reader = own.stub.PrepareUnaryCall(&*own.context, impl_->path, impl_->request, &impl_->queue);
  own.reader->StartCall();
  own.reader->Finish(&own.answer, &own.status, reinterpret_cast<void*>(static_cast<uintptr_t>(connection)));
}

void GrpcLoadClient::wait(Clock::TimePoint from, Clock::TimePoint until, std::vector<LoadAnswer>& answers) {
  const auto gathering = from - impl_->clock.now();
  if (gathering.count() > 0) std::this_thread::sleep_for(gathering);
  const auto deadline = [&](Clock::TimePoint time) {
    return system_clock::now() + std::chrono::duration_cast<system_clock::duration>(
                                     std::max(Clock::TimePoint::duration::zero(), time - impl_->clock.now()));
  };
  void* tag = nullptr;
  bool ok = false;
  if (impl_->queue.AsyncNext(&tag, &ok, deadline(until)) != grpc::CompletionQueue::GOT_EVENT) return;
  impl_->take(tag, answers);
  if (gathering.count() <= 0) return;
  while (impl_->queue.AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_MONOTONIC)) == grpc::CompletionQueue::GOT_EVENT) impl_->take(tag, answers);
}

}  // namespace tandem
