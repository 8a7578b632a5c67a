// Listens, and hands accepted connections on, within what the process may hold open.
//
// gRPC's own listener goes deaf for good once the process has run out of file descriptors (seen with 1.51). So the socket is ours: a
// connection beyond the limits is closed at once, and the next one is taken again as soon as others have gone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace tandem {

struct AcceptorOptions {
  std::string host = "127.0.0.1";
  int port = 8001;             // 0: any free one
  int64_t connections = 1024;  // held at once
};

class ConnectionAcceptor {
 public:
  // A connected, non-blocking socket, which from now on belongs to the callee. On the acceptor's thread.
  using Take = std::function<void(int socket, int listener)>;

  // Listens; nothing is accepted before start(). Throws InvalidArgument for what is no IP address, Unavailable naming address and cause.
  explicit ConnectionAcceptor(const AcceptorOptions& options);
  ~ConnectionAcceptor();

  void start(Take take);
  // No connection is handed on any more when it returns. May be called again.
  void stop();
  int port() const;
  int64_t refused() const;  // so far

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem
