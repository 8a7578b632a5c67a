// One keep-alive connection to an HTTP/1.1 server, without blocking: enough of a client to measure servers with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tandem {

struct HttpAddress {
  std::string host;
  int port = 80;
};

struct HttpAnswer {
  int status = 0;
  std::string body;
  std::optional<size_t> json_bytes;  // Inference-Header-Content-Length
};

class HttpConnection {
 public:
  // Connects. Throws NotFound for a host that has no address, Unavailable if nobody listens there.
  explicit HttpConnection(const HttpAddress& address);
  HttpConnection(HttpConnection&& other) noexcept;
  HttpConnection& operator=(HttpConnection&& other) noexcept;
  ~HttpConnection();

  int socket() const { return socket_; }
  // Begins to send `request`, which stays until its answer is whole. False: call go_on_sending() once the socket takes more.
  bool send(std::string_view request);
  bool go_on_sending();
  // Reads what is there. True once an answer is whole. Throws Unavailable if the connection ended before.
  bool receive();
  // The answer; its body only if `keep_body` was set.
  const HttpAnswer& answer() const { return answer_; }
  bool keep_body = false;
  // Whether the server has said that it closes the connection after this answer.
  bool closes() const { return closes_; }

 private:
  void read_head(std::string_view head);

  int socket_ = -1;
  std::string_view unsent_;
  std::string head_;            // bytes of an answer until its head is whole
  std::optional<size_t> left_;  // of the body, once the head is known
  bool closes_ = false;
  HttpAnswer answer_;
};

// One request, waited for. Throws as HttpConnection does, and Unavailable after 30 s without an answer.
HttpAnswer http_exchange(const HttpAddress& address, std::string_view request);

// "POST /path HTTP/1.1", with what every request needs; GET without a body. `headers`: lines that end in "\r\n".
std::string http_request(const HttpAddress& address, std::string_view path, std::string_view body, std::string_view headers = "");

}  // namespace tandem
