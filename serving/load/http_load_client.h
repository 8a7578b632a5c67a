// Requests in turn over HTTP/1.1, one thread for all connections (epoll).
#pragma once

#include "serving/load/http_connection.h"
#include "serving/load/in_turn.h"
#include "serving/load/load_client.h"

namespace tandem {

class HttpLoadClient final : public LoadClient {
 public:
  // `requests`: their bytes on the wire, sent in turn. Throws what HttpConnection throws.
  HttpLoadClient(const HttpAddress& address, std::vector<std::string> requests, int connections, const Clock& clock);
  ~HttpLoadClient() override;

  int connections() const override { return static_cast<int>(connections_.size()); }
  void send(int connection) override;
  void wait(Clock::TimePoint from, Clock::TimePoint until, std::vector<LoadAnswer>& answers) override;
  const std::string& first_problem() const override { return problem_; }

 private:
  HttpConnection& at(int connection) { return connections_[static_cast<size_t>(connection)]; }
  void watch(int connection, bool sending, bool is_new);
  void go_on(int connection, uint32_t events, std::vector<LoadAnswer>& answers);
  void answered(int connection, std::vector<LoadAnswer>& answers);
  void broken(int connection, const std::string& why);

  HttpAddress address_;
  InTurn<std::string> requests_;
  const Clock& clock_;
  int epoll_;
  std::vector<HttpConnection> connections_;
  std::vector<bool> busy_;          // by connection: a request is under way
  std::vector<LoadAnswer> broken_;  // to be told by the next wait()
  std::string problem_;
};

}  // namespace tandem
