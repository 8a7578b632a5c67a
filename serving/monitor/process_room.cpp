#include "serving/monitor/process_room.h"

#include <latch>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "kernels/base/error.h"
#include "serving/monitor/process_stats.h"

namespace tandem {
namespace {

// How many can be alive at once, at most as many as asked for.
int64_t startable_threads(int64_t wanted) {
  std::latch counted(1);
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(wanted));
  try {
    while (static_cast<int64_t>(threads.size()) < wanted) threads.emplace_back([&counted] { counted.wait(); });
  } catch (const std::system_error&) {
  }
  counted.count_down();
  for (std::thread& thread : threads) thread.join();
  return static_cast<int64_t>(threads.size());
}

}  // namespace

void check_room_for(int64_t threads, int64_t descriptors) {
  const ProcessStats stats = process_stats();
  const int64_t left = stats.max_fds - stats.open_fds;
  check(left >= descriptors, ErrorCode::kUnavailable,
        "the server may open only " + std::to_string(left) + " more file descriptors and needs " + std::to_string(descriptors) +
            ", and one for each connection: raise `ulimit -n`");
  const int64_t startable = startable_threads(threads);
  check(startable >= threads, ErrorCode::kUnavailable,
        "the server may start only " + std::to_string(startable) + " threads and needs " + std::to_string(threads) +
            ": raise `ulimit -u`, the container's pids limit, or what it may have of memory (`ulimit -v`)");
}

}  // namespace tandem
