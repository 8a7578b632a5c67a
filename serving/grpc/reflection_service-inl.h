// grpc.reflection.v1alpha: clients ask for the services and their messages. On our own queue, since gRPC's plugin polls the sockets with a
// thread of its own.
#pragma once

#include <string>
#include <vector>

#include "reflection.grpc.pb.h"
#include "runtime/graph/limits.h"
#include "serving/grpc/open_streams-inl.h"
#include "serving/grpc/server_calls-inl.h"

namespace tandem::grpc_detail {

class ReflectionService final
    : public grpc::reflection::v1alpha::ServerReflection::WithRawMethod_ServerReflectionInfo<grpc::reflection::v1alpha::ServerReflection::Service> {
 public:
  // `services`: full names of what is served beside this one. The others outlive the service.
  ReflectionService(std::vector<std::string> services, const Limits& limits, OpenStreams& streams);

  // Answers the calls that `queue` is told of, once the server has started.
  void listen(CallQueue& queue);

 private:
  class Stream;
  grpc::reflection::v1alpha::ServerReflectionResponse answer(const grpc::reflection::v1alpha::ServerReflectionRequest& asked) const;

  const std::vector<std::string> services_;
  const Limits& limits_;
  OpenStreams& streams_;
};

}  // namespace tandem::grpc_detail
