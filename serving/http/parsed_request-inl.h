// A request as Beast's parser has it, as the handlers see it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "serving/http/asio-inl.h"
#include "serving/http/http_message.h"
#include "serving/http/request_body-inl.h"

namespace tandem::http_detail {

constexpr std::string_view kJsonBytes = "Inference-Header-Content-Length";

// How the parser hands over a body.
struct GrowingBody {
  using value_type = RequestBody;
  class reader {
   public:
    template <bool isRequest, class Fields>
    reader(http::header<isRequest, Fields>& header, value_type& body) : header_(header), body_(body) {}
    void init(const boost::optional<uint64_t>& length, error_code& error) {
      body_.expect(length ? *length : 0, view_of(header_[boost::beast::string_view(kJsonBytes.data(), kJsonBytes.size())]));
      error = {};
    }
    template <class Buffers>
    size_t put(const Buffers& buffers, error_code& error) {
      size_t bytes = 0;
      for (auto it = net::buffer_sequence_begin(buffers); it != net::buffer_sequence_end(buffers); ++it) {
        const net::const_buffer piece(*it);
        body_.append({static_cast<const char*>(piece.data()), piece.size()});
        bytes += piece.size();
      }
      error = {};
      return bytes;
    }
    void finish(error_code& error) { error = {}; }

   private:
    const http::fields& header_;  // empty until init()
    value_type& body_;
  };
};

class ParsedRequest final : public HttpRequest {
 public:
  // `gone`: where to keep what is to be called if the client goes away.
  // `left`: bytes of the body that are still to come.
  ParsedRequest(const http::request<GrowingBody>& request, size_t left, const tcp::socket& socket, const RunLater& run_later, std::function<void()>& gone)
      : request_(request), left_(left), socket_(socket), run_later_(run_later), gone_(gone) {}
  std::string_view method() const override { return view_of(request_.method_string()); }
  std::string_view target() const override { return view_of(request_.target()); }
  std::string_view body() const override { return request_.body().view(); }
  size_t body_bytes() const override { return body().size() + left_; }
  std::shared_ptr<std::byte[]> body_memory() const override { return request_.body().memory(); }
  std::optional<std::string_view> header(std::string_view name) const override {
    const auto found = request_.find(boost::beast::string_view(name.data(), name.size()));
    if (found == request_.end()) return std::nullopt;
    return view_of(found->value());
  }
  std::string peer() const override {
    error_code error;
    const tcp::endpoint end = socket_.remote_endpoint(error);
    return error ? "" : end.address().to_string(error) + ":" + std::to_string(end.port());
  }
  void when_gone(std::function<void()> call) const override { gone_ = std::move(call); }
  const RunLater* run_later() const override { return &run_later_; }

 private:
  const http::request<GrowingBody>& request_;
  const size_t left_;
  const tcp::socket& socket_;
  const RunLater& run_later_;
  std::function<void()>& gone_;
};

}  // namespace tandem::http_detail
