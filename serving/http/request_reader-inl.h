// One request after the other from the bytes of a connection, within the server's limits. Knows no socket.
#pragma once

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include "runtime/graph/limits.h"
#include "serving/http/asio-inl.h"
#include "serving/http/parsed_request-inl.h"
#include "serving/http/response_head-inl.h"
#include "serving/http/unread_bytes-inl.h"

namespace tandem::http_detail {

constexpr int64_t kFewChunks = 65'536;     // of one chunked body are taken, and beyond that
constexpr int64_t kChunkBytes = 1'024;     // one for as many bytes of --max-body
constexpr size_t kLongRead = 1 << 20;      // one into the body itself
constexpr std::string_view kReadOnce[] = {"Content-Encoding", kJsonBytes};  // two would be believed by two readers

class RequestReader {
 public:
  enum class Progress : uint8_t {
    kPart,     // more must come
    kHead,     // so it must, and the head is whole now
    kWhole,    // request() is there
    kRefused,  // no more is read
  };

  // `limits` outlive the reader.
  explicit RequestReader(const Limits& limits) : limits_(limits) {}

  // Forgets the last request.
  void begin() {
    parser_.emplace();
    parser_->eager(false);
    parser_->header_limit(static_cast<uint32_t>(limits_.request_header_bytes));
    parser_->body_limit(static_cast<uint64_t>(limits_.request_bytes));
    chunks_ = 0;
  }

  // Takes of `unread` what belongs to this request. `answer`: to one that is refused.
  Progress take(UnreadBytes& unread, HttpResponse& answer) {
    error_code error;
    const bool is_head = !parser_->is_header_done();
    if (is_head) {
      feed(unread, error);
      if (error == http::error::need_more) return Progress::kPart;
      if (error) return reject(error, answer);
      if (auto fault = header_fault()) return refuse(std::move(*fault), answer);
      if (parser_->chunked()) header_ = parser_->get().base();
      parser_->on_chunk_header(count_chunk_);
      parser_->eager(true);
    }
    while (!parser_->is_done() && !unread.empty() && !error) feed(unread, error);
    if (error && error != http::error::need_more) return reject(error, answer);
    if (parser_->is_done()) {
      if (parser_->chunked()) parser_->get().base() = std::move(header_);  // trailers are not taken for headers
      return Progress::kWhole;
    }
    if (unread.view().size() > static_cast<size_t>(limits_.request_header_bytes))  // a chunk's first line, or trailers, that do not end
      return reject(http::error::header_limit, answer);
    return is_head ? Progress::kHead : Progress::kPart;
  }

  // Once the head is whole.
  const http::request<GrowingBody>& request() const { return parser_->get(); }
  bool expects_continue() const { return request()[http::field::expect].size() > 0; }
  // Bytes of the body that are still to come; nothing of a chunked one, which does not tell.
  std::optional<size_t> left() const {
    const auto left = parser_->is_header_done() && !parser_->chunked() ? parser_->content_length_remaining() : boost::none;
    return left ? std::optional(static_cast<size_t>(*left)) : std::nullopt;
  }
  void forget_body() { parser_->get().body() = {}; }

  // Where the next bytes of a body that is still long go: to where they stay. Empty for all else. The parser tells the body what to expect with its
  // first bytes.
  std::span<char> room(size_t long_from) {
    RequestBody& body = parser_->get().body();
    const auto rest = left();
    return !rest || *rest <= long_from || body.view().empty() ? std::span<char>() : body.room(std::min(*rest, kLongRead));
  }

 private:
  // Beast throws at a field of more than 64 KiB, which a trailer, or a larger --max-header-bytes, lets come.
  void feed(UnreadBytes& unread, error_code& error) {
    try {
      unread.consume(parser_->put(net::buffer(unread.view()), error));
    } catch (const std::length_error&) {
      error = http::error::header_limit;
    }
  }

  // What makes a request of right syntax unacceptable.
  std::optional<HttpResponse> header_fault() const {
    const auto& header = parser_->get();
    if (std::distance(header.begin(), header.end()) > limits_.request_headers)
      return refusal(431, "more than " + std::to_string(limits_.request_headers) + " headers (the server's --max-headers)");
    if (header.count(http::field::content_length) > 1 || header[http::field::content_length].find(',') != std::string_view::npos)
      return refusal(400, "Content-Length is given twice");
    for (const std::string_view name : kReadOnce)
      if (header.count(boost::beast::string_view(name.data(), name.size())) > 1) return refusal(400, std::string(name) + " is given twice");
    if (header.count(http::field::transfer_encoding) > 0 && (!parser_->chunked() || header.version() < 11))
      return refusal(400, "Transfer-Encoding must be chunked");
    if (header.version() >= 11 && header.count(http::field::host) != 1) return refusal(400, "exactly one Host header is needed");
    const auto expect = header[http::field::expect];
    if (!expect.empty() && !boost::beast::iequals(expect, "100-continue")) return refusal(417, "Expect must be 100-continue");
    return std::nullopt;
  }

  int64_t most_chunks() const { return std::max(kFewChunks, limits_.request_bytes / kChunkBytes); }

  Progress reject(const error_code& error, HttpResponse& answer) const {
    if (error == http::error::header_limit) {
      const bool in_first_line = parser_->get().target().empty();
      const std::string most = std::to_string(limits_.request_header_bytes) + " bytes (the server's --max-header-bytes)";
      return refuse(in_first_line ? refusal(414, "the request line is longer than " + most) : refusal(431, "headers are longer than " + most), answer);
    }
    if (error == http::error::body_limit)
      return refuse(refusal(413, "the request body is larger than the limit of " + std::to_string(limits_.request_bytes) + " bytes (the server's --max-body)"), answer);
    if (error == http::error::bad_chunk_extension && chunks_ > most_chunks())
      return refuse(refusal(413, "the request body has more than " + std::to_string(most_chunks()) + " chunks (more are taken with a larger --max-body)"), answer);
    return refuse(refusal(400, "malformed HTTP request: " + error.message()), answer);
  }
  static Progress refuse(HttpResponse response, HttpResponse& answer) {
    answer = std::move(response);
    return Progress::kRefused;
  }

  const Limits& limits_;
  std::optional<http::request_parser<GrowingBody>> parser_ = std::make_optional<http::request_parser<GrowingBody>>();
  http::request_header<> header_;  // of a chunked request, as it was before its trailers
  int64_t chunks_ = 0;
  std::function<void(uint64_t, boost::beast::string_view, error_code&)> count_chunk_ = [this](uint64_t, boost::beast::string_view, error_code& error) {
    if (++chunks_ > most_chunks()) error = http::error::bad_chunk_extension;
  };
};

}  // namespace tandem::http_detail
