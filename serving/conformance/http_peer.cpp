#include "serving/conformance/http_peer.h"

#include <poll.h>
#include <sys/socket.h>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>

#include "kernels/base/error.h"

namespace tandem {
namespace {

namespace http = boost::beast::http;

constexpr int kPatienceMs = 30'000;
constexpr std::chrono::milliseconds kPause{20};  // between pieces: long enough to be read apart

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& one : result) one = static_cast<char>(std::tolower(static_cast<unsigned char>(one)));
  return result;
}

void wait_for(int socket, short event) {
  pollfd wait{socket, event, 0};
  check(::poll(&wait, 1, kPatienceMs) > 0, ErrorCode::kUnavailable, "no answer within 30 s");
}

// A server that answers before it has read everything may close: what it said is still to be read.
void send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      wait_for(socket, POLLOUT);
    } else if (errno != EINTR) {
      return;
    }
  }
}

// Answers of one connection, one after the other.
class Reader {
 public:
  explicit Reader(int socket) : socket_(socket) {}

  HttpReply next() {
    http::response_parser<http::string_body> parser;
    parser.body_limit(uint64_t{1} << 30);
    parser.eager(true);
    while (!parser.is_done()) {
      boost::system::error_code error;
      if (buffer_.size() > 0) buffer_.consume(parser.put(buffer_.data(), error));
      check(!error || error == http::error::need_more, ErrorCode::kUnavailable, "what answers is no HTTP server",
            error.message());
      if (!parser.is_done() && !read_more()) {
        parser.put_eof(error);
        check(!error && parser.is_done(), ErrorCode::kUnavailable, "the connection ended before the answer was whole");
      }
    }
    HttpReply reply{.status = static_cast<int>(parser.get().result_int()), .headers = {}, .body = parser.get().body()};
    for (const auto& field : parser.get()) {
      const auto name = field.name_string(), value = field.value();
      reply.headers.emplace(lower({name.data(), name.size()}), std::string(value.data(), value.size()));
    }
    return reply;
  }

 private:
  // False at the end of the connection.
  bool read_more() {
    constexpr size_t kPiece = 64 << 10;
    for (;;) {
      wait_for(socket_, POLLIN);
      const ssize_t got = ::recv(socket_, buffer_.prepare(kPiece).data(), kPiece, 0);
      if (got > 0) buffer_.commit(static_cast<size_t>(got));
      if (got >= 0) return got > 0;
      if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) return false;
    }
  }

  int socket_;
  boost::beast::flat_buffer buffer_;
};

}  // namespace

std::string HttpReply::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::string HttpPeer::request(const std::string& method, const std::string& path, std::string_view body,
                              const HttpHeaders& headers) const {
  std::string text = method + " " + path + " HTTP/1.1\r\nHost: " + address_.host + ":" + std::to_string(address_.port) + "\r\n";
  for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
  if (!body.empty() || method == "POST") text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return text.append("\r\n").append(body);
}

HttpReply HttpPeer::ask(const std::string& method, const std::string& path, std::string_view body,
                        const HttpHeaders& headers) const {
  return talk({request(method, path, body, headers)}, 1).front();
}

HttpReply HttpPeer::post(const std::string& path, std::string_view body, const HttpHeaders& headers) const {
  return ask("POST", path, body, headers);
}

std::vector<HttpReply> HttpPeer::talk(const std::vector<std::string>& pieces, int answers) const {
  const HttpConnection connection(address_);
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i > 0) std::this_thread::sleep_for(kPause);
    send_all(connection.socket(), pieces[i]);
  }
  Reader reader(connection.socket());
  std::vector<HttpReply> replies;
  while (static_cast<int>(replies.size()) < answers) replies.push_back(reader.next());
  return replies;
}

}  // namespace tandem
