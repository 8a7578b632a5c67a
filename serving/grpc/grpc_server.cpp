#include "serving/grpc/grpc_server.h"

#include <absl/synchronization/mutex.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cstdlib>

#include "kernels/base/checked.h"
#include "kernels/base/error.h"
#include "serving/grpc/call_queue-inl.h"
#include "serving/grpc/connection_acceptor.h"
#include "serving/grpc/health_service-inl.h"
#include "serving/grpc/inference_service-inl.h"
#include "serving/grpc/reflection_service-inl.h"

namespace tandem {
namespace {

using namespace grpc_detail;
using grpc::experimental::ExternalConnectionAcceptor;
using grpc::health::v1::HealthCheckResponse;

constexpr int kHandshakeMs = 10'000;  // from the connection to the client's settings; then it is closed
constexpr int kMostStreams = 1'024;   // of one connection at once
constexpr int kAskEveryMs = 60'000;   // whether a client that says nothing is still there
constexpr int kAnswerWithinMs = 20'000;
constexpr int64_t kMessagesAtOnce = 8, kReceiveAtLeast = 256 << 20;  // of the largest size, and bytes; beyond, gRPC ends connections

// The message's size is checked where the limit can be named, and before it is unpacked, which gRPC must not do: it has no bound for that.
void limit(grpc::ServerBuilder& builder, const Limits& limits) {
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, static_cast<int>(limits.request_header_bytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreams);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kAskEveryMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kAnswerWithinMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // no such bound: connections may be idle for long
  grpc::ResourceQuota quota("tandem");  // a message is received whole before its size can be refused
  const int64_t most = checked_mul(limits.request_bytes, kMessagesAtOnce, "bytes that gRPC may receive at once");
  quota.Resize(static_cast<size_t>(std::max(most, kReceiveAtLeast)));
  builder.SetResourceQuota(quota);
}

// gRPC's own lines on standard error tell of mistakes that clients make, and as many as they like. Each such call has its status.
void quiet() {
  if (!std::getenv("GRPC_VERBOSITY")) gpr_set_log_function([](gpr_log_func_args*) {});
}

}  // namespace

class GrpcServer::Impl {
 public:
  Impl(const GrpcServerOptions& options, const Backend& backend)
      : options_(options),
        acceptor_({options.host, options.port, options.limits.connections}),
        service_(options_, backend, streams_),
        health_([this](const std::string& name) { return health_of(name); }, options_.limits, streams_),
        reflection_({inference::GRPCInferenceService::service_full_name(), grpc::health::v1::Health::service_full_name()}, options_.limits, streams_) {
    static const bool is_quiet = (quiet(), true);
    ensure(is_quiet, "gRPC writes its own log");
    // Debian's build of gRPC's locks looks for deadlocks: in one graph of all locks, behind one lock, at each of some 200 locks a call.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    grpc::ServerBuilder builder;
    limit(builder, options_.limits);
    builder.RegisterService(&service_);
    builder.RegisterService(&health_);
    builder.RegisterService(&reflection_);
    const std::shared_ptr<ExternalConnectionAcceptor> connections = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, grpc::InsecureServerCredentials());
    for (int i = 0; i < options_.threads; ++i) queues_.push_back(std::make_unique<CallQueue>(builder.AddCompletionQueue()));
    server_ = builder.BuildAndStart();
    check(server_ != nullptr, ErrorCode::kUnavailable, "the gRPC server cannot be started");
    for (const auto& queue : queues_) {
      service_.listen(*queue);
      health_.listen(*queue);
      reflection_.listen(*queue);
      queue->start();
    }
    acceptor_.start([connections](int socket, int listener) {
      ExternalConnectionAcceptor::NewConnectionParameters connection;
      connection.listener_fd = listener;
      connection.fd = socket;
      connections->HandleNewConnection(&connection);
    });
  }

  ~Impl() {
    stop(std::chrono::milliseconds(0));
    queues_.clear();  // before the server is gone
  }

  int port() const { return acceptor_.port(); }

  bool stop(std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::system_clock::now() + timeout;
    acceptor_.stop();
    service_.drain();
    streams_.drain();
    server_->Shutdown(deadline);
    return std::chrono::system_clock::now() < deadline;
  }

 private:
  std::optional<HealthStatus> health_of(const std::string& name) const {
    const auto status = [](bool serving) { return serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING; };
    if (name.empty() || name == inference::GRPCInferenceService::service_full_name()) return status(service_.ready());
    try {
      return status(service_.is_model_ready(name, ""));
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  const GrpcServerOptions options_;
  OpenStreams streams_;
  ConnectionAcceptor acceptor_;
  InferenceService service_;
  HealthService health_;
  ReflectionService reflection_;
  std::vector<std::unique_ptr<CallQueue>> queues_;
  std::unique_ptr<grpc::Server> server_;
};

GrpcServer::GrpcServer(const GrpcServerOptions& options, const Backend& backend) : impl_(std::make_unique<Impl>(options, backend)) {}
GrpcServer::~GrpcServer() = default;
int GrpcServer::port() const { return impl_->port(); }
bool GrpcServer::stop(std::chrono::milliseconds timeout) { return impl_->stop(timeout); }

}  // namespace tandem
