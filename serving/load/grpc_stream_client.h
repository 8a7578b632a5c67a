// Calls in streams (ModelStreamInfer) over gRPC: a channel with a connection and one open stream each, one request at a time on it.
//
// Servers are asked to end a stream with the status of a request that fails (`triton_grpc_error`), since a message in the stream does not tell why it is one;
// a new stream takes its place on the same connection.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serving/load/load_client.h"

namespace tandem {

class GrpcStreamClient final : public LoadClient {
 public:
  // `target`: "host:port"; `requests`: the bytes of ModelInferRequests, sent in turn. Throws Unavailable if nobody listens there.
  GrpcStreamClient(const std::string& target, const std::vector<std::string>& requests, int connections, const Clock& clock);
  ~GrpcStreamClient() override;

  int connections() const override;
  void send(int connection) override;
  void wait(Clock::TimePoint from, Clock::TimePoint until, std::vector<LoadAnswer>& answers) override;
  const std::string& first_problem() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One request in a stream, waited for: the bytes of its ModelInferResponse. Throws Unavailable with what the server said.
std::string grpc_stream_exchange(const std::string& target, const std::string& request);

}  // namespace tandem
