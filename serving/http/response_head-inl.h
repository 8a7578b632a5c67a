// The head of an answer, and answers that refuse.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "serving/http/asio-inl.h"
#include "serving/http/http_message.h"

namespace tandem::http_detail {

inline HttpResponse refusal(int status, std::string_view message) {
  return {status, "application/json", "{\"error\":\"" + std::string(message) + "\"}"};
}

inline std::string http_date() {
  char text[64];
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

enum class AfterAnswer : uint8_t { kClose, kKeep, kSayThatItKeeps };  // the last to clients of HTTP/1.0, who would not expect it

// Status line and headers. `date`: http_date() of this second or so.
inline std::string response_head(const HttpResponse& response, const std::string& date, AfterAnswer after) {
  std::string text = "HTTP/1.1 " + std::to_string(response.status) + " ";
  text += view_of(http::obsolete_reason(static_cast<http::status>(response.status)));
  text += "\r\nDate: " + date + "\r\nContent-Length: " + std::to_string(response.body.size());
  if (!response.body.empty()) text += "\r\nContent-Type: " + response.content_type;
  for (const auto& [name, value] : response.headers) text += "\r\n" + name + ": " + value;
  if (after == AfterAnswer::kClose)
    text += "\r\nConnection: close";
  else if (after == AfterAnswer::kSayThatItKeeps)
    text += "\r\nConnection: keep-alive";
  return text += "\r\n\r\n";
}

}  // namespace tandem::http_detail
