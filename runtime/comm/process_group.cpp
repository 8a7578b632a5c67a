// A rank that is a process: it finds the shared memory by the descriptor it was started with, and watches the others by pidfd,
// which is readable as soon as a process has ended, even before its parent took notice.
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <optional>

#include "kernels/base/error.h"
#include "runtime/comm/group_communicator.h"
#include "runtime/comm/launcher.h"
#include "runtime/io/file_descriptor.h"

namespace tandem {
namespace {

class ProcessWatch {
 public:
  explicit ProcessWatch(std::shared_ptr<Segment> segment) : segment_(std::move(segment)) {}

  bool is_alive(int rank) {
    FileDescriptor& process = processes_[static_cast<size_t>(rank)];
    if (!process) {
      const int pid = segment_->rank(rank).pid.load();
      if (pid == 0) return true;  // not yet started
      process = FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
      if (!process) return errno != ESRCH;  // another error: cannot tell, the deadline will
    }
    pollfd entry{process.get(), POLLIN, 0};
    return ::poll(&entry, 1, 0) != 1;
  }

 private:
  std::shared_ptr<Segment> segment_;
  std::array<FileDescriptor, kMaxRanks> processes_;
};

std::optional<int> environment_number(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  const std::string_view digits(text);
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  require(error == std::errc() && end == digits.data() + digits.size() && value >= 0, "environment variable is not a number",
          name, digits);
  return value;
}

void unblock_stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGINT, SIGTERM}) sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace

bool is_launched_rank() { return std::getenv("TANDEM_COMM_FD") != nullptr; }

std::unique_ptr<Communicator> join_launched_group(const CommunicatorOptions& options) {
  const std::optional<int> descriptor = environment_number("TANDEM_COMM_FD"), rank = environment_number("TANDEM_RANK");
  require(descriptor && rank, "TANDEM_COMM_FD and TANDEM_RANK are not set: this process was not started as a rank");
  const std::shared_ptr<Segment> segment = Segment::map(*descriptor);
  require(*rank < segment->size(), "TANDEM_RANK is out of range", *rank, segment->size());
  ::close(*descriptor);  // mapped; programs that this one starts are no ranks
  segment->rank(*rank).pid.store(::getpid());
  auto watch = std::make_shared<ProcessWatch>(segment);
  unblock_stop_signals();
  return std::make_unique<GroupCommunicator>(segment, *rank, options, [watch](int peer) { return watch->is_alive(peer); });
}

}  // namespace tandem
