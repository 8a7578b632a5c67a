// What the sessions of a server stand on: the network threads, and what all of them share.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "serving/http/asio-inl.h"
#include "serving/http/http_server.h"

namespace tandem::http_detail {

constexpr size_t kReadBytes = 64 << 10;  // one read

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

}  // namespace tandem::http_detail
