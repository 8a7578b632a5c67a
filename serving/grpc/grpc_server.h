// The Open Inference Protocol v2 over gRPC: the calls of serving/proto/inference_service.proto, grpc.health.v1 and reflection.
//
// Thin: a call is read into the same InferRequest that HTTP has, matched with the model, and queued with it. Network threads parse and
// hand over; answers are written on the lane that computed them. What a client can make large has a limit, named in the refusal.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/graph/limits.h"
#include "serving/gate/backend.h"

namespace tandem {

struct GrpcServerOptions {
  std::string host = "127.0.0.1";
  int port = 8001;  // 0: any free one
  int threads = 1;  // that read, parse and answer; at least 1
  ServerIdentity identity;
  Limits limits;
};

class GrpcServer {
 public:
  // What `backend` names outlives the server. Listens, and answers from now on. Throws Unavailable naming address and cause if it cannot.
  GrpcServer(const GrpcServerOptions& options, const Backend& backend);
  // Without a stop() before: cancels everything at once.
  ~GrpcServer();

  int port() const;
  // Stops accepting, answers what has been begun, ends idle streams, waits. False if the time did not suffice; what was left is then
  // cancelled. To be called once.
  bool stop(std::chrono::milliseconds timeout);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem
