// A request that is refused before its body has come. What is still to come is taken from the socket without being copied or looked at, and then the answer may go out:
// so the connection is good for the next request.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "serving/http/http_message.h"

namespace tandem::http_detail {

class RefusedBody {
 public:
  enum class Progress : uint8_t { kPart, kWhole, kGone };

  // `left`: bytes that are still to come.
  RefusedBody(HttpResponse answer, size_t left) : answer_(std::move(answer)), left_(left) {}
  size_t left() const { return left_; }
  HttpResponse take_answer() { return std::move(answer_); }

  // What has come at a socket that does not block.
  Progress throw_away(int socket) {
    constexpr size_t kMost = 1 << 20;
    const ssize_t bytes = ::recv(socket, nullptr, std::min(left_, kMost), MSG_TRUNC | MSG_DONTWAIT);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return Progress::kPart;
    if (bytes <= 0) return Progress::kGone;
    left_ -= static_cast<size_t>(bytes);
    return left_ > 0 ? Progress::kPart : Progress::kWhole;
  }

 private:
  HttpResponse answer_;
  size_t left_;
};

}  // namespace tandem::http_detail
