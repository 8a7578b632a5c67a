// Unary calls over gRPC: a channel with a connection of its own each, one completion queue for all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serving/load/load_client.h"

namespace tandem {

class GrpcLoadClient final : public LoadClient {
 public:
  // `target`: "host:port"; `requests`: the bytes of ModelInferRequests, sent in turn. Throws Unavailable if nobody listens there.
  GrpcLoadClient(const std::string& target, const std::vector<std::string>& requests, int connections, const Clock& clock);
  ~GrpcLoadClient() override;

  int connections() const override;
  void send(int connection) override;
  void wait(Clock::TimePoint from, Clock::TimePoint until, std::vector<LoadAnswer>& answers) override;
  const std::string& first_problem() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem
