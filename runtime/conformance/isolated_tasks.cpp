// Parent and worker share a socket: the parent writes the number of a task, the worker answers with the length and the bytes of its result.
#include "runtime/conformance/isolated_tasks.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "kernels/base/error.h"
#include "runtime/io/file_descriptor.h"

namespace tandem {
namespace {

using Clock = std::chrono::steady_clock;
using TaskFunction = std::function<std::string(size_t)>;

// False if the other side is gone.
bool receive_all(int socket, void* to, size_t bytes) {
  for (size_t got = 0; got < bytes;) {
    const ssize_t n = ::recv(socket, static_cast<char*>(to) + got, bytes - got, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    got += static_cast<size_t>(n);
  }
  return true;
}

bool send_all(int socket, const void* from, size_t bytes) {
  for (size_t sent = 0; sent < bytes;) {
    const ssize_t n = ::send(socket, static_cast<const char*>(from) + sent, bytes - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    sent += static_cast<size_t>(n);
  }
  return true;
}

[[noreturn]] void serve_tasks(int socket, pid_t parent, const TaskFunction& task) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  try {
    size_t index = 0;
    while (receive_all(socket, &index, sizeof index)) {
      const std::string text = task(index);
      const size_t length = text.size();
      if (!send_all(socket, &length, sizeof length) || !send_all(socket, text.data(), length)) break;
    }
    ::_exit(0);  // without the parent's exit handlers and half-written buffers
  } catch (...) {
    ::_exit(1);  // the parent's objects, unwound here, would end the other workers
  }
}

struct Worker {
  pid_t pid = -1;
  FileDescriptor socket;
  std::optional<size_t> task;
  Clock::time_point deadline = {};
};

class Pool {
 public:
  Pool(size_t count, int workers, std::chrono::milliseconds limit, const TaskFunction& task,
       const std::function<void(size_t, TaskOutcome)>& done)
      : count_(count), limit_(limit), task_(task), done_(done), workers_(std::min(count, static_cast<size_t>(std::max(1, workers)))) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    for (Worker& worker : workers_)
      if (worker.pid > 0) end(worker, true);
  }

  void run() {
    for (Worker& worker : workers_) give_next(worker);
    while (std::ranges::any_of(workers_, [](const Worker& w) { return w.task.has_value(); })) wait_once();
  }

 private:
  void start(Worker& worker) {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, ErrorCode::kUnavailable, "no sockets for a worker",
          std::strerror(errno));
    FileDescriptor ours(ends[0]), theirs(ends[1]);
    const pid_t parent = ::getpid();
    std::fflush(nullptr);
    worker.pid = ::fork();
    check(worker.pid >= 0, ErrorCode::kUnavailable, "no process for a worker", std::strerror(errno));
    if (worker.pid == 0) {
      for (Worker& other : workers_) other.socket = {};
      ours = {};
      serve_tasks(theirs.get(), parent, task_);
    }
    worker.socket = std::move(ours);
  }

  // What became of its process.
  std::string end(Worker& worker, bool by_force) {
    if (by_force) ::kill(worker.pid, SIGKILL);
    worker.socket = {};
    int status = 0;
    while (::waitpid(worker.pid, &status, 0) < 0 && errno == EINTR) {
    }
    worker.pid = -1;
    if (WIFSIGNALED(status))
      return "was killed by signal " + std::to_string(WTERMSIG(status)) + " (" + ::strsignal(WTERMSIG(status)) + ")";
    return "ended its process with exit code " + std::to_string(WEXITSTATUS(status));
  }

  void give_next(Worker& worker) {
    worker.task = next_ < count_ ? std::optional(next_++) : std::nullopt;
    if (!worker.task) return;
    if (worker.pid < 0) start(worker);
    worker.deadline = Clock::now() + limit_;
    send_all(worker.socket.get(), &*worker.task, sizeof(size_t));  // should it be dead, the next poll tells
  }

  void finish(Worker& worker, TaskOutcome outcome) {
    const size_t task = *worker.task;
    give_next(worker);
    done_(task, std::move(outcome));
  }

  void take_result(Worker& worker) {
    size_t length = 0;
    std::string text;
    bool whole = receive_all(worker.socket.get(), &length, sizeof length);
    if (whole) {
      text.resize(length);
      whole = receive_all(worker.socket.get(), text.data(), length);
    }
    if (whole) return finish(worker, {true, std::move(text)});
    finish(worker, {false, end(worker, false)});
  }

  void wait_once() {
    std::vector<pollfd> polled;
    std::vector<Worker*> busy;
    auto nearest = Clock::time_point::max();
    for (Worker& worker : workers_) {
      if (!worker.task) continue;
      polled.push_back({worker.socket.get(), POLLIN, 0});
      busy.push_back(&worker);
      nearest = std::min(nearest, worker.deadline);
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(nearest - Clock::now()).count();
    ::poll(polled.data(), polled.size(), static_cast<int>(std::clamp<int64_t>(left + 1, 0, 60'000)));
    for (size_t i = 0; i < busy.size(); ++i) {
      if (polled[i].revents) {
        take_result(*busy[i]);
      } else if (Clock::now() >= busy[i]->deadline) {
        end(*busy[i], true);
        finish(*busy[i], {false, "took longer than " + std::to_string(limit_.count() / 1000) + " s"});
      }
    }
  }

  const size_t count_;
  size_t next_ = 0;
  const std::chrono::milliseconds limit_;
  const TaskFunction& task_;
  const std::function<void(size_t, TaskOutcome)>& done_;
  std::vector<Worker> workers_;
};

}  // namespace

void run_isolated(size_t count, int workers, std::chrono::milliseconds limit, const TaskFunction& task,
                  const std::function<void(size_t, TaskOutcome)>& done) {
  Pool(count, workers, limit, task, done).run();
}

}  // namespace tandem
