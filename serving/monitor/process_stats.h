// What the kernel says of this process; zero where /proc is not mounted.
#pragma once

#include <cstdint>

namespace tandem {

struct ProcessStats {
  int64_t resident_bytes = 0;
  int64_t open_fds = 0;
  int64_t max_fds = 0;
  double cpu_seconds = 0;  // user and system
};

ProcessStats process_stats();
// One of them, cheaply; 0 without /proc.
int64_t resident_bytes();

}  // namespace tandem
