#include "serving/load/http_connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <utility>

#include "kernels/base/error.h"

namespace tandem {
namespace {

constexpr size_t kMostHead = 64 << 10;
constexpr int kPatienceMs = 30'000;

std::string text_of(const HttpAddress& address) { return address.host + ":" + std::to_string(address.port); }

int connected_socket(const HttpAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  check(error == 0, ErrorCode::kNotFound, "no address for " + text_of(address), ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, ::freeaddrinfo);
  int reason = 0;
  for (const addrinfo* one = found; one; one = one->ai_next) {
    const int made = ::socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol);
    if (made < 0) {
      reason = errno;
      continue;
    }
    if (::connect(made, one->ai_addr, one->ai_addrlen) == 0) {
      const int on = 1;
      ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ::fcntl(made, F_SETFL, ::fcntl(made, F_GETFL) | O_NONBLOCK);
      return made;
    }
    reason = errno;
    ::close(made);
  }
  fail(ErrorCode::kUnavailable, "cannot connect to " + text_of(address), {std::strerror(reason)});
}

// The value of a header; "" without it.
std::string_view header_of(std::string_view head, std::string_view name) {
  for (size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    if (line.size() <= name.size() || line[name.size()] != ':' || ::strncasecmp(line.data(), name.data(), name.size()) != 0)
      continue;
    const std::string_view value = line.substr(name.size() + 1);
    const size_t begin = value.find_first_not_of(" \t"), end = value.find_last_not_of(" \t");
    return begin == std::string_view::npos ? "" : value.substr(begin, end - begin + 1);
  }
  return "";
}

std::optional<size_t> number_in(std::string_view text) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

HttpConnection::HttpConnection(const HttpAddress& address) : socket_(connected_socket(address)) {}
HttpConnection::HttpConnection(HttpConnection&& other) noexcept { *this = std::move(other); }
HttpConnection& HttpConnection::operator=(HttpConnection&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(unsent_, other.unsent_);
  std::swap(head_, other.head_);
  std::swap(left_, other.left_);
  std::swap(closes_, other.closes_);
  std::swap(answer_, other.answer_);
  std::swap(keep_body, other.keep_body);
  return *this;
}
HttpConnection::~HttpConnection() {
  if (socket_ >= 0) ::close(socket_);
}

bool HttpConnection::send(std::string_view request) {
  unsent_ = request;
  head_.clear();
  left_.reset();
  answer_ = {};
  return go_on_sending();
}

bool HttpConnection::go_on_sending() {
  while (!unsent_.empty()) {
    const ssize_t sent = ::send(socket_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    check(sent > 0, ErrorCode::kUnavailable, "the server closed a connection", std::strerror(errno));
    unsent_.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool HttpConnection::receive() {
  char bytes[64 << 10];
  for (;;) {
    const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    check(got > 0, ErrorCode::kUnavailable, "the server closed a connection before its answer was whole");
    std::string_view part(bytes, static_cast<size_t>(got));
    if (!left_) {
      head_.append(part);
      const size_t end = head_.find("\r\n\r\n");
      check(end != std::string::npos || head_.size() < kMostHead, ErrorCode::kUnavailable, "an answer's head is too long");
      if (end == std::string::npos) continue;
      read_head(std::string_view(head_).substr(0, end));
      part = std::string_view(head_).substr(end + 4);
    }
    check(part.size() <= *left_, ErrorCode::kUnavailable, "the server sent more than its answer");
    if (keep_body) answer_.body.append(part);
    *left_ -= part.size();
    if (*left_ == 0) return true;
  }
}

void HttpConnection::read_head(std::string_view head) {
  const bool is_http = head.starts_with("HTTP/1.") && head.size() >= 12;
  answer_.status = is_http ? static_cast<int>(number_in(head.substr(9, 3)).value_or(0)) : 0;
  check(answer_.status >= 100, ErrorCode::kUnavailable, "what answers is no HTTP server", head.substr(0, 40));
  left_ = number_in(header_of(head, "Content-Length"));
  if (!left_ && answer_.status == 204) left_ = 0;
  check(left_.has_value(), ErrorCode::kUnavailable, "an answer without Content-Length cannot be measured", head.substr(0, 40));
  closes_ = ::strncasecmp(header_of(head, "Connection").data(), "close", 5) == 0;
  answer_.json_bytes = number_in(header_of(head, "Inference-Header-Content-Length"));
}

HttpAnswer http_exchange(const HttpAddress& address, std::string_view request) {
  HttpConnection connection(address);
  connection.keep_body = true;
  const auto wait_for = [&](short event) {
    pollfd wait{connection.socket(), event, 0};
    check(::poll(&wait, 1, kPatienceMs) > 0, ErrorCode::kUnavailable, "no answer within 30 s from " + text_of(address));
  };
  for (bool sent = connection.send(request); !sent; sent = connection.go_on_sending()) wait_for(POLLOUT);
  while (!connection.receive()) wait_for(POLLIN);
  return connection.answer();
}

std::string http_request(const HttpAddress& address, std::string_view path, std::string_view body, std::string_view headers) {
  std::string request(body.empty() ? "GET " : "POST ");
  request.append(path).append(" HTTP/1.1\r\nHost: ").append(text_of(address)).append("\r\n").append(headers);
  if (!body.empty()) request.append("Content-Length: " + std::to_string(body.size()) + "\r\n");
  return request.append("\r\n").append(body);
}

}  // namespace tandem
