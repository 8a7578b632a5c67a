// One connection of the HTTP server. Read by http_server.cpp alone: Asio and Beast are heavy, and none of their types leaves this
// folder.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <ctime>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

// Asio in C++20 mode relies on <optional> and <utility> being there already.
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>

#include "serving/http/http_server.h"
#include "serving/http/request_body-inl.h"
#include "serving/http/unread_bytes-inl.h"

namespace tandem::http_detail {

namespace net = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using net::ip::tcp;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::string_view kJsonBytes = "Inference-Header-Content-Length";
constexpr int64_t kFewChunks = 65'536;                 // of one chunked body are taken, and beyond that
constexpr int64_t kChunkBytes = 1'024;                 // one for as many bytes of --max-body
constexpr size_t kReadBytes = 64 << 10;                // one read
constexpr size_t kLongRead = 1 << 20;                  // one into the body itself
constexpr std::string_view kReadOnce[] = {"Content-Encoding", kJsonBytes};  // two would be believed by two readers
constexpr std::chrono::milliseconds kLinger{1'000};    // for a client to read the refusal of what it is still sending
constexpr std::chrono::milliseconds kAfterRefusal{10};  // from a 429 to the next request of its connection
constexpr size_t kUnheardBytes = 256 << 10;            // that may come to a connection that rests, or of a body that is thrown away
constexpr std::chrono::milliseconds kDrainGrace{250};  // for a request that is on its way when draining begins

inline std::string_view view_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

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

inline std::string http_date() {
  char text[64];
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

inline HttpResponse refusal(int status, std::string_view message) {
  return {status, "application/json", "{\"error\":\"" + std::string(message) + "\"}"};
}

class Session;

// One network thread with its sessions. Everything but `context` is touched by that thread alone.
struct Worker {
  net::io_context context{1};
  net::executor_work_guard<net::io_context::executor_type> waits{context.get_executor()};  // for sessions that are to come
  const RunLater run_later = [this](std::function<void()> work) { net::post(context, std::move(work)); };  // behind all sessions that are ready now
  net::steady_timer sweep{context};
  bool sweeps = false;  // there are sessions, whose time limits are looked at
  std::unordered_set<std::shared_ptr<Session>> sessions;  // owned from start to close
  std::vector<std::weak_ptr<Session>> resting;  // after a refusal, until `resume`
  net::steady_timer resume{context};
  std::string date;  // as it was at the last sweep
  std::vector<char> received = std::vector<char>(kReadBytes);  // by the last read, whichever session's
  bool draining = false;
  bool ended = false;  // its thread has been joined
};

// What sessions share with their server; outlives both.
struct Shared {
  HttpServerOptions options;
  HttpHandler handler;
  HttpGate gate;
  std::atomic<int64_t> connections{0};
  std::mutex mutex;
  std::condition_variable none_left;

  void leave() {
    const std::lock_guard lock(mutex);
    if (connections.fetch_sub(1) == 1) none_left.notify_all();
  }
};

// One connection: reads a request, hands it over, writes the answer, and so on.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, std::shared_ptr<Worker> worker, std::shared_ptr<Shared> shared)
      : worker_(std::move(worker)), shared_(std::move(shared)), socket_(std::move(socket)) {}

  void start() {
    enter();
    await_request();
  }
  // Instead of start: an answer without a question.
  void turn_away(HttpResponse response) {
    enter();
    refuse(std::move(response));
  }

  // Called by the sweep.
  void check_deadline(SteadyTime now) {
    if (now < deadline_) return;
    if (state_ != State::kReading) return close();
    error_code ignored;
    socket_.cancel(ignored);
    send(refusal(408, "the request took longer than " + std::to_string(limits().request_timeout_ms) + " ms to arrive (the server's --request-timeout)"), true,
         true);
  }
  void drain() {
    if (state_ == State::kIdle) deadline_ = std::min(deadline_, std::chrono::steady_clock::now() + kDrainGrace);
  }
  // The end of every session. It leaves its worker here and not in the destructor, which may run on a lane.
  void close() {
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    error_code ignored;
    socket_.close(ignored);
    worker_->sessions.erase(shared_from_this());
    shared_->leave();
  }

 private:
  enum class State : uint8_t { kIdle, kReading, kHandling, kWriting, kLingering, kClosed };
  using Parser = http::request_parser<GrowingBody>;

  void enter() {
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);
    worker_->sessions.insert(shared_from_this());
  }
  void refuse(HttpResponse response) { send(std::move(response), true, true); }
  const Limits& limits() const { return shared_->options.limits; }
  void expire_in(std::chrono::milliseconds time) { deadline_ = std::chrono::steady_clock::now() + time; }

  void await_request() {
    parser_.emplace();
    parser_->eager(false);
    parser_->header_limit(static_cast<uint32_t>(limits().request_header_bytes));
    parser_->body_limit(static_cast<uint64_t>(limits().request_bytes));
    chunks_ = 0;
    state_ = State::kIdle;
    expire_in(worker_->draining ? kDrainGrace : shared_->options.idle_timeout);
    if (!unread_.empty()) return on_bytes();
    wakes_at_ > 1 ? read_now() : read_some();  // after a rest the next request is mostly there
  }

  void read_some() {
    unread_.keep();
    wake_at(refusal_ ? std::min(refused_left_, kUnheardBytes) : 1);
    socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
      if (self->state_ != State::kIdle && self->state_ != State::kReading) return;
      if (error) return self->close();
      self->refusal_ ? self->throw_away() : self->read_now();
    });
  }

  void read_now() {
    error_code error;
    const net::mutable_buffer room = this->room();
    const size_t bytes = socket_.read_some(room, error);
    if (error == net::error::would_block) return read_some();
    if (error) return close();  // the client has gone, in the middle of a request or between two
    unread_.add({static_cast<const char*>(room.data()), bytes});
    on_bytes();
  }

  // The body of a request that is refused: its bytes are taken from the socket and not copied.
  void throw_away() {
    const ssize_t bytes = ::recv(socket_.native_handle(), nullptr, std::min(refused_left_, kLongRead), MSG_TRUNC | MSG_DONTWAIT);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return read_some();
    if (bytes <= 0) return close();
    refused_left_ -= static_cast<size_t>(bytes);
    if (refused_left_ > 0) return read_some();
    send(*std::exchange(refusal_, std::nullopt), !parser_->get().keep_alive(), false);
  }

  // Whether a request is refused that has not come whole; what has come of its body goes.
  bool is_refused_early() {
    const auto left = parser_->chunked() ? boost::none : parser_->content_length_remaining();
    if (!shared_->gate || !left || *left == 0 || parser_->get()[http::field::expect].size() > 0) return false;
    const ParsedRequest request(parser_->get(), static_cast<size_t>(*left), socket_, worker_->run_later, gone_);
    head_ = request.method() == "HEAD";
    refusal_ = shared_->gate(request);
    if (!refusal_) return false;
    refused_left_ = static_cast<size_t>(*left);
    parser_->get().body() = {};
    return true;
  }

  // Where the next bytes go: those of a body that is still long, to where they stay. The parser tells the body what to expect with its first bytes.
  net::mutable_buffer room() {
    const auto rest = parser_->is_header_done() && !parser_->chunked() ? parser_->content_length_remaining() : boost::none;
    RequestBody& body = parser_->get().body();
    if (!rest || *rest <= kReadBytes || body.view().empty()) return net::buffer(worker_->received);
    const std::span<char> room = body.room(static_cast<size_t>(std::min<uint64_t>(*rest, kLongRead)));
    return {room.data(), room.size()};
  }

  void on_bytes() {
    if (state_ == State::kIdle) {
      state_ = State::kReading;
      expire_in(std::chrono::milliseconds(limits().request_timeout_ms));
    }
    error_code error;
    const bool is_head = !parser_->is_header_done();
    if (is_head) {
      feed(error);
      if (error == http::error::need_more) return read_some();
      if (error) return reject(error);
      if (const auto fault = header_fault()) return refuse(*fault);
      if (parser_->chunked()) header_ = parser_->get().base();
      parser_->on_chunk_header(count_chunk_);
      parser_->eager(true);
    }
    while (!parser_->is_done() && !unread_.empty() && !error) feed(error);
    if (error && error != http::error::need_more) return reject(error);
    if (parser_->is_done()) return handle();
    if (is_head && is_refused_early()) return read_some();
    if (unread_.view().size() > static_cast<size_t>(limits().request_header_bytes))  // a chunk's first line, or trailers, that do not end
      return reject(http::error::header_limit);
    if (!continued_ && parser_->get()[http::field::expect].size() > 0) {
      continued_ = true;
      socket_.write_some(net::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25), error);  // an empty send buffer takes it whole
    }
    read_some();
  }

  // Beast throws at a field of more than 64 KiB, which a trailer, or a larger --max-header-bytes, lets come.
  void feed(error_code& error) {
    try {
      unread_.consume(parser_->put(net::buffer(unread_.view()), error));
    } catch (const std::length_error&) {
      error = http::error::header_limit;
    }
  }

  // What makes a request of right syntax unacceptable.
  std::optional<HttpResponse> header_fault() const {
    const auto& header = parser_->get();
    if (std::distance(header.begin(), header.end()) > limits().request_headers)
      return refusal(431, "more than " + std::to_string(limits().request_headers) + " headers (the server's --max-headers)");
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

  int64_t most_chunks() const { return std::max(kFewChunks, limits().request_bytes / kChunkBytes); }

  void reject(const error_code& error) {
    if (error == http::error::header_limit) {
      const bool in_first_line = parser_->get().target().empty();
      const std::string most = std::to_string(limits().request_header_bytes) + " bytes";
      return refuse(in_first_line
                        ? refusal(414, "the request line is longer than " + most + " (the server's --max-header-bytes)")
                        : refusal(431, "headers are longer than " + most + " (the server's --max-header-bytes)"));
    }
    if (error == http::error::body_limit)
      return refuse(refusal(413, "the request body is larger than the limit of " + std::to_string(limits().request_bytes) +
                                     " bytes (the server's --max-body)"));
    if (error == http::error::bad_chunk_extension && chunks_ > most_chunks())
      return refuse(refusal(413, "the request body has more than " + std::to_string(most_chunks()) + " chunks (more are taken with a larger --max-body)"));
    refuse(refusal(400, "malformed HTTP request: " + error.message()));
  }

  void handle() {
    unread_.keep();
    state_ = State::kHandling;
    deadline_ = SteadyTime::max();
    gone_ = {};
    if (parser_->chunked()) parser_->get().base() = std::move(header_);  // trailers are not taken for headers
    const ParsedRequest request(parser_->get(), 0, socket_, worker_->run_later, gone_);
    head_ = request.method() == "HEAD";
    const HttpRespond respond = [handle = weak_from_this()](HttpResponse response) {
      const auto self = handle.lock();
      if (!self) return;  // the server has gone
      net::dispatch(self->worker_->context, [handle, response = std::move(response)]() mutable {
        if (const auto session = handle.lock()) session->send(std::move(response), !session->parser_->get().keep_alive(), false);
      });
    };
    try {
      shared_->handler(request, respond);
    } catch (...) {
      respond(refusal(500, "internal error"));
    }
    if (state_ == State::kHandling && gone_) watch();
  }

  // Wakes when the next request comes, or the end of the connection. One wait at a time: a later one would find the same.
  void watch() {
    if (watching_) return;
    watching_ = true;
    socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
      self->watching_ = false;
      if (self->state_ != State::kHandling || error) return;
      char byte;
      const ssize_t peeked = ::recv(self->socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
      if (peeked > 0 || (peeked < 0 && (errno == EAGAIN || errno == EINTR))) return;
      if (const auto gone = std::exchange(self->gone_, nullptr)) gone();
      self->close();
    });
  }

  // `unread`: the client may still be sending; it gets time to read the answer before the socket is closed under it.
  void send(HttpResponse response, bool close_after, bool unread) {
    if (state_ == State::kClosed) return;
    gone_ = {};
    state_ = State::kWriting;
    expire_in(std::chrono::milliseconds(limits().request_timeout_ms));
    close_after = close_after || worker_->draining;
    response_ = std::move(response);
    write_head(close_after);
    const std::array<net::const_buffer, 2> pieces{net::buffer(header_text_),
                                                  net::buffer(response_.body.data(), head_ ? 0 : response_.body.size())};
    net::async_write(socket_, pieces, [self = shared_from_this(), close_after, unread](error_code error, size_t) {
      if (self->state_ != State::kWriting) return;
      if (error || (close_after && !unread)) return self->close();
      if (close_after) return self->linger();
      const bool was_refused = self->response_.status == 429;
      self->response_ = {};
      self->continued_ = false;
      if (was_refused) return self->pause();
      self->await_request();
    });
  }

  // Who is told to come again later and asks again at once would take from those who compute the processors that they need. All that
  // rest are looked at together, and do not wake the thread before.
  void pause() {
    state_ = State::kIdle;
    expire_in(shared_->options.idle_timeout);
    wake_at(kUnheardBytes);
    worker_->resting.push_back(weak_from_this());
    if (worker_->resting.size() > 1) return;
    worker_->resume.expires_after(kAfterRefusal);
    worker_->resume.async_wait([worker = worker_](error_code) {
      for (const auto& handle : std::exchange(worker->resting, {}))
        if (const auto session = handle.lock()) session->end_rest();
    });
  }

  // What is thrown at one (memory is lacking) must not keep the others from their turn.
  void end_rest() {
    try {
      if (state_ == State::kIdle) await_request();
    } catch (const std::exception&) {
      close();
    }
  }

  // Fewer bytes do not wake the thread; the end of the connection does, and what fills the socket.
  void wake_at(size_t bytes) {
    if (bytes == wakes_at_) return;
    wakes_at_ = bytes;
    const int least = static_cast<int>(bytes);
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
  }

  void write_head(bool close_after) {
    header_text_ = "HTTP/1.1 " + std::to_string(response_.status) + " ";
    header_text_ += view_of(http::obsolete_reason(static_cast<http::status>(response_.status)));
    header_text_ += "\r\nDate: " + worker_->date + "\r\nContent-Length: " + std::to_string(response_.body.size());
    if (!response_.body.empty()) header_text_ += "\r\nContent-Type: " + response_.content_type;
    for (const auto& [name, value] : response_.headers) header_text_ += "\r\n" + name + ": " + value;
    if (close_after)
      header_text_ += "\r\nConnection: close";
    else if (parser_->get().version() < 11)
      header_text_ += "\r\nConnection: keep-alive";
    header_text_ += "\r\n\r\n";
  }

  void linger() {
    error_code error;
    socket_.shutdown(tcp::socket::shutdown_send, error);
    state_ = State::kLingering;
    expire_in(kLinger);
    unread_.clear();
    discard();
  }
  void discard() {
    unread_.keep();
    socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
      if (!error) self->socket_.read_some(net::buffer(self->worker_->received), error);
      if ((error && error != net::error::would_block) || self->state_ != State::kLingering) return self->close();
      self->discard();
    });
  }

  std::shared_ptr<Worker> worker_;  // before the socket, which needs the worker's context to the end
  std::shared_ptr<Shared> shared_;
  tcp::socket socket_;
  State state_ = State::kIdle;
  SteadyTime deadline_ = SteadyTime::max();
  UnreadBytes unread_;
  std::optional<Parser> parser_ = std::make_optional<Parser>();
  http::request_header<> header_;  // of a chunked request, as it was before its trailers
  int64_t chunks_ = 0;
  std::function<void(uint64_t, boost::beast::string_view, error_code&)> count_chunk_ = [this](uint64_t, boost::beast::string_view,
                                                                                              error_code& error) {
    if (++chunks_ > most_chunks()) error = http::error::bad_chunk_extension;
  };
  bool head_ = false, continued_ = false, watching_ = false;
  size_t wakes_at_ = 1;                  // bytes to read
  std::optional<HttpResponse> refusal_;  // of a request whose body is thrown away
  size_t refused_left_ = 0;
  std::function<void()> gone_;
  std::string header_text_;
  HttpResponse response_;
};

}  // namespace tandem::http_detail
