// Ranks as processes of this machine: the launcher runs its own program anew, once for each rank.
//
// Each rank is a fresh process (fork and exec, so that it inherits no threads), pinned to processors of its own where there are
// enough, in a process group of its own (Ctrl-C reaches the launcher, which passes it on once), and killed by the system should
// the launcher die. The memory they share has no name, so nothing stays behind.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "runtime/comm/communicator.h"

namespace tandem {

struct LaunchOptions {
  int ranks = 1;
  std::vector<std::string> arguments;      // the program's own, beginning with its name
  std::chrono::milliseconds grace{10000};  // after a first failure, for the other ranks to report theirs before they are killed
  bool pin = true;
};

struct LaunchResult {
  int exit_code = 0;    // 0, or that of the rank that failed first; 128 + signal if one killed it; 127 if it could not be started
  std::string message;  // for the user when a rank failed: "rank 1 of 2 was killed by signal 9 (Killed)"
};

// Starts the ranks and waits for all of them. SIGINT, SIGTERM and SIGHUP are passed on. To be called from the main thread, before
// others are started. Throws Unavailable or OutOfMemory if processes or memory cannot be had, with no rank left running.
LaunchResult launch_ranks(const LaunchOptions& options);

// Whether this process is one that launch_ranks started.
bool is_launched_rank();
// Joins the other ranks, once, from the main thread. SIGINT and SIGTERM are blocked in a rank until then and unblocked here: one
// that comes early is met by the handler that was installed before. Throws InvalidArgument if the environment (TANDEM_RANK,
// TANDEM_COMM_FD) is not as launch_ranks made it.
std::unique_ptr<Communicator> join_launched_group(const CommunicatorOptions& options = {});

}  // namespace tandem
