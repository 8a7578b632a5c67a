// A client that sends exactly the bytes it is told to, for requests that no well-behaved client makes.
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tandem {

class RawClient {
 public:
  explicit RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  RawClient(RawClient&& other) noexcept : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_) {}
  ~RawClient() { close(); }

  bool connected() const { return connected_; }
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  // False once the server has closed the connection.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  // Says that there is no more to come.
  void finish() { ::shutdown(socket_, SHUT_WR); }
  // All that comes until the server closes the connection; nothing if it is silent for so long and does not.
  std::optional<std::string> rest(std::chrono::milliseconds time) {
    if (!closes(time)) return std::nullopt;
    return std::exchange(buffer_, {});
  }
  // One whole response as far as Content-Length tells, or what came before the connection ended or five seconds passed.
  std::string response(bool head = false) {
    while (true) {
      const size_t end = buffer_.find("\r\n\r\n");
      if (end != std::string::npos) {
        const size_t at = buffer_.find("Content-Length: ");
        const size_t length = at < end && !head ? std::stoul(buffer_.substr(at + 16)) : 0;
        if (buffer_.size() >= end + 4 + length) {
          std::string text = buffer_.substr(0, end + 4 + length);
          buffer_.erase(0, text.size());
          return text;
        }
      }
      if (!receive(std::chrono::seconds(5))) return std::exchange(buffer_, {});
    }
  }
  std::string ask(std::string_view bytes) {
    send(bytes);
    return response();
  }
  // Whether the server closes the connection within the time, after sending no more than what is read here.
  bool closes(std::chrono::milliseconds time = std::chrono::seconds(5)) {
    while (receive(time)) {
    }
    return ended_;
  }

 private:
  bool receive(std::chrono::milliseconds time) {
    pollfd wait{socket_, POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(time.count())) <= 0) return false;
    char bytes[65536];
    const ssize_t n = ::recv(socket_, bytes, sizeof bytes, 0);
    ended_ = n <= 0;
    if (n > 0) buffer_.append(bytes, static_cast<size_t>(n));
    return n > 0;
  }

  int socket_;
  bool connected_ = false, ended_ = false;
  std::string buffer_;
};

}  // namespace tandem
