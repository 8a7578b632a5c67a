// An HTTP/1.1 server over plain sockets: keep-alive, pipelining, chunked bodies, Expect: 100-continue; one gathered write an
// answer.
//
// It is made to stand without a proxy before it. Everything a client can make large or slow has a limit (Limits): headers (431,
// 414), body (413), chunks, time from the first byte of a request to its last (408), connections (503 and close). A request whose
// length can be read in two ways is refused (400) and the connection closed. Sessions belong to one thread each, so they need no
// locks.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/graph/limits.h"
#include "serving/http/http_message.h"

namespace tandem {

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8000;  // 0: any free one
  int threads = 2;
  Limits limits;
  std::chrono::milliseconds idle_timeout{75'000};  // between two requests of a connection
};

class HttpServer {
 public:
  // Listens, and answers from now on. Throws Unavailable naming address and cause if it cannot.
  HttpServer(const HttpServerOptions& options, HttpHandler handler, HttpGate gate = {});
  // Without a stop() before: closes everything at once.
  ~HttpServer();

  int port() const;
  // Stops accepting, answers what has been begun, closes idle connections, waits. False if the time did not suffice; what was
  // left is then closed unanswered. To be called once.
  bool stop(std::chrono::milliseconds timeout);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem
