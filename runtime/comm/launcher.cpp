#include "runtime/comm/launcher.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "kernels/base/error.h"
#include "runtime/comm/segment.h"
#include "runtime/device/affinity.h"
#include "runtime/device/topology.h"

extern char** environ;

namespace tandem {
namespace {

using Clock = std::chrono::steady_clock;

// Blocks the signals that the launcher waits for, and gives the old mask back.
class SignalBlock {
 public:
  SignalBlock() {
    sigemptyset(&waited_);
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&waited_, signal);
    ::pthread_sigmask(SIG_BLOCK, &waited_, &old_);
    old_child_action_ = std::signal(SIGCHLD, SIG_DFL);  // a parent that ignores it would leave no status to wait for
  }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;
  ~SignalBlock() {
    std::signal(SIGCHLD, old_child_action_);
    ::pthread_sigmask(SIG_SETMASK, &old_, nullptr);
  }

  const sigset_t& old() const { return old_; }
  // The next of them, or none within the time.
  std::optional<int> wait(Clock::duration limit) const {
    const auto nanoseconds =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::max(limit, Clock::duration::zero())).count();
    const timespec time{nanoseconds / 1000000000, nanoseconds % 1000000000};
    const int signal = ::sigtimedwait(&waited_, nullptr, &time);
    if (signal < 0) return std::nullopt;
    return signal;
  }

 private:
  sigset_t waited_, old_;
  void (*old_child_action_)(int);
};

// What a rank's process is started with, made before the fork: between fork and exec nothing may allocate.
struct Start {
  std::vector<int> cpus;
  std::vector<std::string> environment;
  std::vector<char*> argv, envp;
};

bool is_replaced(std::string_view variable) {
  for (std::string_view name :
       {"TANDEM_RANK=", "TANDEM_WORLD_SIZE=", "TANDEM_COMM_FD=", "OMP_PROC_BIND=", "OMP_PLACES=", "GOMP_CPU_AFFINITY="})
    if (variable.starts_with(name)) return true;
  return false;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

Start make_start(const LaunchOptions& options, const AllowedCpus& allowed, int rank, int memory) {
  Start start;
  const int cpus = static_cast<int>(allowed.cpus.size());
  if (options.pin && cpus >= options.ranks)
    start.cpus.assign(allowed.cpus.begin() + cpus * rank / options.ranks,
                      allowed.cpus.begin() + cpus * (rank + 1) / options.ranks);
  bool has_threads = false;
  for (char** variable = environ; *variable; ++variable) {
    if (!is_replaced(*variable)) start.environment.emplace_back(*variable);
    has_threads |= std::string_view(*variable).starts_with("OMP_NUM_THREADS=");
  }
  start.environment.push_back("TANDEM_RANK=" + std::to_string(rank));
  start.environment.push_back("TANDEM_WORLD_SIZE=" + std::to_string(options.ranks));
  start.environment.push_back("TANDEM_COMM_FD=" + std::to_string(memory));
  if (!has_threads)
    start.environment.push_back("OMP_NUM_THREADS=" + std::to_string(std::max(1, allowed.threads / options.ranks)));
  start.argv = pointers(options.arguments);
  start.envp = pointers(start.environment);
  return start;
}

// In the child: system calls only. A request to stop waits until the rank has joined, and so has its handlers.
[[noreturn]] void become_rank(const Start& start, int memory, pid_t launcher, sigset_t signals) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launcher) ::_exit(127);  // it died before the line above
  ::setpgid(0, 0);
  cpu_set_t cpus[8] = {};
  for (int cpu : start.cpus) CPU_SET_S(static_cast<size_t>(cpu), sizeof(cpus), cpus);
  if (!start.cpus.empty()) ::sched_setaffinity(0, sizeof(cpus), cpus);
  ::fcntl(memory, F_SETFD, 0);
  for (int signal : {SIGINT, SIGTERM}) sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_SETMASK, &signals, nullptr);
  ::execve("/proc/self/exe", start.argv.data(), start.envp.data());
  ::_exit(127);
}

