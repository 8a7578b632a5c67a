#include "serving/load/grpc_load_client.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/base/error.h"

namespace tandem {
namespace {

using std::chrono::system_clock;

constexpr std::chrono::seconds kPatience{30};

std::string method_path(const std::string& method) { return "/inference.GRPCInferenceService/" + method; }

grpc::ByteBuffer buffer_of(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string bytes_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  check(buffer.Dump(&slices).ok(), ErrorCode::kUnavailable, "an answer of gRPC has no bytes");
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

// Without this, channels to one address share a connection.
std::shared_ptr<grpc::Channel> own_channel(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

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
  const std::string path = method_path("ModelInfer");
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<Connection>> connections;
  std::string problem;
};

GrpcLoadClient::GrpcLoadClient(const std::string& target, const std::string& request, int connections, const Clock& clock)
    : impl_(std::make_unique<Impl>(clock)) {
  impl_->request = buffer_of(request);
  for (int i = 0; i < connections; ++i) {
    impl_->connections.push_back(std::make_unique<Impl::Connection>(own_channel(target)));
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

void GrpcLoadClient::wait(Clock::TimePoint until, std::vector<LoadAnswer>& answers) {
  const auto deadline = [&](Clock::TimePoint time) {
    return system_clock::now() + std::chrono::duration_cast<system_clock::duration>(
                                     std::max(Clock::TimePoint::duration::zero(), time - impl_->clock.now()));
  };
  void* tag = nullptr;
  bool ok = false;
  if (impl_->queue.AsyncNext(&tag, &ok, deadline(until)) == grpc::CompletionQueue::GOT_EVENT) impl_->take(tag, answers);
}

std::string grpc_exchange(const std::string& target, const std::string& method, const std::string& request) {
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(own_channel(target));
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + kPatience);
  grpc::ByteBuffer answer;
  grpc::Status status;
  const auto reader = stub.PrepareUnaryCall(&context, method_path(method), buffer_of(request), &queue);
  reader->StartCall();
  reader->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  check(status.ok(), ErrorCode::kUnavailable, target + " did not answer " + method, status.error_message());
  return bytes_of(answer);
}

}  // namespace tandem
