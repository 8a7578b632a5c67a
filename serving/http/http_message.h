// A request and a response as handlers see them: no socket, no third-party type.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serving/batching/run_later.h"

namespace tandem {

// Stands only while the handler runs: what is needed later must be taken out of it.
class HttpRequest {
 public:
  virtual ~HttpRequest() = default;
  virtual std::string_view method() const = 0;
  virtual std::string_view target() const = 0;  // as sent: path and query, percent-encoded
  virtual std::string_view body() const = 0;
  // Of the body as it was sent, also where it has not come yet.
  virtual size_t body_bytes() const { return body().size(); }
  // A handle on what body() lies in, to keep it; null: it cannot be kept.
  virtual std::shared_ptr<std::byte[]> body_memory() const { return nullptr; }
  virtual std::optional<std::string_view> header(std::string_view name) const = 0;  // case does not matter
  // Address and port of the client; "" if they are not known.
  virtual std::string peer() const { return ""; }
  // `call` is made, at most once and on a network thread, if the client goes away before it is answered.
  virtual void when_gone(std::function<void()> call) const { (void)call; }
  // Of the network thread, for as long as there is one; null: it has no time for anything else.
  virtual const RunLater* run_later() const { return nullptr; }
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";  // not sent with an empty body
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};  // beyond Content-Type and Content-Length
};

// To be called exactly once, from any thread.
using HttpRespond = std::function<void(HttpResponse)>;
// Runs on a network thread: it may parse and look up, it must not compute or wait. What it throws becomes a 500.
using HttpHandler = std::function<void(const HttpRequest&, HttpRespond)>;
// Looks at a request whose body is still to come. With an answer that body is thrown away as it comes, the answer is sent, and no handler sees the request.
using HttpGate = std::function<std::optional<HttpResponse>(const HttpRequest&)>;

}  // namespace tandem