// The running processes; none outlives it.
class Children {
 public:
  Children() = default;
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;
  ~Children() {
    signal_all(SIGKILL);
    for (pid_t pid : pids_)
      if (pid > 0) ::waitpid(pid, nullptr, 0);
  }

  void add(pid_t pid) { pids_.push_back(pid); }
  int running() const {
    return static_cast<int>(std::count_if(pids_.begin(), pids_.end(), [](pid_t pid) { return pid > 0; }));
  }
  bool is_running(int rank) const { return pids_[static_cast<size_t>(rank)] > 0; }
  void signal_all(int signal) {
    for (pid_t pid : pids_)
      if (pid > 0) ::kill(pid, signal);
  }
  // Calls ended(rank, status) for those that have ended.
  template <class Ended>
  void collect(Ended ended) {
    for (size_t rank = 0; rank < pids_.size(); ++rank) {
      int status = 0;
      if (pids_[rank] <= 0 || ::waitpid(pids_[rank], &status, WNOHANG) != pids_[rank]) continue;
      pids_[rank] = 0;
      ended(static_cast<int>(rank), status);
    }
  }

 private:
  std::vector<pid_t> pids_;  // by rank; 0 once it was waited for
};

std::string rank_text(int rank, int ranks) { return "rank " + std::to_string(rank) + " of " + std::to_string(ranks); }

// The first failure decides.
// A rank killed from outside is the cause of the others' errors, also when one of them is noticed before it. `killing`: the launcher
// itself is killing what is left.
void note_end(LaunchResult& result, int rank, int ranks, int status, bool killing) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  const bool is_cause = WIFSIGNALED(status) && !killing && result.exit_code < 128;
  if (result.exit_code != 0 && !is_cause) return;
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    result.exit_code = 128 + signal;
    result.message =
        rank_text(rank, ranks) + " was killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
  } else {
    result.exit_code = WEXITSTATUS(status);
    result.message = rank_text(rank, ranks) + " ended with exit code " + std::to_string(result.exit_code);
  }
}

void start_all(const LaunchOptions& options, const FileDescriptor& memory, const SignalBlock& signals, Children& children) {
  const AllowedCpus allowed = allowed_cpus();
  const std::shared_ptr<Segment> segment = Segment::map(memory.get());
  const pid_t launcher = ::getpid();
  for (int rank = 0; rank < options.ranks; ++rank) {
    const Start start = make_start(options, allowed, rank, memory.get());
    const pid_t pid = ::fork();
    if (pid == 0) become_rank(start, memory.get(), launcher, signals.old());
    check(pid > 0, ErrorCode::kUnavailable, "cannot start a process for a rank", rank, system_message(errno));
    children.add(pid);
    segment->rank(rank).pid.store(pid);  // so that even a rank that dies before it joins is missed at once
  }
}

}  // namespace

LaunchResult launch_ranks(const LaunchOptions& options) {
  require(!options.arguments.empty(), "launch_ranks needs the program's arguments");
  const FileDescriptor memory = Segment::make_shared(options.ranks);
  const SignalBlock signals;
  Children children;
  start_all(options, memory, signals, children);

  LaunchResult result;
  std::optional<Clock::time_point> kill_at;
  std::string late;
  while (children.running() > 0) {
    const Clock::duration rest = kill_at ? *kill_at - Clock::now() : std::chrono::hours(1);
    if (rest <= Clock::duration::zero()) {
      for (int rank = 0; rank < options.ranks; ++rank)
        if (children.is_running(rank)) late += "; " + rank_text(rank, options.ranks) + " did not end and was killed";
      children.signal_all(SIGKILL);
      kill_at = Clock::now() + std::chrono::hours(1);
      continue;
    }
    const std::optional<int> signal = signals.wait(rest);
    if (signal && *signal != SIGCHLD) children.signal_all(*signal);
    children.collect([&](int rank, int status) { note_end(result, rank, options.ranks, status, !late.empty()); });
    if (result.exit_code != 0 && !kill_at) kill_at = Clock::now() + options.grace;
  }
  result.message += late;
  return result;
}

}  // namespace tandem
