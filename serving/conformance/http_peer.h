// A server of HTTP/1.1 as its clients see it: any method, any bytes, answers with their headers.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serving/load/http_connection.h"

namespace tandem {

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  // "" for a header that is not there.
  std::string header(const std::string& name) const;
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

class HttpPeer {
 public:
  explicit HttpPeer(HttpAddress address) : address_(std::move(address)) {}

  const HttpAddress& address() const { return address_; }
  // Throws Unavailable if the answer does not come, ends early or is no HTTP.
  HttpReply get(const std::string& path, const HttpHeaders& headers = {}) const { return ask("GET", path, "", headers); }
  HttpReply post(const std::string& path, std::string_view body, const HttpHeaders& headers = {}) const;
  HttpReply ask(const std::string& method, const std::string& path, std::string_view body, const HttpHeaders& headers = {}) const;

  // On one connection: sends `pieces` one after the other, with a pause between them, and reads `answers` of them. Throws as
  // above.
  std::vector<HttpReply> talk(const std::vector<std::string>& pieces, int answers) const;

  // The bytes of a request, with Host and Content-Length.
  std::string request(const std::string& method, const std::string& path, std::string_view body,
                      const HttpHeaders& headers = {}) const;

 private:
  HttpAddress address_;
};

}  // namespace tandem
