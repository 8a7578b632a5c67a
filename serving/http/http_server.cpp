#include "serving/http/http_server.h"

#include <pthread.h>

#include <thread>
#include <vector>

#include "kernels/base/error.h"
#include "serving/http/session-inl.h"
#include "serving/monitor/process_stats.h"

namespace tandem {
namespace {

using namespace http_detail;

constexpr int64_t kRefusedAtOnce = 32;           // connections over the limit that still get their 503
constexpr int64_t kSpareFds = 64;                // kept for files, listeners and refusals
constexpr std::chrono::milliseconds kSweep{50};  // how exactly time limits are kept

// Connections that the process can hold without running out of descriptors.
int64_t most_connections(const Limits& limits) {
  const ProcessStats stats = process_stats();
  return std::max<int64_t>(1, std::min(limits.connections, stats.max_fds - stats.open_fds - kSpareFds));
}

HttpResponse too_many_connections(int64_t most, const Limits& limits) {
  const std::string_view why = most < limits.connections ? "the limit of open files, ulimit -n" : "the server's --connections";
  return refusal(503, "more than " + std::to_string(most) + " connections (" + std::string(why) + ")");
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const HttpServerOptions& options, HttpHandler handler, HttpGate gate) : shared_(std::make_shared<Shared>()) {
    shared_->options = options;
    shared_->handler = std::move(handler);
    shared_->gate = std::move(gate);
    for (int i = 0; i < std::max(1, options.threads); ++i) workers_.push_back(std::make_shared<Worker>());
    acceptor_ = std::make_unique<tcp::acceptor>(workers_[0]->context);
    retry_ = std::make_unique<net::steady_timer>(workers_[0]->context);
    listen();
    most_ = most_connections(options.limits);
    accept();
    for (const auto& worker : workers_) {
      threads_.emplace_back([worker] { run(*worker); });
      ::pthread_setname_np(threads_.back().native_handle(), "http");
    }
  }

  ~Impl() {
    for (const auto& worker : workers_) worker->context.stop();
    for (std::thread& thread : threads_) thread.join();
    // Sessions own their worker, and what is queued there owns sessions: close all, and let the queues run empty.
    error_code ignored;
    acceptor_->close(ignored);
    for (const auto& worker : workers_) {
      worker->ended = true;
      worker->sweep.cancel();
      worker->resume.cancel();
      while (!worker->sessions.empty()) std::shared_ptr(*worker->sessions.begin())->close();
      worker->context.restart();
      worker->context.poll();
    }
  }

  int port() const { return port_; }

  bool stop(std::chrono::milliseconds timeout) {
    const SteadyTime deadline = std::chrono::steady_clock::now() + timeout;
    net::post(workers_[0]->context, [this] { stop_accepting(); });
    for (const auto& worker : workers_)
      net::post(worker->context, [worker] {
        worker->draining = true;
        for (const auto& session : worker->sessions) session->drain();
      });
    std::unique_lock lock(shared_->mutex);
    return shared_->none_left.wait_until(lock, deadline, [&] { return stopped_accepting_ && shared_->connections.load() == 0; });
  }

 private:
  void listen() {
    const HttpServerOptions& options = shared_->options;
    const std::string where = options.host + ":" + std::to_string(options.port);
    error_code error;
    const auto address = net::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, error);
    require(!error, "host must be an IP address, such as 127.0.0.1 or 0.0.0.0", options.host);
    const tcp::endpoint endpoint(address, static_cast<uint16_t>(options.port));
    acceptor_->open(endpoint.protocol(), error);
    if (!error) acceptor_->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_->bind(endpoint, error);
    if (!error) acceptor_->listen(1024, error);
    if (error == net::error::address_in_use)
      fail(ErrorCode::kUnavailable, "port " + std::to_string(options.port) + " of " + options.host +
                                        " is in use: stop the other program or choose another port (0 picks a free one)");
    check(!error, ErrorCode::kUnavailable, "cannot listen on " + where, error.message());
    port_ = acceptor_->local_endpoint().port();
    acceptor_->non_blocking(true);
  }

  void accept() {
    const std::shared_ptr<Worker>& worker = workers_[next_++ % workers_.size()];
    acceptor_->async_accept(worker->context, [this, worker](error_code error, tcp::socket socket) {
      if (!acceptor_->is_open()) return;
      if (!error || error == net::error::connection_aborted) accept();
      if (!error) return admit(std::move(socket), worker);
      if (error == net::error::connection_aborted) return;
      retry_->expires_after(std::chrono::milliseconds(50));  // out of descriptors or memory: those who wait stay in the backlog
      retry_->async_wait([this](error_code stopped) {
        if (!stopped && acceptor_->is_open()) accept();
      });
    });
  }

  void admit(tcp::socket socket, const std::shared_ptr<Worker>& worker) {
    const int64_t others = shared_->connections.fetch_add(1);
    if (others >= most_ + kRefusedAtOnce) return shared_->leave();
    net::post(worker->context, [socket = std::move(socket), worker, shared = shared_, most = most_, full = others >= most_]() mutable {
      if (worker->ended) return shared->leave();
      if (!worker->sweeps) sweep(worker);
      const auto session = std::make_shared<Session>(std::move(socket), worker, shared);
      if (full) return session->turn_away(too_many_connections(most, shared->options.limits));
      session->start();
    });
  }

  void stop_accepting() {
    error_code error;
    while (!error) {  // those who have connected already are served
      tcp::socket socket(workers_[0]->context);
      acceptor_->accept(socket, error);
      if (!error) admit(std::move(socket), workers_[0]);
    }
    acceptor_->close(error);
    retry_->cancel();
    const std::lock_guard lock(shared_->mutex);
    stopped_accepting_ = true;
    shared_->none_left.notify_all();
  }

  // What is thrown at one connection (memory is lacking) is the end of that one: its time limit closes it.
  static void run(Worker& worker) {
    for (;;) {
      try {
        worker.context.run();
        return;
      } catch (const std::exception&) {
      }
    }
  }

  // As long as there are sessions: a server without clients is not woken.
  static void sweep(const std::shared_ptr<Worker>& worker) {
    worker->sweeps = true;
    worker->date = http_date();
    worker->sweep.expires_after(kSweep);
    worker->sweep.async_wait([worker](error_code error) {
      if (error || worker->ended) return;
      worker->sweeps = false;
      const SteadyTime now = std::chrono::steady_clock::now();
      for (auto next = worker->sessions.begin(); next != worker->sessions.end();) {
        const std::shared_ptr<Session> session = *next++;  // it may leave
        session->check_deadline(now);
      }
      if (!worker->sessions.empty()) sweep(worker);
    });
  }

  std::shared_ptr<Shared> shared_;
  std::vector<std::shared_ptr<Worker>> workers_;
  std::unique_ptr<tcp::acceptor> acceptor_;
  std::unique_ptr<net::steady_timer> retry_;
  std::vector<std::thread> threads_;
  size_t next_ = 0;
  int64_t most_ = 1;
  int port_ = 0;
  bool stopped_accepting_ = false;  // guarded by shared_->mutex
};

HttpServer::HttpServer(const HttpServerOptions& options, HttpHandler handler, HttpGate gate)
    : impl_(std::make_unique<Impl>(options, std::move(handler), std::move(gate))) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return impl_->port(); }
bool HttpServer::stop(std::chrono::milliseconds timeout) { return impl_->stop(timeout); }

}  // namespace tandem
