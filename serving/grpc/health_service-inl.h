// grpc.health.v1: whether the server, its inference service or, by its name, a model answers. Watch looks again every half second.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "health.grpc.pb.h"
#include "runtime/graph/limits.h"
#include "serving/grpc/open_streams-inl.h"
#include "serving/grpc/server_calls-inl.h"

namespace tandem::grpc_detail {

using HealthStatus = grpc::health::v1::HealthCheckResponse::ServingStatus;

class HealthService final : public grpc::health::v1::Health::WithRawMethod_Check<grpc::health::v1::Health::WithRawMethod_Watch<grpc::health::v1::Health::Service>> {
 public:
  // `look` gives the state of a service now; nothing for one that there is not. All outlive the service.
  using Look = std::function<std::optional<HealthStatus>(const std::string& service)>;
  HealthService(Look look, const Limits& limits, OpenStreams& streams) : look_(std::move(look)), limits_(limits), streams_(streams) {}

  // Answers the calls that `queue` is told of, once the server has started.
  void listen(CallQueue& queue);

 private:
  class Watcher;
  void check(UnaryCall& call) const;

  Look look_;
  const Limits& limits_;
  OpenStreams& streams_;
  const UnaryCall::Method check_{[this](auto* context, auto* request, auto* writer, auto* queue, void* tag) { RequestCheck(context, request, writer, queue, queue, tag); },
                                 [this](UnaryCall& call) { check(call); }};
};

}  // namespace tandem::grpc_detail
