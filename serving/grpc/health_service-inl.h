// grpc.health.v1: whether the server, its inference service or, by its name, a model answers. Watch looks again every half second.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "health.grpc.pb.h"
#include "serving/grpc/open_streams-inl.h"

namespace tandem::grpc_detail {

using HealthStatus = grpc::health::v1::HealthCheckResponse::ServingStatus;

class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  // `look` gives the state of a service now; nothing for one that there is not.
  using Look = std::function<std::optional<HealthStatus>(const std::string& service)>;
  HealthService(Look look, OpenStreams& streams) : look_(std::move(look)), streams_(streams) {}

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context, const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override;
  grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* context, const grpc::health::v1::HealthCheckRequest* request) override;

 private:
  class Watcher;
  Look look_;
  OpenStreams& streams_;
};

}  // namespace tandem::grpc_detail
