// What the benchmarks of kernels take from their command line, and the clock they go by.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace tandem::cpu {

struct Options {
  int threads = 1;
  double seconds = 0.1;  // of a case
  std::string only;      // a part of the names of cases
};

// [threads] [seconds] [part of a name]; what is not given stays as in `options`.
inline Options parse_options(int argc, char** argv, Options options = {}) {
  if (argc > 1) options.threads = std::max(1, std::atoi(argv[1]));
  if (argc > 2) options.seconds = std::atof(argv[2]);
  if (argc > 3) options.only = argv[3];
  return options;
}

// Seconds. One thread is timed by its own clock, which stands still while neighbours have the core; a team by the wall's.
inline double now(int threads) {
  timespec time;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace tandem::cpu
