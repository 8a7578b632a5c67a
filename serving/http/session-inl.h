// One connection of the HTTP server: reads a request, hands it over, writes the answer, and so on. Read by http_server.cpp alone.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/write.hpp>

#include "serving/http/asio-inl.h"
#include "serving/http/parsed_request-inl.h"
#include "serving/http/refused_body-inl.h"
#include "serving/http/request_reader-inl.h"
#include "serving/http/response_head-inl.h"
#include "serving/http/unread_bytes-inl.h"
#include "serving/http/worker-inl.h"

namespace tandem::http_detail {

constexpr std::chrono::milliseconds kLinger{1'000};     // for a client to read the refusal of what it is still sending
constexpr std::chrono::milliseconds kAfterRefusal{10};  // from a 429 to the next request of its connection
constexpr size_t kUnheardBytes = 256 << 10;             // that may come to a connection that rests, or of a body that is thrown away
constexpr std::chrono::milliseconds kDrainGrace{250};   // for a request that is on its way when draining begins

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, std::shared_ptr<Worker> worker, std::shared_ptr<Shared> shared)
      : worker_(std::move(worker)), shared_(std::move(shared)), socket_(std::move(socket)), reader_(shared_->options.limits) {}

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
  using Progress = RequestReader::Progress;

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
    reader_.begin();
    state_ = State::kIdle;
    expire_in(worker_->draining ? kDrainGrace : shared_->options.idle_timeout);
    if (!unread_.empty()) return on_bytes();
    wakes_at_ > 1 ? read_now() : read_some();  // after a rest the next request is mostly there
  }

  void read_some() {
    unread_.keep();
    wake_at(refused_ ? std::min(refused_->left(), kUnheardBytes) : 1);
    socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
      if (self->state_ != State::kIdle && self->state_ != State::kReading) return;
      if (error) return self->close();
      self->refused_ ? self->throw_away() : self->read_now();
    });
  }

  void read_now() {
    error_code error;
    std::span<char> room = reader_.room(kReadBytes);
    if (room.empty()) room = worker_->received;
    const size_t bytes = socket_.read_some(net::buffer(room.data(), room.size()), error);
    if (error == net::error::would_block) return read_some();
    if (error) return close();  // the client has gone, in the middle of a request or between two
    unread_.add({room.data(), bytes});
    on_bytes();
  }

  void throw_away() {
    switch (refused_->throw_away(socket_.native_handle())) {
      case RefusedBody::Progress::kPart: return read_some();
      case RefusedBody::Progress::kGone: return close();
      case RefusedBody::Progress::kWhole: break;
    }
    HttpResponse answer = refused_->take_answer();
    refused_.reset();
    send(std::move(answer), !reader_.request().keep_alive(), false);
  }

  // Whether a request is refused that has not come whole; what has come of its body goes.
  bool is_refused_early() {
    const auto left = reader_.left();
    if (!shared_->gate || !left || *left == 0 || reader_.expects_continue()) return false;
    const ParsedRequest request(reader_.request(), *left, socket_, worker_->run_later, gone_);
    head_ = request.method() == "HEAD";
    auto answer = shared_->gate(request);
    if (!answer) return false;
    refused_.emplace(std::move(*answer), *left);
    reader_.forget_body();
    return true;
  }

  void on_bytes() {
    if (state_ == State::kIdle) {
      state_ = State::kReading;
      expire_in(std::chrono::milliseconds(limits().request_timeout_ms));
    }
    const Progress progress = reader_.take(unread_, response_);
    if (progress == Progress::kRefused) return refuse(std::move(response_));
    if (progress == Progress::kWhole) return handle();
    if (progress == Progress::kHead && !is_refused_early() && reader_.expects_continue()) {
      error_code ignored;
      socket_.write_some(net::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25), ignored);  // an empty send buffer takes it whole
    }
    read_some();
  }

  void handle() {
    unread_.keep();
    state_ = State::kHandling;
    deadline_ = SteadyTime::max();
    gone_ = {};
    const ParsedRequest request(reader_.request(), 0, socket_, worker_->run_later, gone_);
    head_ = request.method() == "HEAD";
    const HttpRespond respond = [handle = weak_from_this()](HttpResponse response) {
      const auto self = handle.lock();
      if (!self) return;  // the server has gone
      net::dispatch(self->worker_->context, [handle, response = std::move(response)]() mutable {
        if (const auto session = handle.lock()) session->send(std::move(response), !session->reader_.request().keep_alive(), false);
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
    head_text_ = response_head(response_, worker_->date,
                               close_after                        ? AfterAnswer::kClose
                               : reader_.request().version() < 11 ? AfterAnswer::kSayThatItKeeps
                                                                  : AfterAnswer::kKeep);
    const std::array<net::const_buffer, 2> pieces{net::buffer(head_text_),
                                                  net::buffer(response_.body.data(), head_ ? 0 : response_.body.size())};
    net::async_write(socket_, pieces, [self = shared_from_this(), close_after, unread](error_code error, size_t) {
      if (self->state_ != State::kWriting) return;
      if (error || (close_after && !unread)) return self->close();
      if (close_after) return self->linger();
      const bool was_refused = self->response_.status == 429;
      self->response_ = {};
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
  RequestReader reader_;
  bool head_ = false, watching_ = false;
  size_t wakes_at_ = 1;                 // bytes to read
  std::optional<RefusedBody> refused_;  // of a request whose body is thrown away
  std::function<void()> gone_;
  std::string head_text_;
  HttpResponse response_;
};

}  // namespace tandem::http_detail
