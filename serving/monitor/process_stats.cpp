#include "serving/monitor/process_stats.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace tandem {

int64_t resident_bytes() {
  int64_t total = 0, resident = 0;
  std::ifstream file("/proc/self/statm");
  return file >> total >> resident ? resident * sysconf(_SC_PAGESIZE) : 0;
}

ProcessStats process_stats() {
  ProcessStats stats;
  stats.resident_bytes = resident_bytes();
  std::error_code error;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end; it.increment(error))
    ++stats.open_fds;
  if (rlimit limit{}; getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.max_fds = static_cast<int64_t>(limit.rlim_cur);
  if (rusage usage{}; getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    stats.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  return stats;
}

}  // namespace tandem
