// http: bytes on a connection of the HTTP server, the one reader that cannot be had without a socket. A program of its own, since none of the
// other targets needs the server's libraries.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/error.h"
#include "serving/http/http_server.h"
#include "tests/fuzz/targets.h"
#include "tests/support/raw_client.h"

namespace tandem::fuzz {
namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr int64_t kMostBody = 4096;

[[noreturn]] void defect(const std::string& what) { throw std::logic_error("the HTTP server: " + what); }

// Tells how long the body was; a handler must never see what no request can hold.
void answer(const HttpRequest& request, const HttpRespond& respond) {
  const std::string_view target = request.target();
  const bool clean = !request.method().empty() && !target.empty() && target.find_first_of(std::string_view("\r\n\0 ", 4)) == target.npos;
  const bool short_enough = request.body().size() <= static_cast<size_t>(kMostBody);
  respond({clean && short_enough ? 200 : 599, "text/plain", std::to_string(request.body().size()), {{"X-Head", request.method() == "HEAD" ? "yes" : "no"}}});
}

HttpServer& server() {
  static HttpServer server({.port = 0,
                            .threads = 1,
                            .limits = {.request_bytes = kMostBody, .request_header_bytes = 2048, .request_headers = 20}},
                           answer);
  return server;
}

// The status of the response that `text` begins with, which is taken off. The refusal of a HEAD has a length, but no body.
int take_response(std::string_view& text, bool asks_for_heads) {
  const std::string begin(text.substr(0, 300));
  const size_t end = text.find("\r\n\r\n");
  if (end == text.npos || !text.starts_with("HTTP/1.1 ")) defect("no response: " + begin);
  const std::string head(text.substr(0, end + 2));
  const int status = std::atoi(head.c_str() + 9);
  text.remove_prefix(end + 4);
  if (status == 100) return status;
  if (status != 200 && (status < 400 || status > 505)) defect("a status that it should not have: " + begin);
  const size_t at = head.find("\r\nContent-Length: ");
  if (at == head.npos) defect("a response without a length: " + begin);
  const size_t length = std::stoul(head.substr(at + 18));
  if (head.find("\r\nX-Head: yes") != head.npos) return status;
  if (asks_for_heads && status >= 400 && text.empty()) return status;
  if (length > text.size()) defect("a body shorter than its length: " + begin);
  text.remove_prefix(length);
  return status;
}

// The first byte says in pieces of how many bytes the others are sent (0: all at once). Whatever they are, the server answers in well-formed
// responses and closes the connection once the client has said all: std::logic_error otherwise. Throws tandem::Error if no request was taken.
void talk_http(std::string_view bytes) {
  if (bytes.empty()) return;
  RawClient client(server().port());
  check(client.connected(), ErrorCode::kUnavailable, "no connection");
  const std::string_view request = bytes.substr(1);
  const size_t piece = bytes[0] ? static_cast<unsigned char>(bytes[0]) : std::max<size_t>(request.size(), 1);
  for (size_t at = 0; at < request.size() && client.send(request.substr(at, piece)); at += piece) {
  }
  client.finish();
  const auto said = client.rest(kPatience);
  if (!said) defect("it keeps a connection whose client has said all");
  bool taken = false;
  for (std::string_view left = *said; !left.empty();) taken |= take_response(left, bytes.find("HEAD ") != bytes.npos) == 200;
  check(taken, ErrorCode::kInvalidArgument, "no request was taken");
}

std::vector<std::string> http_seeds() {
  const std::string whole(1, '\0'), sevens(1, '\7'), host = "Host: h\r\n";
  return {
      whole + "GET /v2/health/live HTTP/1.1\r\n" + host + "\r\n",
      sevens + "POST /v2/models/m/infer?a=b HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"a\": [1]} ",
      whole + "POST /c HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5;name=value\r\nabcde\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n",
      whole + "GET /one HTTP/1.1\r\n" + host + "\r\nPOST /two HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabcHEAD /three HTTP/1.1\r\n" + host + "\r\n",
      sevens + "PUT /e HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd",
      whole + "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /last HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n",
      whole + "POST /b HTTP/1.1\r\n" + host + "Inference-Header-Content-Length: 2\r\nContent-Length: 6\r\n\r\n{}abcd",
  };
}

constexpr Target kTargets[] = {{"http", talk_http, http_seeds}};

}  // namespace

std::span<const Target> targets() { return kTargets; }

}  // namespace tandem::fuzz
