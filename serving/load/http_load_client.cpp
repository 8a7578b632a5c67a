#include "serving/load/http_load_client.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>

#include "kernels/base/error.h"

namespace tandem {
namespace {

AnswerKind kind_of(int status) {
  if (status >= 200 && status < 300) return AnswerKind::kOk;
  if (status == 429 || status == 503) return AnswerKind::kShed;
  return status == 504 ? AnswerKind::kLate : AnswerKind::kFailed;
}

}  // namespace

HttpLoadClient::HttpLoadClient(const HttpAddress& address, std::vector<std::string> requests, int connections, const Clock& clock)
    : address_(address),
      requests_(std::move(requests)),
      clock_(clock),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      busy_(static_cast<size_t>(connections)) {
  check(epoll_ >= 0, ErrorCode::kUnavailable, "no descriptor left for epoll");
  for (int i = 0; i < connections; ++i) {
    connections_.emplace_back(address_);
    watch(i, false, true);
  }
}

HttpLoadClient::~HttpLoadClient() { ::close(epoll_); }

void HttpLoadClient::watch(int connection, bool sending, bool is_new) {
  epoll_event event{};
  event.events = sending ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u32 = static_cast<uint32_t>(connection);
  const int done = ::epoll_ctl(epoll_, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, at(connection).socket(), &event);
  check(done == 0, ErrorCode::kUnavailable, "epoll does not take a connection");
}

void HttpLoadClient::send(int connection) {
  HttpConnection& own = at(connection);
  own.keep_body = problem_.empty();
  busy_[static_cast<size_t>(connection)] = true;
  try {
    if (!own.send(requests_.next())) watch(connection, true, false);
  } catch (const Error& error) {
    broken(connection, error.what());
  }
}

// A new connection takes the place of one that ended; the request on it, if there was one, has failed.
void HttpLoadClient::broken(int connection, const std::string& why) {
  const bool was_busy = busy_[static_cast<size_t>(connection)];
  busy_[static_cast<size_t>(connection)] = false;
  if (was_busy && problem_.empty()) problem_ = why;
  if (was_busy) broken_.push_back({connection, AnswerKind::kFailed, clock_.now()});
  at(connection) = HttpConnection(address_);
  watch(connection, false, true);
}

void HttpLoadClient::wait(Clock::TimePoint from, Clock::TimePoint until, std::vector<LoadAnswer>& answers) {
  if (const auto gathering = from - clock_.now(); gathering.count() > 0) std::this_thread::sleep_for(gathering);
  std::array<epoll_event, 64> events;
  const auto left = std::max(Clock::TimePoint::duration::zero(), until - clock_.now());
  const auto nanoseconds = broken_.empty() ? std::chrono::nanoseconds(left).count() : 0;
  const timespec limit{static_cast<time_t>(nanoseconds / 1'000'000'000), static_cast<long>(nanoseconds % 1'000'000'000)};
  const int count = ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &limit, nullptr);
  check(count >= 0 || errno == EINTR, ErrorCode::kUnavailable, "epoll failed");
  for (int i = 0; i < count; ++i)
    go_on(static_cast<int>(events[static_cast<size_t>(i)].data.u32), events[static_cast<size_t>(i)].events, answers);
  answers.insert(answers.end(), broken_.begin(), broken_.end());
  broken_.clear();
}

void HttpLoadClient::go_on(int connection, uint32_t events, std::vector<LoadAnswer>& answers) {
  try {
    if ((events & EPOLLOUT) && at(connection).go_on_sending()) watch(connection, false, false);
    if ((events & ~static_cast<uint32_t>(EPOLLOUT)) && at(connection).receive()) answered(connection, answers);
  } catch (const Error& error) {
    broken(connection, error.what());
  }
}

void HttpLoadClient::answered(int connection, std::vector<LoadAnswer>& answers) {
  const HttpAnswer& answer = at(connection).answer();
  const AnswerKind kind = kind_of(answer.status);
  if (kind != AnswerKind::kOk && problem_.empty()) problem_ = std::to_string(answer.status) + " " + answer.body.substr(0, 300);
  busy_[static_cast<size_t>(connection)] = false;
  answers.push_back({connection, kind, clock_.now()});
  if (!at(connection).closes()) return;
  at(connection) = HttpConnection(address_);
  watch(connection, false, true);
}

}  // namespace tandem
